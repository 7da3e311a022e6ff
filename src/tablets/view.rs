//! The board as JSON: one object, always whole.
//!
//! A store's board is a few kilobytes, so a tablet that missed events needs no repair: the next one
//! is complete.

use std::borrow::Cow;

use serde::Serialize;

use super::board::{Board, BrokerLink, Card, Claim, End, EndedVisit, GatewayStatus, Stay, Visit};
use super::page_settings::PageSettings;
use super::settings::StoreLabel;
use crate::config::CrmUrl;
use crate::pipeline::units::WallTime;
use crate::text;

/// Version of this format, for pages that outlive a restart of the server.
const VERSION: u8 = 1;

/// Characters. Longer text is cut: a card has no room for more, and a broker may be hostile.
const LONGEST_TEXT: usize = 280;

/// The board as JSON.
pub fn json(
    store: &StoreLabel,
    settings: &PageSettings,
    crm: Option<&CrmUrl>,
    board: &Board,
    now: WallTime,
) -> String {
    let stays = board.stays();
    let ended = board.ended();
    let (link, since) = board.broker();
    let shown = BoardJson {
        v: VERSION,
        store: StoreJson { id: store.id, name: &store.name },
        settings: SettingsJson {
            repeat_secs: settings.repeat.as_secs(),
            late_secs: settings.late.as_secs(),
            idle_mins: settings.idle.as_secs() / 60,
            shift_ended_at: settings.shift_ended_at(now).map(|time| time.to_string()),
        },
        broker: StateJson { state: link_word(link), since: Some(since.to_string()) },
        gateways: board
            .gateways()
            .map(|(name, gateway)| GatewayJson {
                name: cut(name),
                label: gateway.label.as_deref().map(cut),
                status: StateJson {
                    state: status_word(gateway.status),
                    since: gateway.since.map(|time| time.to_string()),
                },
            })
            .collect(),
        visits: stays.iter().filter_map(|stay| here(stay, crm)).collect(),
        hidden: ended.iter().filter_map(|ended| hidden(ended, crm)).collect(),
        left: ended.iter().filter_map(|ended| left(ended, crm)).collect(),
    };
    // Strings and numbers only: this cannot fail.
    serde_json::to_string(&shown).unwrap_or_default()
}

#[derive(Serialize)]
struct BoardJson<'a> {
    v: u8,
    store: StoreJson<'a>,
    settings: SettingsJson,
    broker: StateJson,
    gateways: Vec<GatewayJson<'a>>,
    visits: Vec<VisitJson<'a>>,
    hidden: Vec<HiddenJson<'a>>,
    left: Vec<DepartedJson<'a>>,
}

#[derive(Serialize)]
struct SettingsJson {
    repeat_secs: u64,
    late_secs: u64,
    idle_mins: u64,
    shift_ended_at: Option<String>,
}

#[derive(Serialize)]
struct StoreJson<'a> {
    id: u16,
    name: &'a str,
}

#[derive(Serialize)]
struct StateJson {
    state: &'static str,
    since: Option<String>,
}

#[derive(Serialize)]
struct GatewayJson<'a> {
    name: Cow<'a, str>,
    label: Option<Cow<'a, str>>,
    #[serde(flatten)]
    status: StateJson,
}

#[derive(Serialize)]
struct CustomerJson<'a> {
    visit: String,
    client: Cow<'a, str>,
    tier: Cow<'a, str>,
    tier_name: Option<Cow<'a, str>>,
    card: Option<CardJson<'a>>,
    discreet: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    crm_url: Option<String>,
}

#[derive(Serialize)]
struct VisitJson<'a> {
    #[serde(flatten)]
    person: CustomerJson<'a>,
    merged: Vec<String>,
    gateway: Cow<'a, str>,
    arrived_at: String,
    confidence: f64,
    announced_at: Option<String>,
    escalated: bool,
    claim: Option<ClaimJson<'a>>,
}

#[derive(Serialize)]
struct DepartedJson<'a> {
    #[serde(flatten)]
    person: CustomerJson<'a>,
    departed_at: String,
}

#[derive(Serialize)]
struct HiddenJson<'a> {
    #[serde(flatten)]
    person: CustomerJson<'a>,
    hidden_at: String,
    by: Cow<'a, str>,
}

#[derive(Serialize)]
struct CardJson<'a> {
    name: Cow<'a, str>,
    language: Option<Cow<'a, str>>,
    note: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
struct ClaimJson<'a> {
    by: Cow<'a, str>,
    tablet: Option<Cow<'a, str>>,
    since: String,
}

fn here<'a>(stay: &Stay<'a>, crm: Option<&CrmUrl>) -> Option<VisitJson<'a>> {
    let visit = stay.first()?;
    Some(VisitJson {
        person: person(visit, crm),
        merged: stay.merged().map(|id| id.to_string()).collect(),
        gateway: cut(&visit.gateway),
        arrived_at: visit.arrived_at.to_string(),
        confidence: visit.confidence,
        announced_at: stay.announced_at().map(|time| time.to_string()),
        escalated: stay.escalated(),
        claim: stay.claim().map(claim),
    })
}

fn left<'a>(ended: &'a EndedVisit, crm: Option<&CrmUrl>) -> Option<DepartedJson<'a>> {
    let departed =
        || DepartedJson { person: person(&ended.visit, crm), departed_at: ended.at.to_string() };
    (ended.end == End::Departed).then(departed)
}

fn hidden<'a>(ended: &'a EndedVisit, crm: Option<&CrmUrl>) -> Option<HiddenJson<'a>> {
    let End::Hidden(by) = &ended.end else { return None };
    let person = person(&ended.visit, crm);
    Some(HiddenJson { person, hidden_at: ended.at.to_string(), by: cut(by) })
}

fn person<'a>(visit: &'a Visit, crm: Option<&CrmUrl>) -> CustomerJson<'a> {
    CustomerJson {
        visit: visit.id.to_string(),
        client: cut(&visit.client),
        tier: cut(&visit.tier),
        tier_name: visit.tier_name.as_deref().map(cut),
        card: visit.card.as_ref().map(card),
        discreet: visit.discreet,
        crm_url: crm.map(|crm| crm.of(&visit.client)),
    }
}

fn card(card: &Card) -> CardJson<'_> {
    CardJson {
        name: cut(&card.name),
        language: card.language.as_deref().map(cut),
        note: card.note.as_deref().map(cut),
    }
}

fn claim(claim: &Claim) -> ClaimJson<'_> {
    ClaimJson {
        by: cut(&claim.by),
        tablet: claim.tablet.as_deref().map(cut),
        since: claim.since.to_string(),
    }
}

/// Text of others as the page shows it: displayable, and at most [`LONGEST_TEXT`] characters.
fn cut(text: &str) -> Cow<'_, str> {
    let end = text.char_indices().nth(LONGEST_TEXT).map_or(text.len(), |(end, _)| end);
    text::displayable(text.get(..end).unwrap_or_default())
}

const fn link_word(link: BrokerLink) -> &'static str {
    match link {
        BrokerLink::Live => "live",
        BrokerLink::Away => "away",
    }
}

const fn status_word(status: GatewayStatus) -> &'static str {
    match status {
        GatewayStatus::Online => "online",
        GatewayStatus::Blind => "blind",
        GatewayStatus::Offline => "offline",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_letters_never_within_one() {
        let text = "é".repeat(LONGEST_TEXT + 1);
        assert_eq!(cut(&text).chars().count(), LONGEST_TEXT);
        assert_eq!(cut("Mme D."), "Mme D.");
    }

    #[test]
    fn a_name_with_direction_changing_or_invisible_characters_is_shown_without_them() {
        assert_eq!(cut("Mme \u{202e}.D\u{200b}"), "Mme .D");
    }
}
