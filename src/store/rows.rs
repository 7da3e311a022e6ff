//! Converts domain types to rows and back.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Result, Transaction, named_params, params};
use serde::{Deserialize, Serialize};

use super::change::Change;
use super::columns::{readable, visit_id};
use super::message::{MessageKind, OutboundMessage, Queued};
use super::{Heartbeat, labels, phones, published, survey, webhooks};
use crate::clock::kernel::Boot;
use crate::pipeline::Settings;
use crate::pipeline::event::{Card, Claim, GatewayIndex, Restored, RestoredVisit, Visit};
use crate::pipeline::units::{ClockStep, WallTime};

/// How long messages that webhooks never took are listed.
const DEAD_MESSAGES_KEPT: Duration = Duration::from_hours(7 * 24);

/// A card as it is stored.
#[derive(Serialize, Deserialize)]
struct CardRow {
    name: String,
    language: Option<String>,
    note: Option<String>,
}

pub(super) fn commit(db: &mut Connection, changes: &[&Change]) -> Result<()> {
    let transaction = db.transaction()?;
    let mut forgot = false;
    for change in changes {
        apply(&transaction, change)?;
        forgot |= matches!(
            change,
            Change::Forgotten(_)
                | Change::Erased(_)
                | Change::Unlearned(_)
                | Change::Withdrawn { .. }
        );
    }
    transaction.commit()?;
    if forgot {
        // Until then the journal still holds the old pages.
        truncate_journal(db)?;
    }
    Ok(())
}

/// Writes what the journal holds into the file, and gives its room back.
pub(super) fn truncate_journal(db: &Connection) -> Result<()> {
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

fn apply(db: &Transaction<'_>, change: &Change) -> Result<()> {
    match change {
        Change::Visit { visit, gateway, departed_at } => {
            put_visit(db, visit, gateway, *departed_at)
        }
        Change::Alerted { client, at } => {
            execute(db, "INSERT OR REPLACE INTO caps VALUES (?1, ?2)", params![client, millis(*at)])
        }
        Change::Learned(phone) => phones::put(db, phone),
        Change::Surveyed(said) => survey::put(db, said),
        Change::Unlearned(client) => phones::forget(db, client),
        Change::Labelled { visit, was_here, at } => labels::put(db, *visit, *was_here, *at),
        Change::Queued(queued) => put_message(db, queued),
        Change::Done(id) => execute(db, "DELETE FROM outbox WHERE id = ?1", params![to_sql(*id)]),
        Change::WebhookQueued(message) => webhooks::put(db, message),
        Change::WebhookDone(id) => webhooks::done(db, *id),
        Change::WebhookDead { id, at, why } => webhooks::dead(db, *id, *at, why),
        Change::Erased(visit) => {
            let visit = visit.to_string();
            execute(db, "DELETE FROM visits WHERE id = ?1", params![visit])?;
            execute(db, "DELETE FROM labels WHERE visit = ?1", params![visit])?;
            execute(db, "DELETE FROM webhooks WHERE visit = ?1", params![visit])?;
            execute(db, "DELETE FROM outbox WHERE visit = ?1", params![visit])
        }
        Change::Forgotten(client) => ["visits", "caps", "outbox", "labels", "phones", "webhooks"]
            .iter()
            .try_for_each(|table| {
                execute(db, &format!("DELETE FROM {table} WHERE client = ?1"), params![client])
            }),
        Change::Recognised { .. } => Ok(()), // the audit's
        Change::Published(what) => published::put(db, what),
        Change::Cleared(what) => published::remove(db, what),
        Change::Withdrawn { client, at } => {
            let sql = "INSERT OR IGNORE INTO withdrawals VALUES (?1, ?2)";
            execute(db, sql, params![client, millis(*at)])
        }
        Change::WithdrawnUpTo { list, serial } => {
            let sql = "INSERT OR REPLACE INTO withdrawn_up_to VALUES (1, ?1, ?2)";
            execute(db, sql, params![list, to_sql(*serial)])
        }
        Change::ClockSet(step) => set_clock(db, *step),
        Change::Heartbeat { heartbeat, closed_before, alerted_before, learned_before } => {
            put_heartbeat(db, heartbeat)?;
            let closed_before = millis(*closed_before);
            execute(db, "DELETE FROM visits WHERE departed_at < ?1", params![closed_before])?;
            let alerted_before = millis(*alerted_before);
            execute(db, "DELETE FROM caps WHERE last_alert < ?1", params![alerted_before])?;
            phones::age(db, *learned_before)?;
            webhooks::age(db, heartbeat.at.minus(DEAD_MESSAGES_KEPT))?;
            labels::age(db, heartbeat.at)
        }
    }
}

fn put_heartbeat(db: &Transaction<'_>, heartbeat: &Heartbeat) -> Result<()> {
    let boot = heartbeat.boot.as_ref();
    let uptime = boot.map(|boot| i64::try_from(boot.uptime.as_millis()).unwrap_or(i64::MAX));
    let boot = boot.map(|boot| &boot.id);
    let row = params![millis(heartbeat.at), heartbeat.clock_set, boot, uptime];
    execute(db, "INSERT OR REPLACE INTO alive VALUES (1, ?1, ?2, ?3, ?4)", row)
}

/// Corrects times that were read from the clock before it was set.
fn set_clock(db: &Transaction<'_>, ClockStep { since, by_millis }: ClockStep) -> Result<()> {
    let times = [
        ("visits", "arrived_at"),
        ("visits", "claimed_since"),
        ("visits", "departed_at"),
        ("visits", "checked_in_until"),
        ("caps", "last_alert"),
        ("outbox", "valid_from"),
        ("webhooks", "valid_from"),
        ("webhooks", "dead_at"),
        ("phones", "learned_at"),
        ("labels", "arrived_at"),
        ("labels", "said_at"),
    ];
    times.iter().try_for_each(|(table, time)| {
        let sql = format!("UPDATE {table} SET {time} = {time} + ?2 WHERE {time} >= ?1");
        execute(db, &sql, params![millis(since), by_millis])
    })
}

fn put_visit(
    db: &Transaction<'_>,
    visit: &Visit,
    gateway: &str,
    departed_at: Option<WallTime>,
) -> Result<()> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO visits VALUES (:id, :client, :tier, :card, :discreet, :gateway,
         :arrived_at, :confidence, :claimed_by, :claimed_since, :dismissed, :departed_at,
         :announced, :revision, :claimed_tablet, :escalated, :checked_in_until)",
    )?
    .execute(named_params! {
        ":id": visit.id.to_string(),
        ":client": visit.client,
        ":tier": visit.tier,
        ":card": visit.card.as_deref().map(card_text),
        ":discreet": visit.discreet,
        ":gateway": gateway,
        ":arrived_at": millis(visit.arrived_at),
        ":confidence": visit.confidence,
        ":claimed_by": visit.claim.as_ref().map(|claim| &claim.by),
        ":claimed_since": visit.claim.as_ref().map(|claim| millis(claim.since)),
        ":dismissed": visit.dismissed,
        ":departed_at": departed_at.map(millis),
        ":announced": visit.announced,
        ":revision": visit.revision,
        ":claimed_tablet": visit.claim.as_ref().and_then(|claim| claim.tablet.as_ref()),
        ":escalated": visit.escalated,
        ":checked_in_until": visit.checked_in_until.map(millis),
    })
    .map(drop)
}

fn put_message(db: &Transaction<'_>, Queued { id, message }: &Queued) -> Result<()> {
    let (visit, kind) = (message.visit.to_string(), message.kind.word());
    execute(db, "DELETE FROM outbox WHERE visit = ?1 AND kind = ?2", params![visit, kind])?;
    let lifetime = i64::try_from(message.lifetime.as_millis()).unwrap_or(i64::MAX);
    execute(
        db,
        "INSERT INTO outbox (id, kind, payload, valid_from, lifetime, visit, client)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            to_sql(*id),
            kind,
            &message.payload[..],
            millis(message.from),
            lifetime,
            visit,
            message.client
        ],
    )
}

pub(super) fn restored(db: &Connection, settings: &Settings, now: WallTime) -> Result<Restored> {
    let closed_before = millis(now.minus(settings.presence.rejoin));
    let visits = db
        .prepare(
            "SELECT * FROM visits WHERE departed_at IS NULL OR departed_at >= ?1
             ORDER BY arrived_at, id",
        )?
        .query_map(params![closed_before], |row| visit(row, settings))?
        .filter_map(readable)
        .collect::<Result<_>>()?;
    let last_alerts = db
        .prepare("SELECT client, last_alert FROM caps ORDER BY client")?
        .query_map([], |row| Ok((row.get(0)?, WallTime::from_unix_millis(row.get(1)?))))?
        .collect::<Result<_>>()?;
    let withdrawn = db
        .prepare("SELECT client FROM withdrawals ORDER BY client")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_>>()?;
    let phones = phones::since(db, now.minus(settings.presence.known_for))?;
    let survey = survey::get(db)?;
    Ok(Restored { visits, last_alerts, withdrawn, phones, survey, ..Restored::default() })
}

fn visit(row: &rusqlite::Row<'_>, settings: &Settings) -> Result<RestoredVisit> {
    let claim = match (row.get("claimed_by")?, row.get::<_, Option<i64>>("claimed_since")?) {
        (Some(by), Some(since)) => {
            let (since, tablet) = (WallTime::from_unix_millis(since), row.get("claimed_tablet")?);
            Some(Claim { by, tablet, since })
        }
        _ => None,
    };
    let visit = Visit {
        id: visit_id(row, "id")?,
        client: row.get("client")?,
        tier: row.get("tier")?,
        card: row.get::<_, Option<String>>("card")?.as_deref().and_then(card).map(Arc::new),
        discreet: row.get("discreet")?,
        gateway: gateway(settings, &row.get::<_, String>("gateway")?),
        arrived_at: WallTime::from_unix_millis(row.get("arrived_at")?),
        confidence: row.get("confidence")?,
        claim,
        dismissed: row.get("dismissed")?,
        announced: row.get("announced")?,
        escalated: row.get("escalated")?,
        checked_in_until: row
            .get::<_, Option<i64>>("checked_in_until")?
            .map(WallTime::from_unix_millis),
        revision: row.get("revision")?,
    };
    let departed_at = row.get::<_, Option<i64>>("departed_at")?.map(WallTime::from_unix_millis);
    Ok(RestoredVisit { visit, departed_at })
}

/// The visits of a gateway that is no longer configured go to this one, the first.
fn gateway(settings: &Settings, name: &str) -> GatewayIndex {
    let place = settings.gateways.iter().position(|gateway| gateway.name == name);
    GatewayIndex(place.and_then(|place| u8::try_from(place).ok()).unwrap_or(0))
}

pub(super) fn last_heartbeat(db: &Connection) -> Result<Option<Heartbeat>> {
    db.query_row("SELECT * FROM alive", [], |row| {
        let uptime = row.get::<_, Option<i64>>("uptime")?.and_then(|ms| u64::try_from(ms).ok());
        let boot = row.get::<_, Option<String>>("boot")?.zip(uptime);
        Ok(Heartbeat {
            at: WallTime::from_unix_millis(row.get("at")?),
            clock_set: row.get("clock_set")?,
            boot: boot.map(|(id, ms)| Boot { id, uptime: Duration::from_millis(ms) }),
        })
    })
    .optional()
}

/// The list of head office whose withdrawals are known, and the last known number.
pub(super) fn withdrawn_up_to(db: &Connection) -> Result<Option<(Arc<str>, u64)>> {
    db.query_row("SELECT list, serial FROM withdrawn_up_to", [], |row| {
        Ok((row.get("list")?, u64::try_from(row.get::<_, i64>("serial")?).unwrap_or(0)))
    })
    .optional()
}

pub(super) fn queued(db: &Connection) -> Result<Vec<Queued>> {
    db.prepare("SELECT * FROM outbox ORDER BY id")?
        .query_map([], |row| {
            let lifetime = u64::try_from(row.get::<_, i64>("lifetime")?).unwrap_or(0);
            let kind = MessageKind::parse(&row.get::<_, String>("kind")?);
            let message = OutboundMessage {
                kind: kind.unwrap_or(MessageKind::VisitState),
                visit: visit_id(row, "visit")?,
                payload: row.get::<_, Vec<u8>>("payload")?.into(),
                from: WallTime::from_unix_millis(row.get("valid_from")?),
                lifetime: Duration::from_millis(lifetime),
                client: row.get("client")?,
            };
            let id = u64::try_from(row.get::<_, i64>("id")?).unwrap_or(0);
            Ok(Queued { id, message })
        })?
        .filter_map(readable)
        .collect()
}

fn card_text(card: &Card) -> String {
    let Card { name, language, note } = card.clone();
    serde_json::to_string(&CardRow { name, language, note }).unwrap_or_default()
}

fn card(text: &str) -> Option<Card> {
    let CardRow { name, language, note } = serde_json::from_str(text).ok()?;
    Some(Card { name, language, note })
}

fn execute(db: &Transaction<'_>, sql: &str, params: impl rusqlite::Params) -> Result<()> {
    db.prepare_cached(sql)?.execute(params).map(drop)
}

const fn millis(time: WallTime) -> i64 {
    time.unix_millis()
}

fn to_sql(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}
