//! The presence filter over tapes, day after day.

use grelot::commands::score::{EARLY, Event, EventKind, Score};
use grelot::pipeline::Settings;

use crate::belief::score;
use crate::tape::Tape;
use grelot::pipeline::event::{GatewayIndex, Start};
use grelot::pipeline::identity::CustomerIndex;
use grelot::pipeline::presence::{Presence, PresenceChange, PresenceEvent, Survey};
use grelot::pipeline::units::Tick;

/// A customer who was announced.
pub struct Announced {
    pub confidence: f32,
    /// Whether the customer was inside.
    pub inside: bool,
    /// Whether the customer was, or came in so soon after that the score counts it as found.
    pub found: bool,
    /// Whether the registry named the phone's model.
    pub knew_phone: bool,
}

/// A shop's gateway, day after day.
#[derive(Default)]
pub struct Trial {
    /// Whether the registry names the models of phones.
    pub knows_phones: bool,
    /// The statistics of the traffic so far.
    pub survey: Survey,
}

impl Trial {
    /// Plays the next day.
    pub fn play(&mut self, tape: &Tape, settings: &Settings) -> (Score, Vec<Announced>) {
        let survey = std::mem::take(&mut self.survey);
        let mut presence = Presence::new(settings.clone(), survey, Start::Followed, Tick::ZERO);
        let knew_phone = self.knows_phones;
        let (mut events, mut announced) = (Vec::new(), Vec::new());
        let mut say = |at: Tick, event: PresenceEvent| {
            let client = tape.clients.get(event.who.0 as usize).cloned().unwrap_or_default();
            let kind = match event.what {
                PresenceChange::Arrived { confidence, .. } => {
                    let at = at.since(Tick::ZERO);
                    let inside = tape.is_inside(&client, at);
                    let found = inside || tape.is_inside(&client, at + EARLY);
                    announced.push(Announced { confidence, inside, found, knew_phone });
                    EventKind::Arrival
                }
                PresenceChange::Departed { .. } => EventKind::Departure,
                _ => return,
            };
            events.push(Event { at: at.since(Tick::ZERO), kind, client });
        };
        for contact in &tape.contacts {
            let now = contact.at();
            pass(&mut presence, now, &mut say);
            let (gateway, who) = (GatewayIndex(contact.gateway), contact.customer.into());
            let phones = self.knows_phones.then_some(&tape.phones);
            let phone = phones.and_then(|all| all.get(usize::from(contact.customer)));
            let phone = phone.copied().unwrap_or_default();
            let rssi = contact.rssi().map(|rssi| phone.average_rssi(rssi));
            let echo = contact.echo().map(|echo| phone.average_echo(echo));
            let heard =
                presence.hear(CustomerIndex(who), now, gateway, rssi, echo, phones.is_some());
            if let Some(event) = heard {
                say(now, event);
            }
        }
        let end = Tick::ZERO.plus(tape.ended_at + settings.presence.longest_visit);
        pass(&mut presence, end, &mut say);
        self.survey = presence.survey().clone();
        (score(tape, events), announced)
    }
}

/// Handles all events that time alone brings until `until`.
pub fn pass(presence: &mut Presence, until: Tick, say: &mut dyn FnMut(Tick, PresenceEvent)) {
    while let Some(due) = presence.next_deadline().filter(|due| *due < until) {
        while let Some(event) = presence.expire(due) {
            say(due, event);
        }
    }
}
