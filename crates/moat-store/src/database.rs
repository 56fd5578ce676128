//! One way to speak to both engines: SQL that both accept, with values in and rows out.
//!
//! Every call has a deadline. SQLite has one connection that writes and some that read (WAL); PostgreSQL has a pool.

use std::future::Future;
use std::str::FromStr as _;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgRow};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, PgPool, Postgres, Row as _, SqlSafeStr, Sqlite, SqlitePool};

use crate::{Result, StoreError};

/// After which a call that has no answer is given up.
const CALL_DEADLINE: Duration = Duration::from_secs(30);
const ACQUIRE_DEADLINE: Duration = Duration::from_secs(10);
const POSTGRES_CONNECTIONS: u32 = 16;
const SQLITE_READERS: u32 = 4;

macro_rules! bind {
    ($query:expr, $values:expr) => {{
        let mut query = $query;
        for value in $values {
            query = match value {
                Value::Integer(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
                Value::Bytes(value) => query.bind(value),
            };
        }
        query
    }};
}

#[derive(Debug, Clone)]
pub(crate) enum Database {
    Sqlite { readers: SqlitePool, writer: SqlitePool },
    Postgres(PgPool),
}

impl Database {
    pub async fn open(url: &str) -> Result<Self> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            return Self::open_sqlite(path).await;
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options = PgConnectOptions::from_str(url)
                .map_err(|_| {
                    StoreError::Invalid(
                        "the store's address is not of the form postgres://USER:PASSWORD@HOST/DATABASE"
                            .into(),
                    )
                })?
                .application_name("moat-console")
                .options([("statement_timeout", "30s"), ("lock_timeout", "20s"), ("timezone", "UTC")]);
            let pool = PgPoolOptions::new()
                .max_connections(POSTGRES_CONNECTIONS)
                .acquire_timeout(ACQUIRE_DEADLINE)
                .connect_with(options)
                .await?;
            return Ok(Self::Postgres(pool));
        }
        Err(StoreError::Invalid("the store's address must begin with sqlite: or postgres://".into()))
    }

    async fn open_sqlite(path: &str) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // What was acknowledged survives a power cut: one fsync for each commit, of which there are few.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(10))
            .pragma("cache_size", "-32768")
            .pragma("journal_size_limit", "67108864")
            .pragma("mmap_size", "268435456")
            .pragma("temp_store", "memory");
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE_DEADLINE)
            .connect_with(options.clone())
            .await
            .map_err(|error| match std::fs::OpenOptions::new().append(true).open(path) {
                // SQLite only says that it cannot open it.
                Err(error) if error.kind() == std::io::ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly,
                _ => error.into(),
            })?;
        let readers = SqlitePoolOptions::new()
            .max_connections(SQLITE_READERS)
            .acquire_timeout(ACQUIRE_DEADLINE)
            .connect_with(options.pragma("cache_size", "-16384").pragma("query_only", "on"))
            .await?;
        Ok(Self::Sqlite { readers, writer })
    }

    pub async fn close(&self) {
        match self {
            Self::Sqlite { readers, writer } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }

    /// A transaction that writes. In SQLite it waits for the one before it to end.
    pub async fn begin(&self) -> Result<Connection> {
        deadline(async {
            Ok(match self {
                Self::Sqlite { writer, .. } => {
                    Connection::Sqlite(SqliteTransaction::begin(writer, "BEGIN IMMEDIATE").await?)
                }
                Self::Postgres(pool) => Connection::Postgres(pool.begin().await?),
            })
        })
        .await
    }

    /// A transaction that reads one state of everything.
    pub async fn snapshot(&self) -> Result<Connection> {
        deadline(async {
            Ok(match self {
                Self::Sqlite { readers, .. } => {
                    Connection::Sqlite(SqliteTransaction::begin(readers, "BEGIN").await?)
                }
                Self::Postgres(pool) => Connection::Postgres(
                    pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?,
                ),
            })
        })
        .await
    }

    /// Reads rows outside any transaction.
    pub async fn fetch(&self, sql: impl SqlSafeStr, values: Vec<Value>) -> Result<Vec<Row>> {
        deadline(async {
            Ok(match self {
                Self::Sqlite { readers, .. } => bind!(sqlx::query::<Sqlite>(sql), values)
                    .fetch_all(readers)
                    .await?
                    .into_iter()
                    .map(Row::Sqlite)
                    .collect(),
                Self::Postgres(pool) => bind!(sqlx::query::<Postgres>(sql), values)
                    .fetch_all(pool)
                    .await?
                    .into_iter()
                    .map(Row::Postgres)
                    .collect(),
            })
        })
        .await
    }

    pub async fn fetch_optional(&self, sql: impl SqlSafeStr, values: Vec<Value>) -> Result<Option<Row>> {
        Ok(self.fetch(sql, values).await?.into_iter().next())
    }

    /// Runs one statement as a transaction of its own; returns how many rows it touched.
    pub async fn execute(&self, sql: impl SqlSafeStr, values: Vec<Value>) -> Result<u64> {
        deadline(async {
            Ok(match self {
                Self::Sqlite { writer, .. } => {
                    bind!(sqlx::query::<Sqlite>(sql), values).execute(writer).await?.rows_affected()
                }
                Self::Postgres(pool) => {
                    bind!(sqlx::query::<Postgres>(sql), values).execute(pool).await?.rows_affected()
                }
            })
        })
        .await
    }
}

/// A transaction of SQLite. sqlx counts transactions itself, and miscounts when SQLite has ended one because the disk is full;
/// so a connection whose transaction was not committed is closed, not used again.
#[derive(Debug)]
pub(crate) struct SqliteTransaction {
    connection: PoolConnection<Sqlite>,
    open: bool,
}

impl SqliteTransaction {
    async fn begin(pool: &SqlitePool, statement: &'static str) -> Result<Self> {
        let mut transaction = Self { connection: pool.acquire().await?, open: true };
        sqlx::query(statement).execute(&mut *transaction.connection).await?;
        Ok(transaction)
    }

    async fn commit(mut self) -> Result<()> {
        sqlx::query("COMMIT").execute(&mut *self.connection).await?;
        self.open = false;
        Ok(())
    }
}

impl Drop for SqliteTransaction {
    fn drop(&mut self) {
        if self.open {
            self.connection.close_on_drop();
        }
    }
}

/// An open transaction; dropped without [`Connection::commit`] it never was.
#[derive(Debug)]
pub(crate) enum Connection {
    Sqlite(SqliteTransaction),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

impl Connection {
    pub async fn fetch(&mut self, sql: impl SqlSafeStr, values: Vec<Value>) -> Result<Vec<Row>> {
        deadline(async {
            Ok(match self {
                Self::Sqlite(tx) => bind!(sqlx::query::<Sqlite>(sql), values)
                    .fetch_all(&mut *tx.connection)
                    .await?
                    .into_iter()
                    .map(Row::Sqlite)
                    .collect(),
                Self::Postgres(tx) => bind!(sqlx::query::<Postgres>(sql), values)
                    .fetch_all(&mut **tx)
                    .await?
                    .into_iter()
                    .map(Row::Postgres)
                    .collect(),
            })
        })
        .await
    }

    pub async fn fetch_optional(&mut self, sql: impl SqlSafeStr, values: Vec<Value>) -> Result<Option<Row>> {
        Ok(self.fetch(sql, values).await?.into_iter().next())
    }

    pub async fn execute(&mut self, sql: impl SqlSafeStr, values: Vec<Value>) -> Result<u64> {
        deadline(async {
            Ok(match self {
                Self::Sqlite(tx) => bind!(sqlx::query::<Sqlite>(sql), values)
                    .execute(&mut *tx.connection)
                    .await?
                    .rows_affected(),
                Self::Postgres(tx) => {
                    bind!(sqlx::query::<Postgres>(sql), values).execute(&mut **tx).await?.rows_affected()
                }
            })
        })
        .await
    }

    /// Adds many rows by few statements; `conflict` is the clause after the values. The columns are named with their
    /// PostgreSQL types. Returns how many rows were added or changed.
    pub async fn insert_many(
        &mut self,
        table: &'static str,
        columns: &'static [(&'static str, Kind)],
        conflict: &'static str,
        rows: Vec<Vec<Value>>,
    ) -> Result<u64> {
        if rows.is_empty() {
            return Ok(0);
        }
        let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
        let head = format!("INSERT INTO {table} ({})", names.join(", "));
        match self {
            Self::Sqlite(_) => {
                let mut touched = 0;
                let mut rows = rows.into_iter();
                while rows.len() > 0 {
                    // Few lengths, so that the statements are known already.
                    let most = rows.len().min(SQLITE_CHUNK_VALUES / columns.len());
                    let length = 1 << most.ilog2();
                    let values = rows.by_ref().take(length).flatten().collect();
                    let sql = format!("{head} VALUES {} {conflict}", placeholders(length, columns.len()));
                    touched += self.execute(AssertSqlSafe(sql), values).await?;
                }
                Ok(touched)
            }
            Self::Postgres(tx) => {
                let mut arrays: Vec<_> = columns.iter().map(|(_, kind)| kind.array(rows.len())).collect();
                for row in rows {
                    for (array, value) in arrays.iter_mut().zip(row) {
                        array.push(value)?;
                    }
                }
                // Side by side in the list, rows come as they are needed; from a function in FROM they would be stored first.
                let places = columns
                    .iter()
                    .enumerate()
                    .map(|(index, (_, kind))| format!("unnest(${}::{}[])", index + 1, kind.name()));
                let sql = format!("{head} SELECT {} {conflict}", places.collect::<Vec<_>>().join(", "));
                let mut query = sqlx::query::<Postgres>(AssertSqlSafe(sql));
                for array in arrays {
                    query = match array {
                        Array::Integers(values) => query.bind(values),
                        Array::Texts(values) => query.bind(values),
                        Array::Bytes(values) => query.bind(values),
                    };
                }
                deadline(async { Ok(query.execute(&mut **tx).await?.rows_affected()) }).await
            }
        }
    }

    /// Raises a counter and keeps it locked until the end of the transaction.
    pub async fn raise(&mut self, counter: &'static str, by: i64) -> Result<i64> {
        let row = self
            .fetch_optional(
                "UPDATE counter SET value = value + $1 WHERE name = $2 RETURNING value",
                vec![by.into(), counter.into()],
            )
            .await?;
        row.ok_or_else(|| StoreError::Corrupt { what: "counter", why: format!("{counter} is missing") })?
            .get("value")
    }

    /// Tells every replica, once this is committed.
    pub async fn notify(&mut self, payload: String) -> Result<()> {
        if let Self::Postgres(_) = self {
            self.fetch("SELECT pg_notify('moat', $1)", vec![payload.into()]).await?;
        }
        Ok(())
    }

    pub async fn commit(self) -> Result<()> {
        deadline(async {
            match self {
                Self::Sqlite(tx) => tx.commit().await?,
                Self::Postgres(tx) => tx.commit().await?,
            }
            Ok(())
        })
        .await
    }
}

/// SQLite takes 32,766 values a statement, and gains nothing from so many.
const SQLITE_CHUNK_VALUES: usize = 2048;

/// `(?, ?), (?, ?)`: numbers (`$1`) are names to SQLite, which goes through all of them to find one.
fn placeholders(rows: usize, columns: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(", "));
    vec![row; rows].join(", ")
}

/// What a column holds, as PostgreSQL must be told of arrays.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Integer,
    Text,
    Bytes,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Integer => "bigint",
            Self::Text => "text",
            Self::Bytes => "bytea",
        }
    }

    fn array(self, capacity: usize) -> Array {
        match self {
            Self::Integer => Array::Integers(Vec::with_capacity(capacity)),
            Self::Text => Array::Texts(Vec::with_capacity(capacity)),
            Self::Bytes => Array::Bytes(Vec::with_capacity(capacity)),
        }
    }
}

/// A column of many rows.
enum Array {
    Integers(Vec<Option<i64>>),
    Texts(Vec<Option<String>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

impl Array {
    fn push(&mut self, value: Value) -> Result<()> {
        match (self, value) {
            (Self::Integers(values), Value::Integer(value)) => values.push(value),
            (Self::Texts(values), Value::Text(value)) => values.push(value),
            (Self::Bytes(values), Value::Bytes(value)) => values.push(value),
            (_, value) => return Err(StoreError::Invalid(format!("{value:?} is not of its column's type"))),
        }
        Ok(())
    }
}

async fn deadline<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(CALL_DEADLINE, call).await.unwrap_or_else(|_| {
        Err(StoreError::Unavailable(format!("no answer within {} s", CALL_DEADLINE.as_secs())))
    })
}

/// What a statement is given for a `$n`.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Integer(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(Some(value))
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Self {
        Self::Integer(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Integer(Some(value.into()))
    }
}

impl From<Timestamp> for Value {
    fn from(value: Timestamp) -> Self {
        Self::Integer(Some(value.as_microsecond()))
    }
}

impl From<Option<Timestamp>> for Value {
    fn from(value: Option<Timestamp>) -> Self {
        Self::Integer(value.map(Timestamp::as_microsecond))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        // PostgreSQL's text holds every character but this one.
        Self::Text(Some(if value.contains('\0') { value.replace('\0', "\u{fffd}") } else { value }))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        value.to_owned().into()
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        value.clone().into()
    }
}

impl From<Option<String>> for Value {
    fn from(value: Option<String>) -> Self {
        value.map_or(Self::Text(None), Self::from)
    }
}

impl From<&Option<String>> for Value {
    fn from(value: &Option<String>) -> Self {
        value.clone().into()
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(Some(value))
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(Some(value.to_vec()))
    }
}

#[derive(Debug)]
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// What a column can be read as, from either engine.
pub(crate) trait Column:
    for<'r> sqlx::Decode<'r, Sqlite>
    + sqlx::Type<Sqlite>
    + for<'r> sqlx::Decode<'r, Postgres>
    + sqlx::Type<Postgres>
{
}

impl<T> Column for T where
    T: for<'r> sqlx::Decode<'r, Sqlite>
        + sqlx::Type<Sqlite>
        + for<'r> sqlx::Decode<'r, Postgres>
        + sqlx::Type<Postgres>
{
}

impl Row {
    pub fn get<T: Column>(&self, name: &'static str) -> Result<T> {
        match self {
            Self::Sqlite(row) => row.try_get(name),
            Self::Postgres(row) => row.try_get(name),
        }
        .map_err(|error| StoreError::Corrupt { what: name, why: error.to_string() })
    }

    pub fn flag(&self, name: &'static str) -> Result<bool> {
        Ok(self.get::<i64>(name)? != 0)
    }

    pub fn time(&self, name: &'static str) -> Result<Timestamp> {
        timestamp(name, self.get(name)?)
    }

    pub fn optional_time(&self, name: &'static str) -> Result<Option<Timestamp>> {
        self.get::<Option<i64>>(name)?.map(|time| timestamp(name, time)).transpose()
    }

    pub fn json<T: DeserializeOwned>(&self, name: &'static str) -> Result<T> {
        serde_json::from_str(&self.get::<String>(name)?)
            .map_err(|error| StoreError::Corrupt { what: name, why: error.to_string() })
    }

    /// A value of an enum, kept by its name.
    pub fn word<T: DeserializeOwned>(&self, name: &'static str) -> Result<T> {
        from_word(self.get(name)?).ok_or(StoreError::Corrupt { what: name, why: "unknown word".into() })
    }
}

fn timestamp(name: &'static str, microseconds: i64) -> Result<Timestamp> {
    Timestamp::from_microsecond(microseconds)
        .map_err(|error| StoreError::Corrupt { what: name, why: error.to_string() })
}

/// The time as the store keeps it: whole microseconds, so that what was written equals what is read.
pub(crate) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}

pub(crate) fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

pub(crate) fn json<T: Serialize>(value: &T) -> Result<Value> {
    serde_json::to_string(value)
        .map(Value::from)
        .map_err(|error| StoreError::Invalid(format!("cannot be written as JSON: {error}")))
}

/// The name of a unit variant.
pub(crate) fn word<T: Serialize>(value: &T) -> Value {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word.into(),
        other => unreachable!("only enums without fields are kept by name, not {other:?}"),
    }
}

pub(crate) fn from_word<T: DeserializeOwned>(word: String) -> Option<T> {
    serde_json::from_value(serde_json::Value::String(word)).ok()
}
