use super::{StoredEvent, id_bytes, stored};
use crate::database::Value;
use crate::{Result, Store, StoreError};

impl Store {
    /// One event, by its id.
    pub async fn event(&self, id: &str) -> Result<StoredEvent> {
        let not_found = || StoreError::NotFound { what: "event", name: id.to_owned() };
        let bytes = id_bytes(id).ok_or_else(not_found)?;
        let row =
            self.database.fetch_optional("SELECT * FROM event WHERE id = $1", vec![bytes.into()]).await?;
        stored(&row.ok_or_else(not_found)?)
    }

    /// Events that arrived after the one with this number, in the order of arrival. None is ever added before one that was
    /// returned: whoever goes on from the last number misses nothing.
    pub async fn events_after(&self, seq: i64, limit: usize) -> Result<Vec<StoredEvent>> {
        let limit = Value::from(limit.clamp(1, 10_000) as i64);
        let rows = self
            .database
            .fetch("SELECT * FROM event WHERE seq > $1 ORDER BY seq LIMIT $2", vec![seq.into(), limit])
            .await?;
        rows.iter().map(stored).collect()
    }

    /// The number of the newest event; 0 before the first.
    pub async fn newest_event(&self) -> Result<i64> {
        let row =
            self.database.fetch_optional("SELECT value FROM counter WHERE name = 'event'", vec![]).await?;
        row.map_or(Ok(0), |row| row.get("value"))
    }
}
