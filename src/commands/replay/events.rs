//! What a replay prints: one line an event.

use std::time::Duration;

use serde::Serialize;

use crate::pipeline::event::{Announcement, Visit};
use crate::pipeline::{Effect, Settings};

/// One event of a replay. The order of its keys is a promise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// Seconds since the recording's start, to the millisecond.
    pub t: f64,
    #[expect(clippy::struct_field_names, reason = "the key in JSON")]
    pub event: Word,
    /// The visit's id; absent where a customer was not announced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visit: Option<String>,
    pub client: String,
    /// The gateway that received the customer best.
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<String>,
    /// How sure, 0.5 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<f64>,
    /// Why a visit ended, or why an arrival is silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// Whether staff are alerted.
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<bool>,
    /// Why, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<String>,
}

/// The events there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    Arrival,
    /// A closed visit continues.
    Return,
    Departure,
    /// Why (only with `--explain`).
    Because,
}

impl Event {
    /// The event of `effect`; `None` where there is nothing to print.
    pub fn of(at: Duration, effect: &Effect, settings: &Settings, explain: bool) -> Option<Self> {
        let bare = |event, visit: Option<String>, client: &str| Self {
            t: (at.as_secs_f64() * 1000.0).round() / 1000.0,
            event,
            visit,
            client: client.to_owned(),
            gateway: None,
            confidence: None,
            reason: None,
            alert: None,
            because: None,
        };
        let of_visit =
            |event, visit: &Visit| bare(event, Some(visit.id.to_string()), &visit.client);
        match effect {
            Effect::Arrived { visit, announcement } => {
                let gateway = settings.gateways.get(usize::from(visit.gateway.0));
                let (alert, reason) = match announcement {
                    Announcement::Alert { .. } => (true, None),
                    Announcement::Silent(because) => (false, Some(because.word())),
                };
                Some(Self {
                    gateway: gateway.map(|gateway| gateway.name.clone()),
                    confidence: Some((f64::from(visit.confidence) * 1000.0).round() / 1000.0),
                    alert: Some(alert),
                    reason,
                    ..of_visit(Word::Arrival, visit)
                })
            }
            Effect::Returned(visit) => Some(of_visit(Word::Return, visit)),
            Effect::Departed { visit, reason, .. } => {
                Some(Self { reason: Some(reason.word()), ..of_visit(Word::Departure, visit) })
            }
            Effect::Explained(why) if explain => Some(Self {
                because: Some(why.why.to_string()),
                ..bare(Word::Because, why.visit.map(|id| id.to_string()), &why.client)
            }),
            _ => None,
        }
    }

    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub fn line(&self) -> String {
        let word = match self.event {
            Word::Arrival => "arrives",
            Word::Return => "is back",
            Word::Departure => "departs",
            Word::Because => "because",
        };
        let mut line = format!("{:>10.3} s  {:<8} {:<14}", self.t, word, self.client);
        if let Some(gateway) = &self.gateway {
            line += &format!(" at {gateway}");
        }
        if let Some(confidence) = self.confidence {
            line += &format!(", {:.0} % sure", confidence * 100.0);
        }
        if let Some(reason) = self.reason {
            line += &format!(" ({reason})");
        }
        if let Some(because) = &self.because {
            line += &format!(" {because}");
        }
        line
    }
}
