//! Everything that the console keeps, in SQLite or PostgreSQL.
#![forbid(unsafe_code)]
