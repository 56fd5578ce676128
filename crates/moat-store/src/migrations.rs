//! The tables, version by version. Both engines have the same versions; a version that was released never changes.

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use crate::database::Database;
use crate::{Result, StoreError};

const SQLITE: &[(i64, &str, &str)] = &[(1, "console", include_str!("../migrations/sqlite/0001_console.sql"))];
const POSTGRES: &[(i64, &str, &str)] =
    &[(1, "console", include_str!("../migrations/postgres/0001_console.sql"))];

/// The version of the tables that this program has.
pub(crate) fn newest() -> i64 {
    SQLITE.last().map_or(0, |(version, ..)| *version)
}

/// Brings the tables to this program's version. Several replicas may try at once: PostgreSQL lets one at a time.
pub(crate) async fn run(database: &Database) -> Result<()> {
    match database {
        Database::Sqlite { writer, .. } => migrator(SQLITE).run(writer).await,
        Database::Postgres(pool) => migrator(POSTGRES).run(pool).await,
    }
    .map_err(|error| match error {
        sqlx::migrate::MigrateError::Execute(error) => error.into(),
        other => StoreError::Invalid(format!(
            "its tables are not of this version of Moat ({other}): use the version that wrote them, or a newer one"
        )),
    })
}

fn migrator(versions: &'static [(i64, &str, &str)]) -> Migrator {
    let migrations = versions.iter().map(|(version, description, sql)| {
        Migration::new(*version, (*description).into(), MigrationType::Simple, (*sql).into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.collect())
}
