//! From contacts to presence: one tracker for every customer who is received.
//!
//! Parts: `places.rs` and `fitted.rs` (what is known of every shop, counted on random shops),
//! `survey.rs` (statistics of this shop's own traffic), `site_model.rs` (the usual levels of each
//! gateway and beacon that follow from them, with `gaussian.rs`), `belief.rs` and `grid.rs` (a
//! hidden Markov filter over eight places and seven RSSI offsets of the phone), `recurrent.rs` (a
//! network that says how sure it is that a customer is inside, with `known.rs`), `trend.rs`
//! (running levels), `track.rs` (the state of one customer), `labels.rs` (what staff say of a
//! customer, for the survey).
//!
//! Fast in, slow out: a few loud readings open a visit, a long silence or a long doubt closes it.
//! Departures are driven by timers on monotonic time, and a blind gateway never causes one.

pub mod belief;
pub mod event;
mod fitted;
mod gaussian;
mod grid;
mod interval;
mod known;
mod labels;
pub mod loudness;
pub mod places;
#[expect(clippy::indexing_slicing, reason = "there are two groups")]
pub mod recurrent;
#[expect(clippy::approx_constant, reason = "weights, not constants")]
mod recurrent_fitted;
pub mod settings;
#[expect(
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "places are few and known"
)]
pub mod site_model;
pub mod survey;
mod timers;
mod track;
#[expect(clippy::indexing_slicing, reason = "there are two sides")]
mod trend;

pub use belief::PERIOD_US;
pub use event::{PeakEvidence, PlaceShares, PresenceChange, PresenceEvent};
pub use loudness::Loudness;
pub use settings::Settings;
pub use survey::Survey;

use std::collections::BTreeMap;
use std::time::Duration;

use super::advert::Echo;
use super::settings::Settings as StoreSettings;
use super::units::{Dbm, Tick};
use crate::pipeline::gateway::{Gateway, GatewayIndex, Hearing};
use crate::pipeline::identity::customer::CustomerIndex;
use crate::pipeline::start::Start;
use labels::Labels;
use loudness::Phones;
use site_model::SiteModel;
use timers::Timers;
use track::Track;

/// How often the survey is stored: an SD card wears out, and losing a few customers does not
/// matter.
const SURVEY_EVERY: Duration = Duration::from_mins(15);
/// Customers who pass count for the survey from so long after reception began or came back: before,
/// who is received for a short time may have been inside for long.
const SETTLED_AFTER: Duration = Duration::from_mins(5);

/// Presence of all customers: one track for each who is or was just received.
#[derive(Debug)]
pub struct Presence {
    settings: StoreSettings,
    site: SiteModel,
    survey: Survey,
    /// The survey has changed since it was last taken ...
    surveyed: bool,
    /// ... and may be taken again from then on.
    survey_due: Tick,
    /// A bit for each gateway that receives: its silence means something.
    listening: u64,
    /// Boxed: a map's nodes are half empty, and a track is far larger than its key.
    tracks: BTreeMap<CustomerIndex, Box<Track>>,
    phones: Phones,
    labels: Labels,
    timers: Timers,
    /// A bit for each gateway whose radio receives nothing.
    blind: u64,
    /// When reception began, or last came back.
    receives_since: Tick,
    warm_until: Tick,
}

impl Presence {
    /// Starts with no customer.
    pub fn new(settings: StoreSettings, mut survey: Survey, start: Start, now: Tick) -> Self {
        let warm_until = match start {
            Start::Followed => now,
            Start::Unfollowed => now.plus(settings.presence.warm_up),
        };
        survey.keep(&settings.gateways);
        Self {
            site: SiteModel::new(&settings, &survey),
            settings,
            survey,
            surveyed: false,
            survey_due: now.plus(SURVEY_EVERY),
            listening: 0,
            tracks: BTreeMap::new(),
            phones: Phones::default(),
            labels: Labels::default(),
            timers: Timers::default(),
            blind: 0,
            receives_since: now,
            warm_until,
        }
    }

    /// Gateways whose silence means something from the start, a bit for each.
    #[must_use]
    pub fn listening(self, listening: u64) -> Self {
        Self { listening, ..self }
    }

    /// The gateways whose silence means something, and those that receive nothing: a bit for each.
    pub fn receiving(&self) -> (u64, u64) {
        (self.listening, self.blind)
    }

    /// The RSSI offset of a customer's phone, in whole dB; 0 where it is not known.
    pub fn discount_db(&self, who: CustomerIndex, now: Tick) -> i8 {
        self.phones.of(who, now).discount_db()
    }

    /// Whether the customer is tracked, inside or not.
    pub fn follows(&self, who: CustomerIndex) -> bool {
        self.tracks.contains_key(&who)
    }

    /// Replaces what is known of the shop's radio.
    pub fn learn_site(&mut self, survey: Survey) {
        self.survey = survey;
        self.survey.keep(&self.settings.gateways);
        self.site = SiteModel::new(&self.settings, &self.survey);
    }

    /// Deletes what was learned of one gateway, by its name, or of all gateways and beacons. Returns
    /// what is left.
    pub fn forget_site(&mut self, gateway: Option<&str>, now: Tick) -> Survey {
        let named = |one: &Gateway| Some(one.name.as_str()) == gateway;
        let nth = self.settings.gateways.iter().position(named);
        let nth = nth.and_then(|nth| u8::try_from(nth).ok()).map(GatewayIndex);
        if gateway.is_none() || nth.is_some() {
            self.tracks.values_mut().for_each(|track| track.forget_levels(nth));
        }
        self.survey.forget(gateway);
        self.site = SiteModel::new(&self.settings, &self.survey);
        (self.surveyed, self.survey_due) = (false, now.plus(SURVEY_EVERY));
        self.survey.clone()
    }

    /// A member of staff takes care of the customer, or no longer does.
    pub fn claimed(&mut self, who: CustomerIndex, claimed: bool) {
        self.labels.claimed(who, claimed);
    }

    /// Staff say whether the customer was inside; `None` takes it back.
    pub fn judged(&mut self, who: CustomerIndex, was_here: Option<bool>) {
        self.labels.judged(who, was_here);
    }

    /// Restores the RSSI offset of a customer's phone, to be deleted at `until`.
    pub fn recall(&mut self, who: CustomerIndex, phone: Loudness, until: Tick) {
        self.phones.remember(who, phone, until);
    }

    /// Restores a visit that was open before a restart.
    pub fn restore_open(&mut self, who: CustomerIndex, now: Tick) {
        self.insert(who, Box::new(Track::here(now, self.phones.of(who, now))));
    }

    /// Restores a visit that was closed before a restart and may continue until `until`.
    pub fn restore_closed(&mut self, who: CustomerIndex, now: Tick, until: Tick) {
        self.insert(who, Box::new(Track::gone(now, self.phones.of(who, now), until)));
    }

    /// Another gateway of the store opened a visit of the customer.
    pub fn adopt(&mut self, who: CustomerIndex, now: Tick) {
        let anew = || Box::new(Track::here(now, self.phones.of(who, now)));
        let mut track = self.tracks.remove(&who).unwrap_or_else(anew);
        self.timers.disarm(who, track.armed.take());
        track.adopt(now);
        self.insert(who, track);
    }

    /// Opens a visit without a contact, for `stay` unless the customer is received.
    pub fn check_in(&mut self, who: CustomerIndex, now: Tick, stay: Duration) {
        self.adopt(who, now);
        let Some(mut track) = self.tracks.remove(&who) else { return };
        self.timers.disarm(who, track.armed.take());
        track.stay_silent_until(now.plus(stay));
        self.insert(who, track);
    }

    /// Another gateway of the store closed the customer's visit. Returns the phone's new RSSI
    /// offset, if the visit gave an estimate.
    pub fn release(&mut self, who: CustomerIndex, now: Tick) -> Option<Loudness> {
        let mut track = self.tracks.remove(&who)?;
        self.timers.disarm(who, track.armed.take());
        let learned = track.release(now, &self.settings.presence);
        self.insert(who, track);
        self.learn(who, learned, now)
    }

    /// Keeps the estimate of a visit for `presence.known_for`.
    fn learn(
        &mut self,
        who: CustomerIndex,
        learned: Option<Loudness>,
        now: Tick,
    ) -> Option<Loudness> {
        let learned = learned.filter(|_| !self.settings.presence.known_for.is_zero())?;
        self.phones.age(now);
        self.phones.remember(who, learned, now.plus(self.settings.presence.known_for));
        Some(learned)
    }

    fn insert(&mut self, who: CustomerIndex, mut track: Box<Track>) {
        track.armed = Some(self.timers.arm(who, None, track.deadline(&self.settings.presence)));
        self.tracks.insert(who, track);
    }

    /// Takes one contact of a customer. `of_known_model` where the registry says how loud the phone's
    /// model is; its levels are then an average phone's.
    pub fn hear(
        &mut self,
        who: CustomerIndex,
        now: Tick,
        gateway: GatewayIndex,
        rssi: Option<Dbm>,
        echo: Option<Echo>,
        of_known_model: bool,
    ) -> Option<PresenceEvent> {
        self.listening |= 1 << (gateway.0 % 64);
        let reading = &self.site.reading(gateway, rssi, echo, of_known_model);
        let around = (&self.site, self.listening & !self.blind);
        let unfollowed = now < self.warm_until;
        let anew = || Box::new(Track::passing(now, self.phones.of(who, now), unfollowed));
        let track = self.tracks.entry(who).or_insert_with(anew);
        track.hear(now, reading, around, &self.settings.presence);
        let event = track.after_contact(who, now, &self.settings.presence);
        track.armed =
            Some(self.timers.arm(who, track.armed, track.deadline(&self.settings.presence)));
        event
    }

    /// The next event that is due by time alone; to be called until there is none.
    pub fn expire(&mut self, now: Tick) -> Option<PresenceEvent> {
        while let Some(who) = self.timers.pop_due(now) {
            let Some(track) = self.tracks.get_mut(&who) else { continue };
            let deaf = track.is_here() && self.blind != 0 && is_deaf(self.blind, track);
            let mut event = track.after_time(who, now, &self.settings.presence, deaf);
            if let Some(PresenceEvent { what, .. }) = event {
                let heard = track.take_heard();
                // Who was announced did not pass.
                let passed = !matches!(what, PresenceChange::Departed { .. })
                    && self.blind == 0
                    && now >= self.receives_since.plus(SETTLED_AFTER);
                let stays = heard.stays().filter(|stays| *stays || passed);
                if let Some(stays) = self.labels.take(who).or(stays)
                    && self.survey.add(&heard, stays, &self.settings.gateways)
                {
                    self.site = SiteModel::new(&self.settings, &self.survey);
                    self.surveyed = true;
                }
            }
            if event.is_some_and(|v| {
                matches!(v.what, PresenceChange::Passed { .. } | PresenceChange::Closed)
            }) {
                self.tracks.remove(&who);
            } else {
                track.armed =
                    Some(self.timers.arm(who, None, track.deadline(&self.settings.presence)));
            }
            if let Some(PresenceEvent { what: PresenceChange::Departed { learned, .. }, .. }) =
                &mut event
            {
                *learned = self.learn(who, *learned, now);
            }
            if event.is_some() {
                return event;
            }
        }
        None
    }

    /// When [`Presence::expire`] should be called at the latest.
    pub fn next_deadline(&self) -> Option<Tick> {
        self.timers.next()
    }

    /// A gateway stopped receiving or receives again.
    pub fn hearing(&mut self, gateway: GatewayIndex, hearing: Hearing, now: Tick) {
        let bit = 1 << (gateway.0 % 64);
        match hearing {
            Hearing::Blind => self.blind |= bit,
            Hearing::Listening if self.blind & bit != 0 => {
                self.blind &= !bit;
                self.receives_since = now;
                for track in self.tracks.values_mut().filter(|track| track.heard_by(gateway)) {
                    track.restart_silence(now);
                }
            }
            Hearing::Listening => {}
        }
    }

    /// Replaces the settings at once; timers move with them.
    pub fn set(&mut self, settings: StoreSettings) {
        self.survey.keep(&settings.gateways);
        self.site = SiteModel::new(&settings, &self.survey);
        self.settings = settings;
        self.timers.clear();
        for (who, track) in &mut self.tracks {
            let deadline = track.deadline(&self.settings.presence);
            track.armed = Some(self.timers.arm(*who, None, deadline));
        }
    }

    /// The registry changed: `moved` gives each customer's new index, or `None` for one who is no
    /// longer enrolled.
    pub fn reindex(&mut self, moved: impl Fn(CustomerIndex) -> Option<CustomerIndex>) {
        self.phones.reindex(&moved);
        self.labels.reindex(&moved);
        let tracks = std::mem::take(&mut self.tracks);
        self.timers.clear();
        for (who, track) in tracks {
            if let Some(who) = moved(who) {
                self.insert(who, track);
            }
        }
    }

    pub fn forget(&mut self, who: CustomerIndex) {
        self.phones.forget(who);
        self.labels.take(who);
        if let Some(track) = self.tracks.remove(&who) {
            self.timers.disarm(who, track.armed);
        }
    }

    /// The customers who are tracked, inside or not.
    pub fn customers(&self) -> impl Iterator<Item = CustomerIndex> + '_ {
        self.tracks.keys().copied()
    }

    /// The customers whose phones' RSSI offsets are known.
    pub fn known(&self) -> impl Iterator<Item = CustomerIndex> + '_ {
        self.phones.customers()
    }

    /// What each gateway measures of a phone that stays inside, in dBm.
    pub fn inside_levels(&self) -> impl Iterator<Item = (GatewayIndex, f32)> {
        self.site.inside_levels()
    }

    pub fn survey(&self) -> &Survey {
        &self.survey
    }

    /// The survey, if it has changed; at most every `SURVEY_EVERY`.
    pub fn take_survey(&mut self, now: Tick) -> Option<Survey> {
        if !self.surveyed || now < self.survey_due {
            return None;
        }
        (self.surveyed, self.survey_due) = (false, now.plus(SURVEY_EVERY));
        Some(self.survey.clone())
    }

    /// Number of customers who are tracked, inside or not.
    pub fn followed(&self) -> usize {
        self.tracks.len()
    }
}

/// Whether silence means nothing for this customer: one of the gateways that received them is
/// blind, or none has received them since a restart.
fn is_deaf(blind: u64, track: &Track) -> bool {
    let mut heard = (0..64).map(GatewayIndex).filter(|g| track.heard_by(*g)).peekable();
    heard.peek().is_none() || heard.any(|g| blind & (1 << (g.0 % 64)) != 0)
}

#[cfg(test)]
mod tests;
