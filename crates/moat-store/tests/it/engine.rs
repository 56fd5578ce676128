//! Fresh stores on both engines.

use std::sync::LazyLock;

use moat_store::{Actor, Store};
use moat_testkit::{Postgres, skip};
use tempfile::TempDir;

/// One server for all tests of this program; it ends with it.
static SERVER: LazyLock<Result<Postgres, String>> =
    LazyLock::new(|| Postgres::start().map_err(|error| format!("{error:#}")));

/// An empty store, and what it lives in.
pub struct Fresh {
    pub store: Store,
    pub url: String,
    _folder: Option<TempDir>,
}

impl Fresh {
    pub async fn sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        let url = format!("sqlite:{}", folder.path().join("moat.db").display());
        Self { store: Store::open(&url).await.unwrap(), url, _folder: Some(folder) }
    }

    /// `None` where PostgreSQL is not installed.
    pub async fn postgres() -> Option<Self> {
        let server = match &*SERVER {
            Ok(server) => server,
            Err(why) => {
                skip("postgres", why);
                return None;
            }
        };
        let url = server.database().unwrap();
        Some(Self { store: Store::open(&url).await.unwrap(), url, _folder: None })
    }
}

pub fn admin() -> Actor {
    Actor { name: "root".into(), role: "Admin".into(), source_address: "192.0.2.1".into() }
}

/// Makes of each function a test over SQLite and one over PostgreSQL.
macro_rules! contract {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::engine::Fresh::sqlite().await).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                if let Some(fresh) = crate::engine::Fresh::postgres().await {
                    super::$name(fresh).await;
                }
            })*
        }
    };
}
pub(crate) use contract;
