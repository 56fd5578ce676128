//! Backups: one JSON object a line, the same from both engines, so that what one wrote the other can take in.
//!
//! The first line says what the file is, the last how many rows it has: a file that was cut off is refused. What can be
//! made again from the events (the index of their terms) is not in it.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, BufWriter};

use sqlx::AssertSqlSafe;

use crate::database::{Connection, Database, Kind, Row, Value};
use crate::event::{self, partition};
use crate::{Result, Store, StoreError, migrations};

const FORMAT: u32 = 1;
const PAGE: usize = 1000;

struct Table {
    name: &'static str,
    /// The first columns of `columns` are its primary key.
    key: usize,
    columns: &'static [(&'static str, Kind)],
}

macro_rules! table {
    ($name:literal, $key:literal, [$($column:ident $kind:ident),* $(,)?]) => {
        Table { name: $name, key: $key, columns: &[$((stringify!($column), Kind::$kind)),*] }
    };
}

#[rustfmt::skip]
const TABLES: &[Table] = &[
    table!("counter", 1, [name Text, value Integer]),
    table!("policy", 1, [name Text, kind Text, document Text, mode Text, rules Integer, revision Integer,
        created_at Integer, updated_at Integer, updated_by Text, deleted Integer]),
    table!("policy_revision", 2, [name Text, revision Integer, kind Text, document Text, mode Text, rules Integer,
        action Text, note Text, updated_by Text, at Integer, policy_set Integer]),
    table!("enforcer", 1, [id Text, node Text, machine Text, version Text, kernel Text, driver Text, capabilities Text,
        enrolled_at Integer, last_seen_at Integer, ended Text, ended_at Integer, certificate_serial Text,
        certificate_expires_at Integer, status Text, offered_set Integer, accepted_set Integer, enforced_set Integer,
        lag_ms Integer]),
    table!("certificate", 1, [serial Text, enforcer_id Text, issued_at Integer, expires_at Integer, revoked_at Integer,
        reason Text]),
    table!("enrolment_token", 1, [id Text, label Text, secret_hash Bytes, uses_left Integer, uses_total Integer,
        created_by Text, created_at Integer, expires_at Integer, revoked_at Integer]),
    table!("policy_status", 2, [policy Text, enforcer_id Text, revision Integer, state Text, reasons Text,
        containers Integer]),
    table!("node_policy", 3, [enforcer_id Text, kind Text, name Text, file Text, document Text, first_seen Integer,
        state Text, reasons Text, containers Integer]),
    table!("container", 2, [enforcer_id Text, container_id Text, namespace Text, kind Text, name Text, workload Text,
        policies Text, rules Integer, problem Text, protection Text, started_at Integer, seen_at Integer,
        ended_at Integer]),
    table!("activity", 6, [namespace Text, workload_kind Text, workload_name Text, container Text, kind Text,
        digest Bytes, subject Text, detail Text, first_seen Integer, last_seen Integer, count Integer]),
    table!("event_stored", 1, [event_type Text, events Integer]),
    table!("event_count", 4, [minute Integer, event_type Text, severity Integer, action Text, events Integer,
        happenings Integer]),
    table!("event_top", 3, [hour Integer, subject Text, name Text, events Integer]),
    table!("audit", 1, [seq Integer, at Integer, actor Text, role Text, source_address Text, action Text, resource Text,
        name Text, detail Text, previous_hash Bytes, hash Bytes]),
    table!("account", 1, [id Text, name Text, role Text, password_hash Text, oidc_issuer Text, oidc_subject Text,
        disabled Integer, revision Integer, created_at Integer, last_login_at Integer]),
    table!("api_token", 1, [id Text, name Text, token_hash Bytes, role Text, scopes Text, created_by Text,
        created_at Integer, expires_at Integer, last_used_at Integer]),
    table!("setting", 1, [key Text, value Text, revision Integer]),
    table!("keepsake", 1, [name Text, value Bytes]),
    table!("notifier", 1, [id Text, name Text, kind Text, config Text, filter Text, enabled Integer, revision Integer,
        cursor Integer, lease_owner Text, lease_beat Integer, status Text]),
    table!("delivery", 1, [id Text, notifier_id Text, event_ids Text, attempts Integer, last_error Text, state Text,
        next_at Integer, created_at Integer]),
    table!("event", 1, [seq Integer, id Bytes, at Integer, enforcer_id Text, event_type Text, action Text,
        severity Integer, namespace Text, pod Text, container Text, workload Text, policy Text, rule Text, node Text,
        words Text, document Text]),
];

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Line {
    Backup {
        format: u32,
        tables: i64,
    },
    /// A table and the values of its columns, in their order.
    Row(String, Vec<serde_json::Value>),
    End {
        rows: u64,
    },
}

impl Store {
    /// Writes everything but sessions to a new file that only its owner can read, as of one moment, while others go on
    /// writing. Returns the number of rows.
    pub async fn backup(&self, path: &Path) -> Result<u64> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .await
            .map_err(|error| io(path, &error))?;
        let mut file = BufWriter::new(file);
        let mut snapshot = self.database.snapshot().await?;
        let mut rows = 0;
        write(&mut file, path, &Line::Backup { format: FORMAT, tables: migrations::newest() }).await?;
        for table in TABLES {
            let mut after: Vec<Value> = vec![];
            loop {
                let page = snapshot.fetch(AssertSqlSafe(select(table, &after)), after.clone()).await?;
                for row in &page {
                    let values = table.columns.iter().map(|(name, kind)| export(row, name, *kind));
                    let line = Line::Row(table.name.to_owned(), values.collect::<Result<_>>()?);
                    write(&mut file, path, &line).await?;
                    rows += 1;
                }
                let Some(last) = page.last().filter(|_| page.len() == PAGE) else { break };
                let key = table.columns.iter().take(table.key).map(|(name, kind)| value(last, name, *kind));
                after = key.collect::<Result<_>>()?;
            }
        }
        snapshot.commit().await?;
        write(&mut file, path, &Line::End { rows }).await?;
        let durable = async {
            file.flush().await?;
            file.get_ref().sync_all().await
        };
        durable.await.map_err(|error| io(path, &error))?;
        Ok(rows)
    }

    /// Fills an empty store from a backup, all or nothing. Returns the number of rows.
    pub async fn restore(url: &str, path: &Path) -> Result<u64> {
        let file = File::open(path).await.map_err(|error| io(path, &error))?;
        let database = Database::open(url).await?;
        migrations::run(&database).await?;
        partition::make_ahead(&database).await?;
        let restored = restore(&database, path, file).await;
        database.close().await;
        restored
    }
}

fn select(table: &Table, after: &[Value]) -> String {
    let key: Vec<_> = table.columns.iter().take(table.key).map(|(name, _)| *name).collect();
    let key = key.join(", ");
    let condition = if after.is_empty() {
        String::new()
    } else {
        let places: Vec<_> = (1..=table.key).map(|place| format!("${place}")).collect();
        format!("WHERE ({key}) > ({})", places.join(", "))
    };
    format!("SELECT * FROM {} {condition} ORDER BY {key} LIMIT {PAGE}", table.name)
}

async fn restore(database: &Database, path: &Path, file: File) -> Result<u64> {
    let invalid = |why: &str| StoreError::Invalid(format!("{} cannot be restored: {why}", path.display()));
    let mut lines = BufReader::new(file).lines();
    let mut next = async || -> Result<Option<Line>> {
        let line = lines.next_line().await.map_err(|error| io(path, &error))?;
        line.map(|line| serde_json::from_str(&line).map_err(|_| invalid("it is not a backup of Moat")))
            .transpose()
    };
    match next().await? {
        Some(Line::Backup { format: FORMAT, tables }) if tables == migrations::newest() => {}
        Some(Line::Backup { .. }) => {
            return Err(invalid("another version of Moat wrote it: restore it with that one"));
        }
        _ => return Err(invalid("it is not a backup of Moat")),
    }
    let mut connection = database.begin().await?;
    require_empty(&mut connection).await?;
    connection.execute("DELETE FROM counter", vec![]).await?;
    let (mut rows, mut page): (u64, Vec<Vec<Value>>) = (0, vec![]);
    let mut current: Option<&Table> = None;
    loop {
        let line = next().await?.ok_or_else(|| invalid("it was cut off"))?;
        let (name, values) = match line {
            Line::Row(name, values) => (name, values),
            Line::End { rows: expected } => {
                put(&mut connection, current, std::mem::take(&mut page)).await?;
                if rows != expected {
                    return Err(invalid("rows are missing"));
                }
                break;
            }
            Line::Backup { .. } => return Err(invalid("it is two files in one")),
        };
        if current.is_none_or(|table| table.name != name) || page.len() == PAGE {
            put(&mut connection, current, std::mem::take(&mut page)).await?;
            current = TABLES.iter().find(|table| table.name == name);
        }
        let table = current.ok_or_else(|| invalid("it has a table that this version does not know"))?;
        if values.len() != table.columns.len() {
            return Err(invalid("a row has too few or too many values"));
        }
        let row = table.columns.iter().zip(values).map(|((_, kind), value)| import(*kind, value));
        page.push(row.collect::<Option<_>>().ok_or_else(|| invalid("a value is not of its column's type"))?);
        rows += 1;
    }
    connection.commit().await?;
    Ok(rows)
}

async fn require_empty(connection: &mut Connection) -> Result<()> {
    let used = connection
        .fetch("SELECT name FROM counter WHERE value > 0 UNION ALL SELECT name FROM account", vec![])
        .await?;
    if used.is_empty() {
        return Ok(());
    }
    Err(StoreError::Invalid("the store is not empty: restore into a new file or a new database".into()))
}

async fn put(connection: &mut Connection, table: Option<&Table>, rows: Vec<Vec<Value>>) -> Result<()> {
    let Some(table) = table else { return Ok(()) };
    if table.name == "event" {
        event::index(connection, &rows).await?;
    }
    connection.insert_many(table.name, table.columns, "ON CONFLICT DO NOTHING", rows).await?;
    Ok(())
}

fn value(row: &Row, name: &'static str, kind: Kind) -> Result<Value> {
    Ok(match kind {
        Kind::Integer => Value::Integer(row.get(name)?),
        Kind::Text => Value::Text(row.get(name)?),
        Kind::Bytes => Value::Bytes(row.get(name)?),
    })
}

fn export(row: &Row, name: &'static str, kind: Kind) -> Result<serde_json::Value> {
    Ok(match value(row, name, kind)? {
        Value::Integer(value) => value.into(),
        Value::Text(value) => value.into(),
        Value::Bytes(value) => value.map(|bytes| crate::audit::hex(&bytes)).into(),
    })
}

fn import(kind: Kind, value: serde_json::Value) -> Option<Value> {
    Some(match (kind, value) {
        (Kind::Integer, serde_json::Value::Null) => Value::Integer(None),
        (Kind::Text, serde_json::Value::Null) => Value::Text(None),
        (Kind::Bytes, serde_json::Value::Null) => Value::Bytes(None),
        (Kind::Integer, value) => value.as_i64()?.into(),
        (Kind::Text, serde_json::Value::String(text)) => text.into(),
        (Kind::Bytes, serde_json::Value::String(text)) => bytes(&text)?.into(),
        _ => return None,
    })
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()).collect()
}

async fn write(file: &mut BufWriter<File>, path: &Path, line: &Line) -> Result<()> {
    let mut json = serde_json::to_vec(line).map_err(|error| StoreError::Invalid(error.to_string()))?;
    json.push(b'\n');
    file.write_all(&json).await.map_err(|error| io(path, &error))
}

fn io(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Invalid(format!("{}: {error}", path.display()))
}
