//! The board as it travels to a tablet: one JSON object, always whole.
//!
//! A shop's board is a few kilobytes, so a tablet that missed something needs no repair: whatever
//! it hears next is the truth.

use std::borrow::Cow;

use serde::Serialize;

use super::StoreLabel;
use super::board::{Board, Card, Claim, Farewell, Hearing, Link, Stay, Visit};
use crate::text;

/// Version of this format, for pages that outlive a restart of the server.
const VERSION: u8 = 1;

/// Text beyond this is cut: a card is read at arm's length, and a broker may be hostile.
const LONGEST_TEXT: usize = 280;

/// The board as JSON.
pub fn json(store: &StoreLabel, board: &Board) -> String {
    let stays = board.stays();
    let farewells = board.farewells();
    let (link, since) = board.broker();
    let shown = Shown {
        v: VERSION,
        store: Store { id: store.id, name: &store.name },
        broker: Since { state: link_word(link), since: Some(since.to_string()) },
        gateways: board
            .gateways()
            .map(|(name, hearing, since)| Gateway {
                name: cut(name),
                hearing: Since {
                    state: hearing_word(hearing),
                    since: since.map(|time| time.to_string()),
                },
            })
            .collect(),
        visits: stays.iter().filter_map(here).collect(),
        left: farewells.into_iter().map(left).collect(),
    };
    // Strings and numbers alone: there is nothing in it that JSON cannot say.
    serde_json::to_string(&shown).unwrap_or_default()
}

#[derive(Serialize)]
struct Shown<'a> {
    v: u8,
    store: Store<'a>,
    broker: Since,
    gateways: Vec<Gateway<'a>>,
    visits: Vec<Here<'a>>,
    left: Vec<Left<'a>>,
}

#[derive(Serialize)]
struct Store<'a> {
    id: u16,
    name: &'a str,
}

#[derive(Serialize)]
struct Since {
    state: &'static str,
    since: Option<String>,
}

#[derive(Serialize)]
struct Gateway<'a> {
    name: Cow<'a, str>,
    #[serde(flatten)]
    hearing: Since,
}

#[derive(Serialize)]
struct Person<'a> {
    visit: String,
    client: Cow<'a, str>,
    tier: Cow<'a, str>,
    card: Option<ShownCard<'a>>,
    discreet: bool,
}

#[derive(Serialize)]
struct Here<'a> {
    #[serde(flatten)]
    person: Person<'a>,
    merged: Vec<String>,
    gateway: Cow<'a, str>,
    arrived_at: String,
    confidence: f64,
    announced_at: Option<String>,
    claim: Option<ShownClaim<'a>>,
}

#[derive(Serialize)]
struct Left<'a> {
    #[serde(flatten)]
    person: Person<'a>,
    departed_at: String,
}

#[derive(Serialize)]
struct ShownCard<'a> {
    name: Cow<'a, str>,
    language: Option<Cow<'a, str>>,
    note: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
struct ShownClaim<'a> {
    by: Cow<'a, str>,
    since: String,
}

fn here<'a>(stay: &Stay<'a>) -> Option<Here<'a>> {
    let visit = stay.first()?;
    Some(Here {
        person: person(visit),
        merged: stay.merged().map(|id| id.to_string()).collect(),
        gateway: cut(&visit.gateway),
        arrived_at: visit.arrived_at.to_string(),
        confidence: visit.confidence,
        announced_at: stay.announced_at().map(|time| time.to_string()),
        claim: stay.claim().map(claim),
    })
}

fn left(farewell: &Farewell) -> Left<'_> {
    Left { person: person(&farewell.visit), departed_at: farewell.departed_at.to_string() }
}

fn person(visit: &Visit) -> Person<'_> {
    Person {
        visit: visit.id.to_string(),
        client: cut(&visit.client),
        tier: cut(&visit.tier),
        card: visit.card.as_ref().map(card),
        discreet: visit.discreet,
    }
}

fn card(card: &Card) -> ShownCard<'_> {
    ShownCard {
        name: cut(&card.name),
        language: card.language.as_deref().map(cut),
        note: card.note.as_deref().map(cut),
    }
}

fn claim(claim: &Claim) -> ShownClaim<'_> {
    ShownClaim { by: cut(&claim.by), since: claim.since.to_string() }
}

/// Text of others as the page shows it: displayable, and at most [`LONGEST_TEXT`] characters.
fn cut(text: &str) -> Cow<'_, str> {
    let end = text.char_indices().nth(LONGEST_TEXT).map_or(text.len(), |(end, _)| end);
    text::displayable(text.get(..end).unwrap_or_default())
}

const fn link_word(link: Link) -> &'static str {
    match link {
        Link::Live => "live",
        Link::Away => "away",
    }
}

const fn hearing_word(hearing: Hearing) -> &'static str {
    match hearing {
        Hearing::Online => "online",
        Hearing::Blind => "blind",
        Hearing::Offline => "offline",
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
