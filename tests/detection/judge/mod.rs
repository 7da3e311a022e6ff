//! The second generator: shops that nothing is fitted or tuned on.
//!
//! It is independent of the first, with another radio model (walls, bodies and a few rays instead
//! of log-distance with shadowing) and other people (social forces instead of way-points), so that
//! a result here holds for more than one simulator. It is for evaluation only.

mod people;
mod plan;
mod radio;
mod world;

use std::time::Duration;

use grelot::commands::score::Fact;
use grelot::pipeline::identity::PhoneModel;
use grelot::pipeline::{Gateway, Levels, Place, Settings, policy, presence};
use grelot::sources::GroundTruth;
use grelot::sources::simulated::Random;

pub use world::{Equipment, World};

use super::scenes::STORE;
use super::tape::{Contact, Tape, of_model};
use people::{Errand, STEP_S, Walker};
use plan::{FloorPlan, Point};
use radio::{Body, Carried, gain_db};
use world::{Hung, declared};

/// RSSI of an average phone, and of a beacon, at 1 m in free space, in dBm.
const PHONE_DBM: f64 = -57.0;
const BEACON_DBM: f64 = -62.0;

/// Standard deviations of phones' transmission and reception, in dB (551 models, Exposure
/// Notification calibration, 2020).
const SENDS_DB: f64 = 7.4;
const HEARS_DB: f64 = 4.4;

/// Sensitivity of a receiver, in dBm, and the softness of that limit, in dB.
const SENSITIVITY_DBM: f64 = -93.0;
const EDGE_DB: f64 = 2.0;

/// Visits a day.
const VISITS: u32 = 24;

/// How long people keep coming, and when the day ends in any case, in seconds: as many visits as on
/// a long day, one after the other.
const OPEN_S: f64 = 2400.0;
const CLOSED_S: f64 = 4200.0;

/// Who is this far beyond the door's line has crossed it, in metres.
const BEYOND_M: f64 = 0.6;

/// One shop of a cell.
pub struct Shop {
    world: World,
    seed: u64,
    plan: FloorPlan,
    hung: Hung,
    loss: f64,
}

impl Shop {
    /// The shop drawn with `seed`.
    pub fn draw(equipment: Equipment, world: World, seed: u64) -> Self {
        let mut random = Random::new(seed, &[u64::from(b'j'), equipment as u64, world as u64]);
        let plan = FloorPlan::draw(&world.building(), &mut random);
        let hung = equipment.hang(&plan, &mut random);
        let loss = world.loss(&mut random);
        Self { world, seed: random.bits(), plan, hung, loss }
    }

    /// The same shop with its last gateway at another place.
    pub fn moved(&self) -> Self {
        let mut random = Random::new(self.seed, &[u64::from(b'r')]);
        let hung = self.hung.moved(&self.plan, &mut random);
        let Self { world, seed, loss, .. } = *self;
        Self { world, seed, plan: self.plan.clone(), hung, loss }
    }

    /// Its configuration: places are declared; levels are those of a walk test with one phone, or
    /// none.
    pub fn settings(&self, walk_test: bool) -> Settings {
        let levels = walk_test.then(|| self.walk_test());
        let gateways = self.hung.gateways.iter().enumerate().map(|(nth, at)| Gateway {
            name: format!("g{nth}"),
            place: Some(declared(*at)),
            offset_db: 0.0,
            levels: levels.as_ref().and_then(|levels| levels.get(nth).copied()),
        });
        let mut zones = [None; 16];
        if !self.hung.beacons.is_empty() {
            (zones[1], zones[2]) = (Some(Place::Door), Some(Place::Inside));
        }
        Settings {
            store: STORE,
            gateways: gateways.collect(),
            zones,
            beacons: Vec::new(),
            presence: presence::Settings::default(),
            policy: policy::Settings::default(),
        }
    }

    /// The contacts of its `nth` day, with the ground truth.
    pub fn day(&self, nth: u64) -> Tape {
        Day::new(self, nth).play()
    }

    /// The level of a packet that a phone sends at `dbm`, if `there` receives it.
    fn received(
        &self,
        dbm: f64,
        held: (Body, Carried),
        there: Point,
        others: &[Body],
        random: &mut Random,
    ) -> Option<f64> {
        let channel = random.below(3) as usize;
        let level = dbm + gain_db(&self.plan, held, there, others, channel) + random.normal();
        let heard = 1.0 / (1.0 + ((SENSITIVITY_DBM - level) / EDGE_DB).exp());
        (!random.chance(self.loss) && random.chance(heard)).then_some(level)
    }

    /// A walk test with one random phone in the hand, 20 s on each of three spots on either side of
    /// the door.
    fn walk_test(&self) -> Vec<Levels> {
        let mut random = Random::new(self.seed, &[u64::from(b'w')]);
        let phone_dbm = PHONE_DBM + SENDS_DB * random.normal();
        let spots = [(-2.0, 1.0), (0.0, 1.4), (2.0, 1.0)];
        let mut side = |gateway: Point, sign: f64| {
            let mut levels = Vec::new();
            for (x, y) in spots {
                for packet in 0..80 {
                    let (sine, cosine) =
                        (f64::from(packet) / 80.0 * std::f64::consts::TAU).sin_cos();
                    let x = if sign > 0.0 { x * 0.7 } else { x };
                    let body =
                        Body { at: (x, sign * (y + 0.5 * sign.max(0.0))), facing: (cosine, sine) };
                    let held = (body, Carried::Hand);
                    levels.extend(self.received(phone_dbm, held, gateway, &[], &mut random));
                }
            }
            #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "few")]
            let mean = (levels.iter().sum::<f64>() / levels.len().max(1) as f64) as f32;
            if levels.is_empty() { -95.0 } else { mean }
        };
        let gateways = self.hung.gateways.iter();
        gateways
            .map(|at| Levels { inside_dbm: side(*at, 1.0), outside_dbm: side(*at, -1.0) })
            .collect()
    }
}

/// A customer of one day.
struct Customer {
    number: u8,
    errand: Errand,
    begins_s: f64,
    walker: Walker,
    carried: Carried,
    sends_dbm: f64,
    /// What a registry says of the phone.
    model: PhoneModel,
    hears_db: f64,
    interval_s: f64,
    next_s: f64,
    echo: u8,
    echo_next: u8,
    echo_at_s: f64,
    inside: bool,
    /// When the customer crossed the door's line, while it is not certain.
    crossed_s: Option<f64>,
    stays: u32,
    passed: bool,
}

/// The state of one day while it is played.
struct Day<'a> {
    shop: &'a Shop,
    random: Random,
    customers: Vec<Customer>,
    crowd: Vec<Walker>,
    tape: Tape,
}

impl<'a> Day<'a> {
    fn new(shop: &'a Shop, nth: u64) -> Self {
        let mut random = Random::new(shop.seed, &[u64::from(b'd'), nth]);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "few")]
        let passers = (f64::from(VISITS) * shop.world.passers()).min(220.0) as u32;
        let mut errands = Vec::new();
        for _ in 0..VISITS {
            let visits = [
                Errand::Visit,
                Errand::Visit,
                Errand::LookThenVisit,
                Errand::Quick,
                Errand::StepOut,
            ];
            errands.extend(random.pick(&visits));
        }
        for _ in 0..passers {
            let others = [
                Errand::Pass,
                Errand::Pass,
                Errand::Pass,
                Errand::Window,
                Errand::Wait,
                Errand::Peek,
                Errand::NextDoor,
            ];
            errands.extend(random.pick(&others));
        }
        let mut models = Random::new(shop.seed, &[u64::from(b'm'), nth]);
        let customers = (0_u8..).zip(errands).map(|(number, errand)| {
            let route = errand.route(&shop.plan, &mut random);
            let begins_s = random.between(0.0, OPEN_S);
            let walker = Walker::new(route, &mut random);
            let carried = Carried::draw(&mut random);
            let sends_db = (SENDS_DB * random.normal()).clamp(-15.0, 15.0);
            let hears_db = HEARS_DB * random.normal();
            Customer {
                number,
                errand,
                begins_s,
                walker,
                carried,
                sends_dbm: PHONE_DBM + sends_db,
                model: of_model(sends_db, hears_db, &mut models),
                hears_db,
                interval_s: shop.world.interval_s(&mut random),
                next_s: begins_s + random.unit(),
                echo: 0,
                echo_next: 0,
                echo_at_s: begins_s,
                inside: false,
                crossed_s: None,
                stays: 0,
                passed: false,
            }
        });
        let customers: Vec<_> = customers.collect();
        let tape = Tape {
            clients: customers.iter().map(|one| format!("c-{nth}-{}", one.number)).collect(),
            phones: customers.iter().map(|one| one.model).collect(),
            ..Tape::default()
        };
        let (within, _) = shop.world.crowd();
        let crowd = (0..within).map(|_| {
            let x = random.between(shop.plan.sides.0 + 0.4, shop.plan.sides.1 - 0.4);
            Walker::standing((x, random.between(1.0, shop.plan.depth - 0.3)))
        });
        let crowd = crowd.collect();
        Self { shop, random, customers, crowd, tape }
    }

    fn play(mut self) -> Tape {
        let mut now_s = 0.0;
        while now_s < CLOSED_S && (now_s < OPEN_S || self.anybody_left()) {
            self.stroll(now_s);
            let bodies = self.bodies(now_s);
            self.walk(now_s, &bodies);
            self.advertise(now_s, &bodies);
            now_s += STEP_S;
        }
        self.tape.contacts.sort_by_key(|contact| contact.at());
        self.tape.facts.sort_by_key(|fact| fact.at);
        self.tape.ended_at = Duration::from_secs_f64(now_s);
        self.tape
    }

    fn anybody_left(&self) -> bool {
        self.customers.iter().any(|one| !one.walker.is_gone())
    }

    /// Moves people without the app who walk past outside.
    fn stroll(&mut self, now_s: f64) {
        let (_, outside) = self.shop.world.crowd();
        self.crowd.retain(|one| !one.is_gone() || one.body.at.1 > 0.0);
        if self.random.chance(f64::from(outside) * STEP_S / 25.0) {
            let route = Errand::Pass.route(&self.shop.plan, &mut self.random);
            self.crowd.push(Walker::new(route, &mut self.random));
        }
        for one in &mut self.crowd {
            one.step(now_s, &[], &mut self.random);
        }
    }

    /// Everyone present: customers, then the crowd.
    fn bodies(&self, now_s: f64) -> Vec<(Option<u8>, Body)> {
        let about =
            self.customers.iter().filter(|one| one.begins_s <= now_s && !one.walker.is_gone());
        let customers = about.map(|one| (Some(one.number), one.walker.body));
        customers.chain(self.crowd.iter().map(|one| (None, one.body))).collect()
    }

    fn walk(&mut self, now_s: f64, bodies: &[(Option<u8>, Body)]) {
        for one in &mut self.customers {
            if one.begins_s > now_s || one.walker.is_gone() {
                continue;
            }
            let others = others(bodies, one.number, one.walker.body.at, 1.5);
            one.walker.step(now_s, &others, &mut self.random);
            let (x, y) = one.walker.body.at;
            let client = &self.tape.clients[usize::from(one.number)];
            let mut state = |at_s, word| {
                let at = Duration::from_secs_f64(at_s);
                self.tape.facts.push(Fact { at, word, client: client.clone() });
            };
            if (y > 0.0) == one.inside {
                one.crossed_s = None;
            } else if one.errand.comes_in() {
                // Others push people across the line for a moment; who is beyond it has crossed it.
                let crossed_s = *one.crossed_s.get_or_insert(now_s);
                if y.abs() < BEYOND_M {
                    continue;
                }
                one.inside = y > 0.0;
                let out = one.errand == Errand::StepOut && one.stays == 1;
                let word = match (one.inside, out) {
                    (true, false) => GroundTruth::Enter,
                    (true, true) => GroundTruth::StepIn,
                    (false, _) if one.errand == Errand::StepOut && one.stays == 0 => {
                        GroundTruth::StepOut
                    }
                    (false, _) => GroundTruth::Leave,
                };
                state(crossed_s, word);
                one.stays += u32::from(!one.inside);
            }
            if !one.errand.comes_in() && !one.passed && x.abs() < 8.0 {
                one.passed = true;
                state(now_s, GroundTruth::Pass);
            }
        }
    }

    fn advertise(&mut self, now_s: f64, bodies: &[(Option<u8>, Body)]) {
        let shop = self.shop;
        for one in &mut self.customers {
            if one.begins_s > now_s || one.walker.is_gone() || one.walker.body.at.0.abs() > 17.9 {
                continue;
            }
            let body = one.walker.body;
            let others = others(bodies, one.number, body.at, 15.0);
            let held = (body, one.carried);
            if now_s >= one.echo_at_s {
                one.echo_at_s = now_s + 1.0;
                one.echo = one.echo_next;
                one.echo_next = echo(shop, held, one.hears_db, &others, &mut self.random);
            }
            while one.next_s < now_s + STEP_S {
                let at_us = (one.next_s * 1e6).round();
                for (gateway, there) in (0_u8..).zip(&shop.hung.gateways) {
                    let level =
                        shop.received(one.sends_dbm, held, *there, &others, &mut self.random);
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "a day, and dBm"
                    )]
                    let contact = level.map(|level| {
                        let rssi = level.round().clamp(-110.0, -20.0) as i8;
                        Contact::new(at_us as u32, one.number, gateway, rssi, one.echo)
                    });
                    self.tape.contacts.extend(contact);
                }
                one.next_s += one.interval_s + self.random.between(0.0, 0.01);
            }
        }
    }
}

/// The other bodies within `reach_m` metres.
fn others(bodies: &[(Option<u8>, Body)], number: u8, at: (f64, f64), reach_m: f64) -> Vec<Body> {
    let near =
        |body: &Body| (body.at.0 - at.0).abs() < reach_m && (body.at.1 - at.1).abs() < reach_m;
    let others = bodies.iter().filter(|(of, body)| *of != Some(number) && near(body));
    others.map(|(_, body)| *body).collect()
}

/// The echo's octet of the beacon that a phone receives best, by its mean level over a second
/// (`docs/app-protocol.md`).
fn echo(
    shop: &Shop,
    held: (Body, Carried),
    hears_db: f64,
    others: &[Body],
    random: &mut Random,
) -> u8 {
    let mut best: Option<(u8, f64)> = None;
    for (zone, there) in (1_u8..).zip(&shop.hung.beacons) {
        let heard: Vec<f64> = (0..4)
            .filter_map(|_| shop.received(BEACON_DBM + hears_db, held, *there, others, random))
            .collect();
        #[expect(clippy::cast_precision_loss, reason = "four at the most")]
        let mean = heard.iter().sum::<f64>() / heard.len() as f64;
        if !heard.is_empty() && best.is_none_or(|(_, level)| mean > level) {
            best = Some((zone, mean));
        }
    }
    best.map_or(0, |(zone, mean)| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 15")]
        let level = ((mean + 100.0) / 4.0).round().clamp(1.0, 15.0) as u8;
        zone << 4 | level
    })
}
