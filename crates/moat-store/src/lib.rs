//! Everything that the console keeps, in SQLite or PostgreSQL, through one code path.
//!
//! [`Store`] has a file for each concept. What people change goes through [`Store::begin`]: a [`Transaction`] carries out
//! the change and its entry of the audit log together or not at all. What enforcers report (events, statuses, containers) is
//! written by methods of [`Store`]. [`Store::watch`] tells what changed, on this replica or on another.
#![forbid(unsafe_code)]

mod activity;
mod api_token;
mod audit;
mod backup;
mod certificate;
mod container;
mod database;
mod delivery;
mod enforcer;
mod enrolment;
mod error;
mod event;
mod keepsake;
mod migrations;
mod node_policy;
mod notifier;
mod notifier_lease;
mod policy;
mod policy_status;
mod session;
mod setting;
mod transaction;
mod user;
mod watch;

use std::sync::Arc;

pub use activity::{Activity, ActivityKind, NewActivity};
pub use api_token::{ApiToken, NewApiToken};
pub use audit::{AuditBreak, AuditEntry, AuditFilter, AuditVerification};
pub use certificate::Certificate;
pub use container::{Container, ContainerFilter, Protection};
pub use delivery::{Delivery, DeliveryState};
pub use enforcer::{Enforcer, EnforcerState, Heartbeat, NewEnforcer, SetProgress};
pub use enrolment::{EnrolmentToken, NewEnrolmentToken};
pub use error::{Result, StoreError};
pub use event::{
    Bucket, Cursor, EventFilter, EventPage, Inserted, Keep, NewEvent, Purged, Retention, StoredEvent, Top,
    TopSubject,
};
pub use node_policy::{NodePolicy, NodePolicyGroup};
pub use notifier::{NewNotifier, Notifier};
pub use notifier_lease::LeaseSign;
pub use policy::{NewPolicy, Policy, PolicyAction, PolicyChanges, PolicyRevision};
pub use policy_status::{PolicyState, PolicyStatus};
pub use session::Session;
pub use setting::Setting;
pub use transaction::{Actor, Transaction};
pub use user::{NewUser, Oidc, Role, User, UserChange};
pub use watch::{Change, Watch};

use database::Database;

/// The console's store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    database: Database,
    events: event::Writer,
    feed: Arc<watch::Feed>,
}

impl Store {
    /// Opens `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE` and brings its tables to this version.
    pub async fn open(url: &str) -> Result<Self> {
        let database = Database::open(url).await?;
        migrations::run(&database).await?;
        event::partition::make_ahead(&database).await?;
        let feed = watch::Feed::start(database.clone()).await?;
        let events = event::Writer::start(database.clone(), Arc::clone(&feed));
        Ok(Self { database, events, feed })
    }

    /// Whether the store answers (for `/readyz`).
    pub async fn ping(&self) -> Result<()> {
        self.database.fetch("SELECT value FROM counter WHERE name = 'event'", vec![]).await?;
        Ok(())
    }

    /// Ends every connection; calls that follow are refused as unavailable.
    pub async fn close(&self) {
        self.database.close().await;
    }
}
