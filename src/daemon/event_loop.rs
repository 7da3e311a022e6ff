//! The owner of the pipeline: handles one input after the other, performs its effects, and sleeps
//! until the next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::canary::Canary;
use super::contact_rates::ContactRates;
use super::delivery::Delivery;
use super::guard::GuardWatch;
use super::head_office::HeadOffice;
use super::office_ends::OfficeEnds;
use super::playback::{Gateways, with_gateways};
use super::registry;
use super::replay_sources::{Pace, ReplaySources};
use super::shadow::Shadow;
use super::since::Since;
use super::status::Question;
use super::survey;
use super::systemd::{self, Watchdog};
use super::tablet_watch::TabletWatch;
use super::tap::Tap;
use super::trace_recorder::TraceRecorder;
use crate::clock::Clocks;
use crate::config::Config;
use crate::mqtt::ConnectionState;
use crate::mqtt::inbound::Inbound;
use crate::payload;
use crate::pipeline::event::{Announcement, CheckIn, CheckedIn, Hearing, Start};
use crate::pipeline::explain::{Explanation, Why};
use crate::pipeline::units::{Clock, Now, Tick, WallTime};
use crate::pipeline::{Effect, HERE, Input, Pipeline, Settings};
use crate::sources::Advertisement;
use crate::sources::live::SourceEvent;
use crate::tablets::desk;
use crate::telemetry::Timings;
use crate::telemetry::brief;
use crate::telemetry::health::{BrokerState, Health};
use crate::telemetry::redact;

/// Advertisements of a replay source that fall into this span of real time are taken in one go: a
/// wake-up costs more than an advertisement.
const BATCH: Duration = Duration::from_millis(50);
/// Time for the reports to head office to reach the disk.
const OFFICE_STOPS_WITHIN: Duration = Duration::from_secs(2);
/// Interval of health reports, and of heartbeats in the store.
const HEALTH: Duration = Duration::from_mins(1);

/// In real time, however fast a recording is played.
const SHORTEST_MINUTE: Duration = Duration::from_millis(100);

/// Why the daemon ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to.
    Stopped,
    /// Nothing is left that it could do itself: a fresh process may help.
    GaveUp,
}

/// Everything the event loop listens to, besides its clock.
#[derive(Debug)]
pub struct Inputs {
    /// Recordings and simulated shops.
    pub replays: ReplaySources,
    /// Events of live sources, with the source's index in the configuration.
    pub radio: mpsc::Receiver<(usize, SourceEvent)>,
    /// Messages of the broker, parsed.
    pub inbound: mpsc::Receiver<Inbound>,
    /// New registries, whole and checked.
    pub registries: mpsc::Receiver<registry::RegistryUpdate>,
    /// Check-ins by customers and by staff.
    pub check_ins: mpsc::Receiver<desk::Request>,
    /// Questions of `grelot status`.
    pub questions: mpsc::Receiver<Question>,
    /// Requests of `grelot survey`.
    pub surveys: mpsc::Receiver<survey::Request>,
}

/// What ended the event loop's wait.
enum Wake {
    Radio(usize, SourceEvent),
    Inbound(Inbound),
    Registry(registry::RegistryUpdate),
    CheckIn(desk::Request),
    Question(Question),
    Survey(survey::Request),
    Connection,
    Trouble,
    Beat,
    Minute,
    /// A deadline or a record.
    Due,
}

/// The event loop: owner of the pipeline.
pub struct EventLoop {
    pub(super) config: Config,
    pub(super) config_file: String,
    pub(super) clocks: Clocks,
    /// The virtual clock, where a replay source brings one along.
    pub(super) pace: Option<Pace>,
    pub(super) pipeline: Pipeline,
    pub(super) gateways: Gateways,
    /// Gateways that the configuration does not name: of replay sources, and the store's others.
    pub(super) unlisted_gateways: Vec<Arc<str>>,
    /// When each of the store's other, unlisted gateways last sent something.
    pub(super) peers_heard: BTreeMap<Arc<str>, Tick>,
    pub(super) delivery: Delivery,
    pub(super) head_office: HeadOffice,
    /// Watches settings that may be taken back.
    pub(super) guard: GuardWatch,
    /// A candidate for settings, where head office has pushed one.
    pub(super) shadow: Option<Shadow>,
    /// Records traces of contacts, where head office gets them.
    pub(super) trace_recorder: Option<TraceRecorder>,
    /// The synthetic customer, where one is configured.
    pub(super) canary: Option<Canary>,
    /// The line to head office, where there is one.
    pub(super) office: Option<OfficeEnds>,
    /// To the task that checks for new registries.
    pub(super) registry_hints: mpsc::Sender<registry::Hint>,
    pub(super) health: Health,
    pub(super) timings: Timings,
    /// For commands that show what is received.
    pub(super) tap: Tap,
    /// The tablets that are connected to this gateway's page, if it serves one.
    pub(super) tablet_watch: Option<TabletWatch>,
    /// Why nothing is received, if nothing is.
    pub(super) blind_because: Option<String>,
    /// Since when the gateway's state is what it is.
    pub(super) state_since: Since,
    /// Both clocks' times when the input came that is being handled.
    pub(super) moment: Now,
    /// Time never goes back for the pipeline, in whichever order its sources report.
    pub(super) latest: Tick,
    /// Of the store's other gateways.
    pub(super) contact_rates: ContactRates,
}

impl EventLoop {
    /// Runs until `stop`, or until only a new process can help. Returns the delivery, which is
    /// still to be stopped.
    pub async fn run(mut self, mut inputs: Inputs, stop: CancellationToken) -> (Ended, Delivery) {
        let watchdog = Watchdog::from_environment();
        let mut beat = watchdog.every().map(tokio::time::interval);
        let minute = self.clocks.real(HEALTH).max(SHORTEST_MINUTE);
        let mut minute = tokio::time::interval(minute);
        let mut connection = self.delivery.connection();
        let mut trouble = self.delivery.trouble();
        let ended = loop {
            let wait = self.next_wake(&mut inputs.replays);
            let wake = tokio::select! {
                () = stop.cancelled() => break Ended::Stopped,
                Some((source, event)) = inputs.radio.recv() => Wake::Radio(source, event),
                Some(inbound) = inputs.inbound.recv() => Wake::Inbound(inbound),
                Some(news) = inputs.registries.recv() => Wake::Registry(news),
                Some(request) = inputs.check_ins.recv() => Wake::CheckIn(request),
                Some(question) = inputs.questions.recv() => Wake::Question(question),
                Some(request) = inputs.surveys.recv() => Wake::Survey(request),
                Ok(()) = connection.changed() => Wake::Connection,
                Ok(()) = trouble.changed() => Wake::Trouble,
                () = beat_of(&mut beat) => Wake::Beat,
                _ = minute.tick() => Wake::Minute,
                () = tokio::time::sleep(wait) => Wake::Due,
            };
            self.catch_up(&mut inputs.replays).await;
            match wake {
                Wake::Radio(source, event) => {
                    if self.on_radio(source, event).await.is_break() {
                        break Ended::GaveUp;
                    }
                }
                Wake::Inbound(inbound) => self.on_inbound(inbound).await,
                Wake::Registry(news) => self.on_registry(news).await,
                Wake::CheckIn(request) => self.on_check_in(request).await,
                Wake::Question(question) => {
                    // The asking client may be gone.
                    let _ = question.send(self.snapshot());
                }
                Wake::Survey(request) => self.on_survey(request).await,
                Wake::Connection => {
                    let connection = connection.borrow_and_update().clone();
                    self.on_connection(&connection).await;
                }
                Wake::Trouble => self.publish_status(),
                Wake::Beat => watchdog.feed(),
                Wake::Minute => self.each_minute().await,
                Wake::Due => {}
            }
            self.look_after_settings().await;
        };
        systemd::stopping();
        self.moment = self.clocks.now();
        let now = self.now();
        self.report_shadow(now);
        self.guard.stop();
        if let Some(office) = self.office.take() {
            office.stop(now, &self.health, OFFICE_STOPS_WITHIN).await;
        }
        (ended, self.delivery)
    }

    /// How long there is nothing to do: until the pipeline's next deadline or the next record, but
    /// records are worth waking up for only once a batch.
    fn next_wake(&self, replays: &mut ReplaySources) -> Duration {
        let tick = self.clocks.now().tick;
        let real = |due: Tick| self.clocks.real(due.since(tick));
        let shadow = self.shadow.as_ref().and_then(Shadow::next_deadline);
        let deadline =
            [self.pipeline.next_deadline(), shadow].into_iter().flatten().min().map(real);
        let record = replays.next_due().map(|at| real(Tick::ZERO.plus(at)).max(BATCH));
        let canary = self.canary.as_ref().map(|canary| real(canary.next_deadline()).max(BATCH));
        [deadline, record, canary].into_iter().flatten().min().unwrap_or(HEALTH)
    }

    /// Feeds all records and deadlines of the past, before an input of now: time does not go back, so a
    /// record that is overtaken would be of the input's moment.
    async fn catch_up(&mut self, replays: &mut ReplaySources) {
        self.moment = self.clocks.now();
        let tick = self.moment.tick;
        self.play(replays, tick).await;
        let soon = tick.plus(Duration::from_micros(1));
        self.pass_time_until(soon).await;
        self.pass_canary_time(soon);
    }

    /// Feeds all records that are due at `tick`, each at its own time, so that a replay source gives the same
    /// effects here as in a replay.
    async fn play(&mut self, replays: &mut ReplaySources, tick: Tick) {
        let due = tick.since(Tick::ZERO);
        while let Some((at, source, heard)) = replays.pop_due(due) {
            let tick = Tick::ZERO.plus(at);
            self.pass_time_until(tick).await;
            let now = self.at(tick);
            self.hear(now, source, &heard).await;
        }
    }

    /// Feeds all deadlines before `tick`, each at its own time.
    async fn pass_time_until(&mut self, tick: Tick) {
        while let Some(due) = self.pipeline.next_deadline().filter(|due| *due < tick) {
            self.pass_shadow_time(due);
            let now = self.at(due);
            self.feed(now, Input::Deadline).await;
        }
        self.pass_shadow_time(tick);
    }

    /// Feeds the candidate's deadlines before `tick`.
    fn pass_shadow_time(&mut self, tick: Tick) {
        let due = |shadow: &Option<Shadow>| {
            shadow.as_ref().and_then(Shadow::next_deadline).filter(|due| *due < tick)
        };
        while let Some(due) = due(&self.shadow) {
            let now = self.at(due);
            if let Some(shadow) = &mut self.shadow {
                shadow.feed(now, Input::Deadline);
            }
        }
    }

    /// Does what is due of the canary before `tick`.
    fn pass_canary_time(&mut self, tick: Tick) {
        let mut passed = false;
        while let Some(canary) = &mut self.canary {
            let due = canary.next_deadline();
            if due >= tick {
                break;
            }
            let now = Now { tick: due, clock: clock_at(due, self.pace, &self.clocks) };
            if let Some(message) = canary.pass_time(now, &self.pipeline) {
                self.delivery.send_canary(message);
            }
            passed = true;
        }
        if passed {
            self.publish_status();
        }
    }

    async fn on_connection(&mut self, connection: &ConnectionState) {
        let was = std::mem::replace(&mut self.health.broker, BrokerState::from(connection));
        if self.health.broker != was {
            self.on_broker(self.health.broker == BrokerState::Connected).await;
        }
        let retained = connection.retained();
        if retained == Some(false) && self.health.delivery.retained != retained {
            // Withdrawals published while the gateway was away did not come: the registry may
            // know of them.
            let _ = self.registry_hints.try_send(registry::Hint::Announced);
        }
        self.health.delivery.retained = retained;
        self.publish_status();
    }

    async fn on_radio(&mut self, source: usize, event: SourceEvent) -> std::ops::ControlFlow<()> {
        match event {
            SourceEvent::Received(batch) => {
                self.tap.pass(&batch);
                let now = self.now();
                for heard in &batch {
                    self.hear(now, source, heard).await;
                }
            }
            SourceEvent::Answered(answer) => {
                let now = self.now();
                self.feed(now, Input::Answer(answer)).await;
            }
            SourceEvent::State(hearing, reason) => self.on_hearing(source, hearing, reason).await,
            SourceEvent::Radio(radio) => {
                let (hearing, reason) = (radio.hearing, radio.reason.clone());
                let known = self.health.sources.get_mut(source).is_some_and(|source| {
                    source.shed = radio.shed;
                    let known = source.hearing == hearing && source.note == reason;
                    source.radio = Some(*radio);
                    known
                });
                if !known {
                    self.on_hearing(source, hearing, reason).await;
                }
            }
            SourceEvent::GiveUp => {
                tracing::error!(
                    "the radio cannot be recovered by this process; it ends, to be started again"
                );
                return std::ops::ControlFlow::Break(());
            }
        }
        std::ops::ControlFlow::Continue(())
    }

    pub(super) async fn on_hearing(
        &mut self,
        source: usize,
        hearing: Hearing,
        reason: Option<String>,
    ) {
        let was = self.hearing();
        let reason = reason.as_ref().map(brief::line);
        if let Some(source) = self.health.sources.get_mut(source) {
            source.hearing = hearing;
            source.note.clone_from(&reason);
        }
        self.blind_because = match hearing {
            Hearing::Blind => Some(reason.unwrap_or_else(|| "nothing is received".to_owned())),
            Hearing::Listening => None,
        };
        let now = self.now();
        if self.hearing() != was {
            self.state_since = Since::new(now);
            self.log_state();
        }
        self.publish_status();
        let hearing = self.hearing();
        self.feed(now, Input::Hearing(HERE, hearing)).await;
    }

    fn log_state(&self) {
        match &self.blind_because {
            Some(reason) if self.hearing() == Hearing::Blind => {
                tracing::warn!(reason, "the gateway is blind: it receives no advertisements");
            }
            _ => tracing::info!("the gateway receives advertisements"),
        }
    }

    /// This gateway receives as long as any of its sources does.
    pub(super) fn hearing(&self) -> Hearing {
        let all_blind = !self.health.sources.is_empty()
            && self.health.sources.iter().all(|source| source.hearing == Hearing::Blind);
        if all_blind { Hearing::Blind } else { Hearing::Listening }
    }

    async fn on_registry(&mut self, news: registry::RegistryUpdate) {
        match news {
            registry::RegistryUpdate::InForce(registry, health) => {
                tracing::info!(customers = health.customers, "a new registry is in force");
                if let Some(at) = health.made_at.as_deref().and_then(WallTime::parse) {
                    self.delivery.registry_made(at);
                }
                self.health.registry = health;
                let now = self.now();
                self.feed(now, Input::Registry(registry)).await;
            }
            registry::RegistryUpdate::Trouble(trouble) => {
                self.health.registry.trouble = trouble.as_ref().map(brief::line);
            }
        }
        self.count_customers();
        self.publish_status();
    }

    /// How many customers can be recognised now: none once the registry has expired.
    fn count_customers(&mut self) {
        let clock = self.now().clock;
        let registry = self.pipeline.identity().registry();
        let customers = if registry.has_expired(clock) { 0 } else { registry.len() };
        self.health.registry.customers = u64::try_from(customers).unwrap_or(u64::MAX);
    }

    async fn on_inbound(&mut self, inbound: Inbound) {
        let now = self.now();
        match inbound {
            Inbound::Staff { visit, by, action } => {
                self.feed(now, Input::Staff { visit, by: &by, action }).await;
            }
            Inbound::Withdrawn { client, .. } => {
                tracing::info!(client = %redact::Client(&client), "consent was withdrawn");
                self.feed(now, Input::Withdrawn(&client)).await;
                // If it is full, the pipeline takes them out again with the next registry.
                let _ = self.registry_hints.try_send(registry::Hint::Withdrawn(client));
            }
            Inbound::Configuration { reach, document } => {
                let time = now.clock.known();
                let settings = self.head_office.push(&self.config, reach, &document, time);
                self.on_settings(now, settings).await;
                self.publish_status();
            }
            Inbound::RegistryAnnounced => {
                // If it is full, registries are checked anyway.
                let _ = self.registry_hints.try_send(registry::Hint::Announced);
            }
            Inbound::Feedback { visit, was_here } => {
                tracing::info!(%visit, ?was_here, "staff say whether the customer was here");
                self.delivery.label(visit, was_here, now).await;
                self.feed(now, Input::Feedback { visit, was_here }).await;
                if let Some(was_here) = was_here {
                    self.guard.judged(was_here);
                }
                if let (Some(office), Some(was_here)) = (&self.office, was_here) {
                    office.label(visit, was_here, now.clock.reading());
                }
            }
            Inbound::Contacts { gateway, contacts } => {
                self.on_contacts(now, &gateway, contacts).await;
            }
            Inbound::Peer { gateway, state } => self.on_peer(now, &gateway, state).await,
            Inbound::CanaryAcknowledged(visit) => {
                self.on_canary(|canary| canary.acknowledged(visit, now.tick));
            }
            Inbound::CanaryReturned(visit) => {
                self.on_canary(|canary| canary.returned(visit, now.tick));
            }
            Inbound::Visit { visit, state } => self.on_visit(now, visit, state).await,
            // The client's own.
            Inbound::WithdrawalCleared { .. }
            | Inbound::Sync
            | Inbound::SyncAnswer(_)
            | Inbound::Consent { .. }
            | Inbound::Withdrawals(_)
            | Inbound::Reported(_) => {}
        }
    }

    fn on_canary(&mut self, news: impl FnOnce(&mut Canary)) {
        if let Some(canary) = &mut self.canary {
            news(canary);
            self.publish_status();
        }
    }

    async fn on_settings(&mut self, now: Now, settings: Option<Box<Settings>>) {
        if let Some(settings) = settings {
            let settings = with_gateways(*settings, &self.unlisted_gateways);
            self.feed(now, Input::Settings(Box::new(settings))).await;
        }
        self.renew_shadow(now);
    }

    /// The candidate may be another one, or may be over, or the settings that it changes are others.
    fn renew_shadow(&mut self, now: Now) {
        let wanted = self.head_office.shadow(&self.config);
        let wanted = wanted
            .map(|(serial, settings)| (serial, with_gateways(settings, &self.unlisted_gateways)));
        match (&mut self.shadow, wanted) {
            (Some(shadow), Some((serial, settings))) if shadow.serial() == serial => {
                shadow.feed(now, Input::Settings(Box::new(settings)));
            }
            (_, wanted) => {
                self.report_shadow(now);
                self.shadow = wanted.map(|(serial, settings)| {
                    tracing::info!(serial, "a candidate for settings runs beside those in force");
                    Shadow::start(serial, &self.pipeline, settings, Start::Followed, now)
                });
            }
        }
    }

    /// What the candidate would have changed is reported to head office.
    fn report_shadow(&mut self, now: Now) {
        if let (Some(shadow), Some(office)) = (&mut self.shadow, &self.office) {
            office.shadow(shadow.take_report(now.tick), now.clock.reading());
        }
    }

    async fn on_check_in(&mut self, request: desk::Request) {
        let now = self.now();
        let desk::Request { who, answer } = request;
        let who = match &who {
            desk::Who::Client(client) => CheckedIn::Client(client),
            desk::Who::Token(token) => CheckedIn::Token(token),
        };
        let outcome = match self.pipeline.is_here(who, now.clock) {
            None => desk::Outcome::Unknown,
            Some(true) => desk::Outcome::AlreadyHere,
            Some(false) => {
                let stay =
                    self.config.tablets.as_ref().map_or(Duration::ZERO, |page| page.check_in);
                self.feed(now, Input::CheckIn(CheckIn { who, stay })).await;
                desk::Outcome::Welcome
            }
        };
        tracing::info!(?outcome, "a check-in");
        // The requester may have gone.
        let _ = answer.send(outcome);
    }

    async fn on_survey(&mut self, request: survey::Request) {
        let survey::Request { reset, answer } = request;
        let now = self.now();
        let becomes = survey::Answer::to(&reset, self.pipeline.survey());
        if let survey::Answer::Forgotten { gateways, beacons } = &becomes {
            tracing::info!(?gateways, beacons, "what was learned of the shop's radio is forgotten");
            self.feed(now, Input::ForgetSite(reset.gateway.as_deref())).await;
        }
        // The asking client may be gone.
        let _ = answer.send(becomes);
    }

    async fn hear(&mut self, now: Now, source: usize, heard: &Advertisement) {
        if let Some(source) = self.health.sources.get_mut(source) {
            source.count(now.tick);
        }
        let sighting = self.gateways.sighting(heard);
        let effects = self.pipeline.handle(now, Input::Advertisement(sighting));
        if let Some(shadow) = &mut self.shadow {
            shadow.follow(now, self.pipeline.last_contact(), &effects);
        }
        self.record(now, &effects);
        if !effects.is_empty() {
            self.perform(now, &effects).await;
        }
    }

    pub(super) async fn feed(&mut self, now: Now, input: Input<'_>) {
        let same = self.shadow.as_ref().and_then(|_| for_shadow(&input));
        if let Some(recorder) = &mut self.trace_recorder {
            recorder.precede(&input);
        }
        let effects = self.pipeline.handle(now, input);
        if let Some(shadow) = &mut self.shadow {
            let contact = if same.is_none() { self.pipeline.last_contact() } else { None };
            shadow.follow(now, contact, &effects);
            if let Some(input) = same {
                shadow.feed(now, input);
            }
        }
        self.record(now, &effects);
        if !effects.is_empty() {
            self.perform(now, &effects).await;
        }
    }

    /// Traces of contacts that are complete go to head office.
    fn record(&mut self, now: Now, effects: &[Effect]) {
        let (Some(recorder), Some(office)) = (&mut self.trace_recorder, &self.office) else {
            return;
        };
        for finished in recorder.follow(now, &self.pipeline, effects) {
            office.trace(finished, now.clock.reading());
        }
    }

    /// All effects of one input, before the next one.
    async fn perform(&mut self, now: Now, effects: &[Effect]) {
        for effect in effects {
            self.log_effect(now, effect);
            self.time(now, effect);
            self.guard(effect);
            if let Some(office) = &mut self.office {
                office.report(now, effect);
            }
        }
        self.delivery.perform(self.pipeline.settings(), now, effects).await;
    }

    fn log_effect(&mut self, now: Now, effect: &Effect) {
        match effect {
            Effect::PeerContacts(contacts) => self.publish_contacts(now, contacts),
            Effect::Arrived { visit, announcement } => {
                self.health.arrivals += 1;
                let alert = matches!(announcement, Announcement::Alert { .. });
                self.health.alerts += u64::from(alert);
                let client = redact::Client(&visit.client);
                tracing::info!(visit = %visit.id, %client, alert, "a customer arrived");
            }
            Effect::Departed { visit, reason, .. } => {
                self.health.departures += 1;
                let client = redact::Client(&visit.client);
                let reason = reason.word();
                tracing::info!(visit = %visit.id, %client, reason, "a customer departed");
            }
            Effect::Beacon(beacon) => {
                let payload = payload::Beacon::from(beacon);
                if payload.missing || payload.moved || payload.cloned {
                    let (missing, moved, cloned) = (beacon.missing, beacon.moved, beacon.cloned);
                    tracing::warn!(beacon = %beacon.name, missing, moved, cloned, "a beacon of the shop needs attention");
                }
                self.delivery.set_beacon(&beacon.name, &payload);
            }
            Effect::CardCopied { client } => {
                self.health.copied_cards += 1;
                let client = redact::Client(client);
                tracing::warn!(
                    %client,
                    "two devices advertise the identity of one loyalty card: only the louder one \
                     counts; give the customer another card"
                );
            }
            Effect::Escalated(visit) => {
                let client = redact::Client(&visit.client);
                tracing::info!(visit = %visit.id, %client, "no one came: the alert is escalated");
            }
            Effect::ClockSet(_) => tracing::info!("the clock was set"),
            Effect::Explained(why) => {
                let client = redact::Client(&why.client);
                tracing::debug!(%client, because = %why.why, "a decision");
            }
            _ => {}
        }
    }

    /// Puts settings in force whose time has come, and takes back those that exceed a limit.
    async fn look_after_settings(&mut self) {
        // Records of a replay source that are due already are still to come: time does not pass here.
        let time = self.clocks.now().clock.known();
        if self.head_office.is_due(time) {
            let (now, settings) = (self.now(), self.head_office.pass_time(&self.config, time));
            self.on_settings(now, settings).await;
            self.publish_status();
        }
        let guarded = self.head_office.guarded();
        self.guard.pass_time(guarded.as_ref(), time);
        if let Some(guarded) = guarded
            && let Some(why) = self.guard.take_verdict(&guarded)
        {
            let settings = self.head_office.fall_back(&self.config, guarded.reach, &why);
            let now = self.now();
            self.on_settings(now, settings).await;
            self.publish_status();
        }
    }

    /// Counts the effects of settings that may be taken back.
    fn guard(&mut self, effect: &Effect) {
        match effect {
            Effect::Arrived { announcement: Announcement::Alert { .. }, .. } => {
                self.guard.alerted();
            }
            Effect::Departed { visit, .. } if visit.announced => {
                self.guard.ended(visit.claim.is_some());
            }
            _ => {}
        }
    }

    /// How long the way to staff takes.
    fn time(&self, now: Now, effect: &Effect) {
        match effect {
            Effect::Explained(Explanation {
                visit: Some(visit),
                why: Why::Arrived { evidence, announcement: Announcement::Alert { .. }, .. },
                ..
            }) => self.timings.alerted(*visit, evidence.received_for, now.tick),
            Effect::Changed(visit) if visit.claim.is_some() => {
                self.timings.claimed(visit.id, now.tick);
            }
            Effect::Departed { visit, .. } => self.timings.departed(visit.id, now.tick),
            Effect::Erased { visit } => self.timings.erased(*visit),
            _ => {}
        }
    }

    async fn each_minute(&mut self) {
        let now = self.now();
        self.count_customers();
        self.health.open_visits =
            u64::try_from(self.pipeline.open_visits().count()).unwrap_or(u64::MAX);
        self.health.contacts = self.pipeline.contacts();
        self.health.delivery = self.delivery.health();
        self.state_since.settle(now);
        self.look_after_tablets(now);
        self.delivery.publish_health(&self.health.payload(now));
        let hearing = self.hearing();
        self.guard.minute(hearing);
        let hour_is_over = self
            .office
            .as_mut()
            .is_some_and(|office| office.each_minute(now, &self.health, hearing));
        if hour_is_over {
            self.report_shadow(now);
        }
        self.delivery.heartbeat(self.pipeline.settings(), now).await;
        self.publish_status();
    }

    fn look_after_tablets(&mut self, now: Now) {
        let Some(watch) = &mut self.tablet_watch else { return };
        if watch.look(now) {
            if let Some(alarm) = watch.alarm() {
                tracing::warn!(alarm, "no tablet is connected to ring");
            } else {
                tracing::info!("a tablet is connected again");
            }
        }
        self.health.tablets = watch.count();
    }

    pub(super) fn publish_status(&self) {
        self.delivery.set_status(self.status());
    }

    /// Both clocks, as the input came that is being handled.
    pub(super) fn now(&mut self) -> Now {
        self.latest = self.latest.max(self.moment.tick);
        Now { tick: self.latest, ..self.moment }
    }

    /// Both clocks at `tick`, which is now or was a moment ago.
    fn at(&mut self, tick: Tick) -> Now {
        self.latest = self.latest.max(tick);
        Now { tick: self.latest, clock: clock_at(self.latest, self.pace, &self.clocks) }
    }
}

/// What the wall clock says at `tick`, which is now or was a moment ago.
fn clock_at(tick: Tick, pace: Option<Pace>, clocks: &Clocks) -> Clock {
    match pace {
        Some(pace) => Clock::Set(pace.started_at.plus(tick.since(Tick::ZERO))),
        None => clocks.now().clock,
    }
}

/// What a pipeline beside the product's needs besides its contacts.
fn for_shadow<'a>(input: &Input<'a>) -> Option<Input<'a>> {
    Some(match input {
        Input::Hearing(gateway, hearing) => Input::Hearing(*gateway, *hearing),
        Input::Broker(connected) => Input::Broker(*connected),
        Input::Peer(gateway, state) => Input::Peer(*gateway, *state),
        Input::PeerContact(gateway, contact) => Input::PeerContact(*gateway, contact.clone()),
        Input::Retained(visit, state) => Input::Retained(*visit, state.clone()),
        Input::Registry(registry) => Input::Registry(Box::new(registry.without_credentials())),
        Input::Withdrawn(client) => Input::Withdrawn(client),
        Input::ForgetSite(gateway) => Input::ForgetSite(*gateway),
        _ => return None,
    })
}

async fn beat_of(beat: &mut Option<tokio::time::Interval>) {
    match beat {
        Some(beat) => {
            beat.tick().await;
        }
        None => std::future::pending().await,
    }
}
