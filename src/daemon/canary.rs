//! `[metrics] canary_secs`: a synthetic customer who proves the way from an advertisement to the broker
//! and back.
//!
//! Each run has a registry and a pipeline of its own, with the settings in force and with what the shop's
//! traffic has taught. Of all its effects only the arrival goes further: through the outbox to the
//! gateway's `canary` topic, which the gateway itself subscribes to. Invariant: a run changes nothing of
//! the product's pipeline, and nothing of it is left once it is over.

use std::sync::Arc;
use std::time::Duration;

use super::status::{self, CanaryFailure, CanaryStage};
use crate::payload;
use crate::pipeline::advert::{Echo, token};
use crate::pipeline::event::{
    Address, AddressKind, Announcement, GatewayIndex, Restored, Sighting, SilentBecause, Start,
    Visit,
};
use crate::pipeline::identity::enrolment::{Consent, Credential, Enrolment};
use crate::pipeline::identity::key::ClientKey;
use crate::pipeline::identity::{Loader, window};
use crate::pipeline::units::{Dbm, Now, Tick, WallTime};
use crate::pipeline::{Effect, Input, Pipeline, Settings, VisitId};
use crate::sources::simulated::advertiser::{Advertiser, App};
use crate::store::{MessageKind, OutboundMessage};

/// The first run begins this long after the start, and the next one after one that failed; or sooner,
/// where runs are closer together.
const SOON: Duration = Duration::from_mins(5);
/// As often as the app advertises.
const ADVERTISES_EVERY: Duration = Duration::from_millis(250);
/// A phone at the inside level is recognised in less than half of this, `presence.dwell_secs` aside.
const SCENE: Duration = Duration::from_secs(30);
/// No phone in a pocket is received better, in dBm. Settings that ask for more recognise no one.
const LOUDEST_DBM: f32 = -40.0;
/// The broker is waited for as long as the alert is worth something, and no longer than this.
const ANSWERS_WITHIN: Duration = Duration::from_mins(2);

/// No customer can have this handle: it cannot be a level of a topic.
const CLIENT: &str = "canary#";
/// It is in no registry, and opens nothing.
const KEY: ClientKey = ClientKey(*b"the canary's key opens no door..");
const ADDRESS: Address =
    Address { kind: AddressKind::Random, octets: [0xc0, 0xca, 0x4a, 0x21, 0x00, 0x01] };
/// The shop's beacons are not received.
const NO_ECHO: Echo = Echo { zone: 0, level: 0 };

/// Runs at intervals, and what became of them.
#[derive(Debug)]
pub struct Canary {
    every: Duration,
    next: Tick,
    run: Option<Run>,
    succeeded: Option<Success>,
    failed: Option<CanaryFailure>,
    successes: u64,
    failures: [u64; CanaryStage::ALL.len()],
}

/// The last run that came through.
#[derive(Debug, Clone, Copy)]
struct Success {
    at: Tick,
    acknowledged: Duration,
    returned: Duration,
}

#[derive(Debug)]
struct Run {
    began: Tick,
    progress: Progress,
}

#[derive(Debug)]
enum Progress {
    Plays(Box<Scene>),
    /// Times since the first advertisement.
    Sent {
        visit: VisitId,
        until: Tick,
        acknowledged: Option<Duration>,
        returned: Option<Duration>,
    },
}

impl Canary {
    /// One that runs each time that `every` has passed.
    pub fn new(every: Duration, now: Tick) -> Self {
        Self {
            every,
            next: now.plus(every.min(SOON)),
            run: None,
            succeeded: None,
            failed: None,
            successes: 0,
            failures: [0; CanaryStage::ALL.len()],
        }
    }

    /// The latest time of the next [`Canary::pass_time`].
    pub fn next_deadline(&self) -> Tick {
        match self.run.as_ref().map(|run| &run.progress) {
            None => self.next,
            Some(Progress::Plays(scene)) => scene.next,
            Some(Progress::Sent { until, .. }) => *until,
        }
    }

    /// Does what is due, with the settings of `product`. Returns the message of an arrival.
    pub fn pass_time(&mut self, now: Now, product: &Pipeline) -> Option<OutboundMessage> {
        let run = match &mut self.run {
            Some(run) => run,
            None if now.tick < self.next => return None,
            none => none.insert(Run::begin(now, product)),
        };
        let scene = match &mut run.progress {
            Progress::Plays(scene) => scene,
            Progress::Sent { until, .. } if now.tick < *until => return None,
            Progress::Sent { acknowledged, .. } => {
                let acknowledged = acknowledged.is_some();
                let stage =
                    if acknowledged { CanaryStage::Returned } else { CanaryStage::Acknowledged };
                self.fail(now.tick, stage, None);
                return None;
            }
        };
        let Some((visit, announcement)) = scene.advertise(now) else {
            if now.tick >= scene.ends {
                self.fail(now.tick, CanaryStage::Recognised, None);
            }
            return None;
        };
        let ttl = match announcement {
            Announcement::Alert { ttl } => ttl,
            // At night the way is proved all the same.
            Announcement::Silent(SilentBecause::QuietHours) => product.settings().policy.alert_ttl,
            Announcement::Silent(because) => {
                self.fail(now.tick, CanaryStage::Announced, Some(because.word()));
                return None;
            }
        };
        let lifetime = ttl.min(ANSWERS_WITHIN);
        run.progress = Progress::Sent {
            visit: visit.id,
            until: now.tick.plus(lifetime),
            acknowledged: None,
            returned: None,
        };
        Some(message(visit, lifetime))
    }

    /// The broker has acknowledged the message of that run.
    pub fn acknowledged(&mut self, of: VisitId, now: Tick) {
        if let Some(Run { began, progress: Progress::Sent { visit, acknowledged, .. } }) =
            &mut self.run
            && *visit == of
        {
            *acknowledged = Some(now.since(*began));
            self.succeed(now);
        }
    }

    /// The message of that run came back.
    pub fn returned(&mut self, of: VisitId, now: Tick) {
        if let Some(Run { began, progress: Progress::Sent { visit, returned, .. } }) = &mut self.run
            && *visit == of
        {
            *returned = Some(now.since(*began));
            self.succeed(now);
        }
    }

    /// Both have happened, in either order.
    fn succeed(&mut self, now: Tick) {
        let Some(Run { began, progress: Progress::Sent { acknowledged, returned, .. } }) =
            &self.run
        else {
            return;
        };
        let (Some(acknowledged), Some(returned)) = (*acknowledged, *returned) else { return };
        self.next = began.plus(self.every);
        self.run = None;
        self.successes += 1;
        self.succeeded = Some(Success { at: now, acknowledged, returned });
        if self.failed.take().is_some() {
            tracing::info!("the canary comes through again");
        }
    }

    fn fail(&mut self, now: Tick, stage: CanaryStage, because: Option<&str>) {
        self.next = now.plus(self.every.min(SOON));
        self.run = None;
        if let Some(count) = self.failures.get_mut(stage as usize) {
            *count += 1;
        }
        let failure = CanaryFailure { stage, because: because.map(str::to_owned) };
        if self.failed.as_ref() != Some(&failure) {
            tracing::warn!(stage = stage.word(), because, "the canary does not come through");
        }
        self.failed = Some(failure);
    }

    /// That the last run failed, and where.
    pub fn trouble(&self) -> Option<String> {
        self.failed.as_ref().map(ToString::to_string)
    }

    /// For `grelot status`.
    pub fn report(&self, now: Now) -> status::Canary {
        let at =
            |success: Success| now.clock.reading().minus(now.tick.since(success.at)).to_string();
        let success = self.succeeded;
        status::Canary {
            every_s: self.every.as_secs(),
            succeeded_at: success.map(at),
            acknowledged_s: success.map(|success| success.acknowledged.as_secs_f64()),
            returned_s: success.map(|success| success.returned.as_secs_f64()),
            successes: self.successes,
            failures: CanaryStage::ALL.into_iter().zip(self.failures).collect(),
            failed: self.failed.clone(),
        }
    }
}

impl Run {
    fn begin(now: Now, product: &Pipeline) -> Self {
        Self { began: now.tick, progress: Progress::Plays(Box::new(Scene::new(now, product))) }
    }
}

/// A customer who stands inside with the shop's app on their phone.
#[derive(Debug)]
struct Scene {
    pipeline: Pipeline,
    phone: Advertiser,
    /// What the store's gateways receive of it.
    levels: Vec<(GatewayIndex, Option<Dbm>)>,
    next: Tick,
    ends: Tick,
}

impl Scene {
    fn new(now: Now, product: &Pipeline) -> Self {
        let settings = product.settings();
        let mut loader = Loader::new(settings.store, now.clock);
        loader.enrol(1, &enrolment(settings, now.clock.reading()));
        // Only too many IRKs are an error.
        let (registry, _) = loader.finish().unwrap_or_default();
        let restored = Restored { survey: product.survey().clone(), ..Restored::default() };
        let (pipeline, _) =
            Pipeline::new(settings.clone(), registry, restored, Start::Followed, now);
        #[expect(clippy::cast_possible_truncation, reason = "it saturates")]
        let measured = |dbm: f32| Dbm::measured(dbm.min(LOUDEST_DBM).ceil() as i16);
        let levels = pipeline.inside_levels().map(|(gateway, dbm)| (gateway, measured(dbm)));
        let levels = levels.collect();
        let carrier = token::Carrier::ServiceData;
        let app = App { key: KEY, store: settings.store, carrier, skew_ms: 0, said: None };
        Self {
            pipeline,
            phone: Advertiser::App(app),
            levels,
            next: now.tick,
            ends: now.tick.plus(settings.presence.dwell + SCENE),
        }
    }

    /// The phone advertises once; returns the visit that this opens.
    fn advertise(&mut self, now: Now) -> Option<(Visit, Announcement)> {
        self.next = now.tick.plus(ADVERTISES_EVERY);
        let payload = self.phone.payload(now.clock.reading(), NO_ECHO);
        let Self { pipeline, levels, .. } = self;
        let mut effects = levels.iter().flat_map(|(gateway, rssi)| {
            let (gateway, rssi) = (*gateway, *rssi);
            let sighting = Sighting { gateway, address: ADDRESS, rssi, payload: &payload };
            pipeline.handle(now, Input::Advertisement(sighting))
        });
        effects.find_map(|effect| match effect {
            Effect::Arrived { visit, announcement } => Some((visit, announcement)),
            _ => None,
        })
    }
}

/// As a registry would have it for yesterday, today and tomorrow.
fn enrolment(settings: &Settings, now: WallTime) -> Enrolment {
    let today = window::day_of(window::window_at(now));
    let key = |day| (day, KEY.store_day_key(day, settings.store, 0));
    let days = (today.saturating_sub(1)..=today.saturating_add(1)).map(key);
    let tier = settings.policy.tiers.first().map_or("canary", String::as_str);
    Enrolment {
        client: CLIENT.to_owned(),
        tier: tier.to_owned(),
        credential: Credential::Token(days.collect()),
        consent: Some(Consent {
            given_at: None,
            expires_at: now.plus(Duration::from_hours(24)),
            show_name: false,
            stores: None,
            withdrawn: false,
        }),
        card: None,
        quiet: None,
        phone: None,
    }
}

/// What an alert would be; it names the customer, so that it waits for what an alert waits for.
fn message(visit: Visit, lifetime: Duration) -> OutboundMessage {
    let Visit { id, client, arrived_at, .. } = visit;
    let payload = payload::Canary {
        v: payload::VERSION,
        run: id.to_string(),
        arrived_at: arrived_at.to_string(),
    };
    OutboundMessage {
        kind: MessageKind::Canary,
        visit: id,
        payload: payload::encode(&payload).into(),
        from: arrived_at,
        lifetime,
        client: Some(Arc::clone(&client)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::gateway::{Gateway, Levels, Place};
    use crate::pipeline::policy::QuietHours;
    use crate::pipeline::units::Clock;

    const HOUR: Duration = Duration::from_hours(1);

    fn at(tick: Tick) -> Now {
        let opening = WallTime::from_unix_secs(1_767_603_600);
        Now { tick, clock: Clock::Set(opening.plus(tick.since(Tick::ZERO))) }
    }

    fn product(change: impl FnOnce(&mut Settings)) -> Pipeline {
        let mut settings = Settings {
            store: 42,
            gateways: vec![gateway("door", None)],
            zones: [None; 16],
            beacons: Vec::new(),
            presence: crate::pipeline::presence::Settings::default(),
            policy: crate::pipeline::policy::Settings::default(),
        };
        change(&mut settings);
        let now = at(Tick::ZERO);
        let (registry, restored) = <(_, Restored)>::default();
        Pipeline::new(settings, registry, restored, Start::Followed, now).0
    }

    fn gateway(name: &str, place: Option<Place>) -> Gateway {
        Gateway { name: name.to_owned(), place, offset_db: 0.0, levels: None }
    }

    /// Runs until the canary has something to send, or has failed.
    fn run(
        canary: &mut Canary,
        product: &Pipeline,
        now: impl Fn(Tick) -> Now,
    ) -> Option<OutboundMessage> {
        let failures = canary.failures;
        while canary.failures == failures {
            let due = canary.next_deadline();
            if let Some(message) = canary.pass_time(now(due), product) {
                return Some(message);
            }
        }
        None
    }

    fn failure(canary: &Canary) -> Option<(CanaryStage, Option<&str>)> {
        let failed = canary.failed.as_ref()?;
        Some((failed.stage, failed.because.as_deref()))
    }

    #[test]
    fn it_is_recognised_wherever_the_gateways_hang() {
        use Place::{Door, Inside, Outside};
        for places in [vec![Door], vec![Inside], vec![Door, Inside, Outside], vec![Outside, Inside]]
        {
            for walked in [false, true] {
                for dwell in [0, 5, 60] {
                    let product = product(|settings| {
                        let gateways = places.iter().map(|place| Gateway {
                            offset_db: -3.5,
                            levels: walked.then_some(match place {
                                Outside => Levels { inside_dbm: -75.0, outside_dbm: -62.0 },
                                _ => Levels { inside_dbm: -62.0, outside_dbm: -75.0 },
                            }),
                            ..gateway(place.word(), Some(*place))
                        });
                        settings.gateways = gateways.collect();
                        settings.presence.dwell = Duration::from_secs(dwell);
                    });
                    let mut canary = Canary::new(HOUR, Tick::ZERO);
                    let message = run(&mut canary, &product, at);
                    let began = at(Tick::ZERO.plus(SOON)).clock.reading();
                    let by = began.plus(Duration::from_secs(dwell) + SCENE / 2);
                    let in_time = message.is_some_and(|message| message.from < by);
                    assert!(in_time, "{places:?} {walked} {dwell}: {:?}", canary.failed);
                }
            }
        }
    }

    #[test]
    fn it_comes_through_once_it_is_acknowledged_and_back_in_either_order() {
        let product = product(|_| {});
        let mut canary = Canary::new(HOUR, Tick::ZERO);
        for (run_number, first_back) in [(1, false), (2, true)] {
            let sent = run(&mut canary, &product, at).unwrap();
            let began = canary.run.as_ref().unwrap().began;
            let later = |millis| began.plus(Duration::from_secs(9) + Duration::from_millis(millis));
            canary.acknowledged(VisitId(uuid::Uuid::nil()), later(1));
            if first_back {
                canary.returned(sent.visit, later(10));
                canary.acknowledged(sent.visit, later(20));
            } else {
                canary.acknowledged(sent.visit, later(10));
                canary.returned(sent.visit, later(20));
            }
            let report = canary.report(at(later(20)));
            assert_eq!((report.successes, report.failed), (run_number, None));
            let (acknowledged, returned) =
                (report.acknowledged_s.unwrap(), report.returned_s.unwrap());
            let apart = returned - acknowledged;
            assert!((apart - if first_back { -0.01 } else { 0.01 }).abs() < 1e-9, "{apart}");
            assert_eq!(canary.next_deadline(), began.plus(HOUR));
        }
    }

    #[test]
    fn without_an_acknowledgement_or_a_copy_the_stage_is_named_and_it_tries_again_soon() {
        let product = product(|_| {});
        let mut canary = Canary::new(HOUR, Tick::ZERO);
        run(&mut canary, &product, at).unwrap();
        assert_eq!(run(&mut canary, &product, at), None);
        assert_eq!(failure(&canary), Some((CanaryStage::Acknowledged, None)));

        let sent = run(&mut canary, &product, at).unwrap();
        canary.acknowledged(sent.visit, canary.run.as_ref().unwrap().began);
        assert_eq!(run(&mut canary, &product, at), None);
        assert_eq!(failure(&canary), Some((CanaryStage::Returned, None)));
        let report = canary.report(at(Tick::ZERO));
        assert_eq!(report.failures.values().copied().collect::<Vec<_>>(), [0, 0, 1, 1]);

        let failed_at = canary.next_deadline();
        let sent = run(&mut canary, &product, at).unwrap();
        assert!(canary.next_deadline().since(failed_at) < SOON);
        canary.returned(sent.visit, failed_at);
        canary.acknowledged(sent.visit, failed_at);
        assert_eq!((failure(&canary), canary.successes), (None, 1));
    }

    #[test]
    fn settings_that_silence_the_bell_are_noticed_and_quiet_hours_are_none() {
        let all_day = QuietHours { from_minute: 0, until_minute: 24 * 60 - 1 };
        let mut canary = Canary::new(HOUR, Tick::ZERO);
        let quiet = product(|settings| settings.policy.quiet_hours = Some(all_day));
        assert!(run(&mut canary, &quiet, at).is_some());

        let mut canary = Canary::new(HOUR, Tick::ZERO);
        let unset = |tick| Now { clock: Clock::Unset(at(tick).clock.reading()), ..at(tick) };
        assert_eq!(run(&mut canary, &quiet, unset), None);
        assert_eq!(failure(&canary), Some((CanaryStage::Announced, Some("clock_unset"))));
        let open = product(|settings| settings.policy.tiers = vec!["gold".to_owned()]);
        assert!(run(&mut canary, &open, unset).is_some(), "its token is found all the same");

        let mut canary = Canary::new(HOUR, Tick::ZERO);
        let never = product(|settings| settings.policy.alerts_per_visit = 0);
        assert_eq!(run(&mut canary, &never, at), None);
        assert_eq!(failure(&canary), Some((CanaryStage::Announced, Some("visit_cap"))));
        let strict = product(|settings| {
            settings.presence.arrive_rssi_dbm = -30.0;
            settings.presence.leave_rssi_dbm = -38.0;
        });
        assert_eq!(run(&mut canary, &strict, at), None);
        assert_eq!(failure(&canary), Some((CanaryStage::Recognised, None)));
    }
}
