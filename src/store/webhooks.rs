//! Messages for webhooks until they are delivered, and those that never were.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, Result, Transaction, params};

use super::columns::{readable, visit_id};
use crate::config::WEBHOOK_EVENTS;
use crate::pipeline::VisitId;
use crate::pipeline::units::{Now, WallTime};

/// Messages that may wait, of all webhooks together; beyond that, the oldest is given up.
pub const MOST_WAITING: usize = 5_000;

/// Number of messages that were given up and are listed, without their content.
const MOST_DEAD: usize = 100;

/// A message for one webhook.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookMessage {
    /// Grows with every message, across restarts.
    pub id: u64,
    pub hook: Arc<str>,
    /// `arrival`, `claim`, `departure` or `escalation`.
    pub event: &'static str,
    /// The same whenever the same event is sent again: `webhook-id`.
    pub key: Arc<str>,
    /// As JSON.
    pub payload: Arc<[u8]>,
    /// When it became true.
    pub from: WallTime,
    /// How long after `from` delivery is tried.
    pub lifetime: Duration,
    /// The visit it is about.
    pub visit: VisitId,
    /// The handle of the customer whose data it carries.
    pub client: Arc<str>,
}

/// A message that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadMessage {
    pub hook: String,
    /// `arrival`, `claim`, `departure` or `escalation`.
    pub event: String,
    /// The visit it was about.
    pub visit: String,
    /// When it was given up.
    pub at: WallTime,
    /// The last error.
    pub why: String,
}

/// The payload is about a customer, so it is not shown.
impl std::fmt::Debug for WebhookMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WebhookMessage({}, {}, {})", self.id, self.event, self.visit)
    }
}

impl WebhookMessage {
    /// What is left of its lifetime; never more than the whole, even if the wall clock went back.
    pub fn remaining(&self, now: Now) -> Duration {
        let age = now.clock.reading().unix_millis().saturating_sub(self.from.unix_millis());
        self.lifetime.saturating_sub(Duration::from_millis(u64::try_from(age).unwrap_or(0)))
    }
}

pub(super) fn put(db: &Transaction<'_>, message: &WebhookMessage) -> Result<()> {
    let lifetime = i64::try_from(message.lifetime.as_millis()).unwrap_or(i64::MAX);
    db.prepare_cached(
        "INSERT OR IGNORE INTO webhooks
         (id, hook, event, key, payload, valid_from, lifetime, visit, client)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        sql(message.id),
        message.hook,
        message.event,
        message.key,
        &message.payload[..],
        message.from.unix_millis(),
        lifetime,
        message.visit.to_string(),
        message.client,
    ])
    .map(drop)
}

pub(super) fn done(db: &Transaction<'_>, id: u64) -> Result<()> {
    db.prepare_cached("DELETE FROM webhooks WHERE id = ?1")?.execute(params![sql(id)]).map(drop)
}

/// Records that a message was given up, without its content.
pub(super) fn dead(db: &Transaction<'_>, id: u64, at: WallTime, why: &str) -> Result<()> {
    db.prepare_cached(
        "UPDATE webhooks SET payload = x'', client = '', dead_at = ?2, why = ?3 WHERE id = ?1",
    )?
    .execute(params![sql(id), at.unix_millis(), why])?;
    db.prepare_cached(
        "DELETE FROM webhooks WHERE dead_at IS NOT NULL AND id NOT IN
         (SELECT id FROM webhooks WHERE dead_at IS NOT NULL ORDER BY dead_at DESC, id DESC
          LIMIT ?1)",
    )?
    .execute(params![i64::try_from(MOST_DEAD).unwrap_or(i64::MAX)])
    .map(drop)
}

/// Deletes records of messages that were given up before `before`.
pub(super) fn age(db: &Transaction<'_>, before: WallTime) -> Result<()> {
    db.prepare_cached("DELETE FROM webhooks WHERE dead_at < ?1")?
        .execute(params![before.unix_millis()])
        .map(drop)
}

/// The messages that wait, oldest first.
pub(super) fn waiting(db: &Connection) -> Result<Vec<WebhookMessage>> {
    db.prepare("SELECT * FROM webhooks WHERE dead_at IS NULL ORDER BY id")?
        .query_map([], |row| {
            let event: String = row.get("event")?;
            let lifetime = u64::try_from(row.get::<_, i64>("lifetime")?).unwrap_or(0);
            Ok(WebhookMessage {
                id: u64::try_from(row.get::<_, i64>("id")?).unwrap_or(0),
                hook: row.get("hook")?,
                event: WEBHOOK_EVENTS
                    .into_iter()
                    .find(|known| *known == event)
                    .unwrap_or("arrival"),
                key: row.get("key")?,
                payload: row.get::<_, Vec<u8>>("payload")?.into(),
                from: WallTime::from_unix_millis(row.get("valid_from")?),
                lifetime: Duration::from_millis(lifetime),
                visit: visit_id(row, "visit")?,
                client: row.get("client")?,
            })
        })?
        .filter_map(readable)
        .collect()
}

/// The messages that were given up, latest first.
pub(super) fn given_up(db: &Connection) -> Result<Vec<DeadMessage>> {
    db.prepare("SELECT * FROM webhooks WHERE dead_at IS NOT NULL ORDER BY dead_at DESC, id DESC")?
        .query_map([], |row| {
            Ok(DeadMessage {
                hook: row.get("hook")?,
                event: row.get("event")?,
                visit: row.get("visit")?,
                at: WallTime::from_unix_millis(row.get("dead_at")?),
                why: row.get("why")?,
            })
        })?
        .filter_map(readable)
        .collect()
}

fn sql(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}
