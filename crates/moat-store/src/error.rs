use std::sync::Arc;

use thiserror::Error;

/// Why the store did not do what it was asked.
#[derive(Debug, Clone, Error)]
pub enum StoreError {
    #[error("there is no {what} {name:?}")]
    NotFound { what: &'static str, name: String },
    /// Somebody else changed it since it was read.
    #[error("it was changed meanwhile and is now at revision {current}: read it again, then change it")]
    Conflict { current: i64 },
    #[error("there is already a {what} {name:?}")]
    Exists { what: &'static str, name: String },
    #[error("{0}")]
    Invalid(String),
    /// A token or certificate that does not open what it was shown to.
    #[error("{0}")]
    Refused(&'static str),
    #[error("the store is full: free space on its disk, or keep less (Settings, retention)")]
    Full,
    #[error("the store is read-only: make its disk or its database writable again")]
    ReadOnly,
    /// It may work again later: the database is away, starting, or too busy.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    #[error("the store holds what it cannot read in {what}: {why}")]
    Corrupt { what: &'static str, why: String },
    #[error("cannot use the store: {0}")]
    Database(Arc<sqlx::Error>),
}

pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// SQLite's primary result codes (<https://www.sqlite.org/rescode.html>).
mod sqlite_code {
    pub const BUSY: u32 = 5;
    pub const READONLY: u32 = 8;
    pub const IOERR: u32 = 10;
    pub const FULL: u32 = 13;
    pub const CANTOPEN: u32 = 14;
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let unavailable = || Self::Unavailable(error.to_string());
        match &error {
            sqlx::Error::Database(database) => {
                let code = database.code().unwrap_or_default();
                if database.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
                    return match code.parse::<u32>().unwrap_or_default() & 0xff {
                        sqlite_code::FULL => Self::Full,
                        sqlite_code::READONLY => Self::ReadOnly,
                        sqlite_code::BUSY | sqlite_code::IOERR | sqlite_code::CANTOPEN => unavailable(),
                        _ => Self::Database(Arc::new(error)),
                    };
                }
                // PostgreSQL, appendix A: disk_full; read_only_sql_transaction; lock_not_available; and the classes of
                // connection exceptions, transaction rollback, insufficient resources and operator intervention.
                match code.as_ref() {
                    "53100" => Self::Full,
                    "25006" => Self::ReadOnly,
                    code if ["08", "40", "53", "55P03", "57"].iter().any(|class| code.starts_with(class)) => {
                        unavailable()
                    }
                    _ => Self::Database(Arc::new(error)),
                }
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Protocol(_) => unavailable(),
            _ => Self::Database(Arc::new(error)),
        }
    }
}

impl StoreError {
    /// What a unique index refused, said as `what` with this `name`.
    pub(crate) fn exists(self, what: &'static str, name: &str) -> Self {
        match self {
            Self::Database(error)
                if error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation) =>
            {
                Self::Exists { what, name: name.to_owned() }
            }
            other => other,
        }
    }
}
