//! The radio model of the shop: the level that each gateway usually measures of a customer at each
//! place, and the level at which customers' phones receive its beacons. It follows from what is
//! known of every shop, from the walk test and from the shop's own traffic. Every contact is
//! weighed against it.

use wide::{bytemuck, f32x8};

use super::fitted::{
    BEACON_LEVELS, BEACON_SPREAD_DB, COUNTED, GATEWAY_LEVELS, GATEWAY_SPREAD_DB, MOVES, STAYING,
};
use super::gaussian::Joint;
use super::grid::{Grid, OFFSET_DB, each, exp, ln};
use super::known::{self, Known, Shop};
use super::places::{
    BEACON_OBSERVED, ByPlace, OBSERVED, PASSING, PLACES, STANDING, STREET, THRESHOLD,
};
use super::survey::{BeaconTraffic, GatewayTraffic, Mean, Survey, kind};
use crate::pipeline::advert::Echo;
use crate::pipeline::gateway::{Gateway, GatewayIndex, Levels, Place};
use crate::pipeline::settings::Settings;
use crate::pipeline::units::Dbm;

/// Standard deviation between phones, the way they are carried included, in dB. The error variance
/// of a mean over customers is its square divided by their number.
const PHONES_DB: f32 = 9.0;
/// Error of a walk test, in dB: it is one phone in one hand, at a few places.
const WALK_DB: f32 = 4.0;
/// A gateway tells inside from outside if its levels there differ by at least this much.
const APART_DB: f32 = 6.0;
/// Few passers-by are louder than their mean by this much.
const LOUDER_DB: f32 = 12.0;
/// A phone is surely inside if it is louder than the default inside level by this much: chosen on random
/// shops.
pub const SURELY_DB: f32 = 5.0;
/// With fewer passers-by their mean level is not used.
const FEW: f32 = 15.0;
/// The level at which a receiver loses half of all packets, in dBm; and how soft that limit is, in
/// dB.
const FAINTEST_DBM: f32 = -93.0;
const FAINTEST_EDGE_DB: f32 = 3.5;
/// Fraction of readings that are lost although the gateway receives customers at that place.
const LOST: f32 = 0.3;
/// Usual levels before anything is measured: the defaults of `presence.arrive_rssi_dbm` and
/// `leave_rssi_dbm`.
const USUAL: Levels = Levels { inside_dbm: -70.0, outside_dbm: -78.0 };
/// Customers who stay and who pass, assumed before any was counted.
const COUNTED_BEFORE: (f32, f32) = (COUNTED.0 / 10.0, COUNTED.1 / 10.0);

/// Number of transition matrices: for 1/8 s, 1/4 s, ... 8 s.
pub const STEPS: usize = 7;
pub const SHORTEST_STEP_S: f32 = 0.125;

/// What it means when a phone stays loud at a gateway.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Steady {
    /// The phone is inside.
    Inside {
        /// Half-way to the outside level, in dB from `steady_db`; 0 where no walk test measured it.
        least_db: f32,
        /// A phone this far above `steady_db` counts without the network's consent, in dB, `JUST_BELOW_DB`
        /// less included; `None` where a walk test measured the level or head office set another one than
        /// the default: then every phone at the level does.
        surely_db: Option<f32>,
    },
    /// The phone is in front of the shop.
    Outside,
    /// Nothing: another gateway is better evidence.
    Neither,
}

/// What a gateway usually measures of a customer.
#[derive(Debug, Clone, PartialEq)]
pub struct Usual {
    /// Mean level at each place, in dBm.
    pub mean: f32x8,
    /// -1/2 of the inverse variance, in 1/dB².
    pub precision: f32x8,
    /// Natural logarithm of the standard deviation.
    pub log_spread: f32x8,
    /// Prior of a customer whom this gateway receives first.
    pub first: Grid,
    /// Logarithm of the probability that it receives nothing of a customer for a moment.
    pub silence: Grid,
    /// Whether it receives everyone who goes through the door.
    pub at_the_door: bool,
    /// Added to the RSSI that it measures, in dB.
    offset_db: f32,
    /// Mean level inside, in dBm.
    pub inside_dbm: f32,
    /// What it means when a phone stays at or above `steady_db`.
    pub steady: Steady,
    /// Relative to `inside_dbm`, in dB.
    pub steady_db: f32,
    pub place: Place,
    /// Inputs of the network.
    pub known: Known,
}

/// The levels at which phones receive the beacons at one kind of place.
#[derive(Debug, Clone, PartialEq)]
struct Beacon {
    place: Place,
    mean: f32x8,
    inverse_spread: f32x8,
    log_spread: f32x8,
}

/// The gateways and beacons of a shop, as far as radio matters.
#[derive(Debug)]
pub struct SiteModel {
    gateways: Vec<Usual>,
    /// Stands for a gateway that is not configured.
    unknown: Usual,
    zones: [Option<Place>; 16],
    beacons: Vec<Beacon>,
    /// Transition probabilities of 1/8 s, 1/4 s, ...
    pub moves: [ByPlace<f32x8>; STEPS],
    /// Measured gateways hang on both sides of the door and none at it: the difference between them
    /// shows the side at once.
    pub both_sides: bool,
    /// All gateways hang at one kind of place: levels alone do not show where a customer is.
    pub of_one_place: bool,
    /// Inputs of the network that are the same for all gateways.
    pub shop: Shop,
}

/// One contact with what the model says of its gateway and echo.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading<'a> {
    /// The gateway that received it.
    pub gateway: GatewayIndex,
    /// The model of that gateway.
    pub usual: &'a Usual,
    /// As measured, offset added; `None` where the driver reports no level.
    pub rssi_dbm: Option<f32>,
    /// The registry says how loud the phone's model is.
    pub of_known_model: bool,
    /// The beacon that the phone receives best, and how well.
    pub echo: Option<Echo>,
    /// Where that beacon stands, if known.
    pub echo_place: Option<Place>,
    /// Log-likelihood of the echo at each place; `None` where the beacon's place is not known.
    pub echo_likelihood: Option<f32x8>,
}

impl Reading<'_> {
    /// Whether it comes from a gateway outside and has no echo: such a contact does not keep a
    /// visit open.
    pub fn is_outside_alone(&self) -> bool {
        self.usual.place == Place::Outside && self.echo_likelihood.is_none()
    }

    /// Whether it is evidence of where the customer is.
    pub const fn is_evidence(&self) -> bool {
        self.rssi_dbm.is_some() || self.echo_likelihood.is_some()
    }

    /// Kind of place and level of the echo, for the survey.
    pub fn echo_level(&self) -> Option<(usize, f32)> {
        let dbm = self.echo.and_then(Echo::rssi)?;
        Some((kind(self.echo_place?), f32::from(dbm)))
    }
}

impl SiteModel {
    /// The model of a configuration and a survey.
    pub fn new(settings: &Settings, survey: &Survey) -> Self {
        let Settings { gateways, zones, presence, .. } = settings;
        let usual =
            Levels { inside_dbm: presence.arrive_rssi_dbm, outside_dbm: presence.leave_rssi_dbm };

        let door = gateways.iter().any(|one| place_of(Some(one)) == Place::Door);
        let inside = gateways.iter().any(|one| place_of(Some(one)) == Place::Inside);
        let outside = gateways.iter().any(|one| place_of(Some(one)) == Place::Outside);
        let watch =
            if door { Some(Place::Door) } else { (inside && !outside).then_some(Place::Inside) };
        let both_sides =
            inside && outside && !door && gateways.iter().all(|one| one.levels.is_some());
        let moves = moves(survey);
        let of = |gateway: Option<&Gateway>, traffic: &GatewayTraffic| {
            let place = place_of(gateway);
            let at_the_door = watch == Some(place);
            let innermost = place == Place::Inside || !inside;
            Usual::new(gateway, usual, traffic, &moves, (at_the_door, innermost, both_sides))
        };
        let beacons = [Place::Door, Place::Inside, Place::Outside].into_iter();
        let stand = beacons.filter(|place| zones.contains(&Some(*place)));
        let beacon = |place| Some(Beacon::new(place, survey.beacons.get(kind(place))?));
        let traffic =
            |one: &Gateway| survey.gateways.get(&one.name).unwrap_or(&GatewayTraffic::NONE);
        let mut usual_at: Vec<_> = gateways.iter().map(|one| of(Some(one), traffic(one))).collect();
        let places: Vec<Place> = usual_at.iter().map(|usual| usual.place).collect();
        let groups = known::groups(&places);
        for (usual, group) in usual_at.iter_mut().zip(&groups) {
            usual.known.group = *group;
        }
        let shop = Shop::new(survey, &groups);
        Self {
            gateways: usual_at,
            unknown: of(None, &GatewayTraffic::NONE),
            zones: *zones,
            beacons: stand.filter_map(beacon).collect(),
            moves,
            both_sides,
            of_one_place: usize::from(door) + usize::from(inside) + usize::from(outside) < 2,
            shop,
        }
    }

    /// A reading from a measurement and an echo.
    pub fn reading(
        &self,
        gateway: GatewayIndex,
        rssi: Option<Dbm>,
        echo: Option<Echo>,
        of_known_model: bool,
    ) -> Reading<'_> {
        let usual = self.usual(gateway);
        let echo_place = echo.and_then(|echo| self.place_of(echo));
        Reading {
            gateway,
            usual,
            rssi_dbm: rssi.map(|rssi| f32::from(rssi) + usual.offset_db),
            of_known_model,
            echo,
            echo_place,
            echo_likelihood: echo
                .zip(echo_place)
                .and_then(|(echo, place)| self.likelihood(echo, place)),
        }
    }

    /// Where the beacon of an echo stands, if known.
    pub fn place_of(&self, echo: Echo) -> Option<Place> {
        self.zones.get(usize::from(echo.zone)).copied().flatten()
    }

    /// The model of the gateway at `nth`.
    pub fn usual_at(&self, nth: usize) -> &Usual {
        self.gateways.get(nth).unwrap_or(&self.unknown)
    }

    /// The model of a gateway.
    pub fn usual(&self, gateway: GatewayIndex) -> &Usual {
        self.usual_at(gateway.0.into())
    }

    /// What each gateway measures of a phone that stays inside, at least, so that it is recognised
    /// whatever else is known, in dBm.
    pub fn inside_levels(&self) -> impl Iterator<Item = (GatewayIndex, f32)> {
        (0..).map(GatewayIndex).zip(&self.gateways).map(|(gateway, usual)| {
            let above_db = match usual.steady {
                Steady::Inside { surely_db, .. } => usual.steady_db + surely_db.unwrap_or(0.0),
                Steady::Outside | Steady::Neither => 0.0,
            };
            (gateway, usual.inside_dbm + above_db - usual.offset_db)
        })
    }

    /// The gateways of the store.
    pub fn gateways(&self) -> &[Usual] {
        &self.gateways
    }

    /// Log-likelihood of an echo at each place: that beacon has this level and those elsewhere are
    /// no louder, because a phone reports the one that it receives best.
    fn likelihood(&self, echo: Echo, here: Place) -> Option<f32x8> {
        let dbm = each(f32::from(echo.rssi()?));
        let mut sum = f32x8::ZERO;
        for beacon in &self.beacons {
            let away = (dbm - beacon.mean) * beacon.inverse_spread;
            sum += if beacon.place == here {
                away * away * const { each(-0.5) } - beacon.log_spread
            } else {
                no_louder(away)
            };
        }
        Some(sum)
    }
}

impl GatewayTraffic {
    const NONE: Self = {
        const NONE: Mean = Mean { count: 0.0, mean: 0.0 };
        Self { stays: NONE, stay_peaks: NONE, passes: NONE, recent: NONE }
    };
}

/// The distribution once `means` have been measured, one after the other.
fn given<const N: usize>(joint: &Joint<N>, first: usize, means: &[(Mean, f32)]) -> Joint<N> {
    (first..).zip(means).fold(*joint, |joint, (nth, (mean, deviation))| {
        if mean.count == 0.0 {
            return joint;
        }
        joint.measured(nth, mean.mean, deviation * deviation / mean.count)
    })
}

/// Means and standard deviations of a reading at each place. The uncertainty of the level adds to
/// its scatter at the place, except for the part that all places have in common, which acts like
/// another phone.
fn levels<const N: usize>(joint: &Joint<N>, spread_db: &ByPlace) -> (ByPlace, ByPlace) {
    let mut mean = [0.0; PLACES];
    let mut spread = *spread_db;
    let row = |nth: usize| joint.covariance.get(nth).map_or(&[][..], |row| &row[..PLACES]);
    let sum = |nth: usize| row(nth).iter().sum::<f32>() / PLACES as f32;
    let common = (0..PLACES).map(sum).sum::<f32>() / PLACES as f32;
    for (nth, (mean, spread)) in mean.iter_mut().zip(&mut spread).enumerate() {
        *mean = joint.mean.get(nth).copied().unwrap_or_default();
        let own = row(nth).get(nth).copied().unwrap_or_default();
        let apart = (own - 2.0 * sum(nth) + common).max(0.0);
        *spread = (*spread * *spread + apart).sqrt();
    }
    (mean, spread)
}

impl Usual {
    fn new(
        gateway: Option<&Gateway>,
        usual: Levels,
        traffic: &GatewayTraffic,
        moves: &[ByPlace<f32x8>; STEPS],
        (at_the_door, innermost, both_sides): (bool, bool, bool),
    ) -> Self {
        let place = place_of(gateway);
        let mut prior = GATEWAY_LEVELS[kind(place)];
        // Settings of head office shift the prior.
        let shift = f32::midpoint(usual.inside_dbm, usual.outside_dbm)
            - f32::midpoint(USUAL.inside_dbm, USUAL.outside_dbm);
        prior.mean.iter_mut().for_each(|level| *level += shift);
        let walk = gateway.and_then(|gateway| gateway.levels);
        let once = |dbm: f32| Mean { count: 1.0, mean: dbm };
        let none = Mean::default();
        let (inside, outside) =
            walk.map_or((none, none), |levels| (once(levels.inside_dbm), once(levels.outside_dbm)));
        let seen: [(Mean, f32); OBSERVED] = [
            (traffic.stays, PHONES_DB),
            (traffic.stay_peaks, PHONES_DB),
            (traffic.passes, PHONES_DB),
            (inside, WALK_DB),
            (outside, WALK_DB),
        ];
        let joint = given(&prior, PLACES, &seen);
        let (mut mean, mut spread) = levels(&joint, &GATEWAY_SPREAD_DB[kind(place)]);
        if let Some(Levels { inside_dbm, outside_dbm }) = walk.filter(|_| both_sides) {
            // People stand close to the door on either side; further away they are weaker by as
            // much as elsewhere.
            let fainter = mean.map(|level| outside_dbm + level - mean[STANDING]);
            mean = [inside_dbm; PLACES];
            mean[..THRESHOLD].copy_from_slice(&fainter[..THRESHOLD]);
            spread = [GATEWAY_SPREAD_DB[kind(place)][THRESHOLD]; PLACES];
        }

        let received = received(&mean);
        let inside_dbm = mean.iter().zip(&STAYING).map(|(mean, part)| mean * part).sum::<f32>();
        let (steady, steady_dbm) = match steady_dbm(walk, usual, traffic) {
            _ if place == Place::Outside => (Steady::Outside, mean[THRESHOLD]),
            Some((dbm, least_db)) if innermost && !both_sides => {
                let is_default = walk.is_none() && usual == USUAL;
                (Steady::Inside { least_db, surely_db: is_default.then_some(SURELY_DB) }, dbm)
            }
            _ => (Steady::Neither, inside_dbm),
        };
        Self {
            mean: f32x8::new(mean),
            precision: f32x8::new(spread.map(|spread| -0.5 / (spread * spread))),
            log_spread: f32x8::new(spread.map(f32::ln)),
            first: first(&received, moves),
            silence: received.map(|part| ln(f32x8::ONE - part * const { each(1.0 - LOST) })),
            at_the_door,
            offset_db: gateway.map_or(0.0, |gateway| gateway.offset_db),
            inside_dbm,
            steady,
            steady_db: steady_dbm - inside_dbm,
            place,
            known: Known::new(gateway, place, traffic, shift),
        }
    }
}

impl Beacon {
    fn new(place: Place, traffic: &BeaconTraffic) -> Self {
        let seen: [(Mean, f32); BEACON_OBSERVED] = [
            (traffic.stays, 7.0),
            (traffic.stay_share.log_odds(), 3.0),
            (traffic.passes, 7.0),
            (traffic.pass_share.log_odds(), 3.0),
        ];
        let joint = given(&BEACON_LEVELS[kind(place)], PLACES, &seen);
        let (mean, spread) = levels(&joint, &BEACON_SPREAD_DB[kind(place)]);
        Self {
            place,
            mean: f32x8::new(mean),
            inverse_spread: f32x8::new(spread.map(f32::recip)),
            log_spread: f32x8::new(spread.map(f32::ln)),
        }
    }
}

/// Probability that a reading is received at each place, by the phone's RSSI offset.
fn received(mean: &ByPlace) -> Grid {
    let mut offsets = OFFSET_DB.iter();
    Grid::all(f32x8::new(*mean)).map(|level| {
        let offset = offsets.next().copied().unwrap_or_default();
        let above = (level + each(offset - FAINTEST_DBM)) * const { each(1.0 / FAINTEST_EDGE_DB) };
        f32x8::ONE / (f32x8::ONE + exp(f32x8::ZERO - above))
    })
}

/// Prior probability of each RSSI offset in [`OFFSET_DB`]: a normal distribution with a standard
/// deviation of 8 dB.
const LOUDNESS: [f32; 7] = [0.044, 0.116, 0.208, 0.264, 0.208, 0.116, 0.044];

/// Prior of a customer who is received for the first time: they come down the street, and nothing
/// was received before.
fn first(received: &Grid, moves: &[ByPlace<f32x8>; STEPS]) -> Grid {
    let mut street = [0.0; PLACES];
    street[STREET] = 1.0;
    let mut loudness = LOUDNESS.iter();
    let mut unheard =
        Grid::all(f32x8::new(street)).map(|row| row * loudness.next().copied().unwrap_or_default());
    let mut first = Grid::all(f32x8::ZERO);
    for _ in 0..120 {
        // Half a second: a packet or two.
        unheard = unheard.moved(&moves[2]);
        let heard = unheard.zip(received, |people, part| people * part);
        first = first.zip(&heard, |sum, heard| sum + heard);
        unheard = unheard.zip(&heard, |people, heard| people - heard);
    }
    first.normalised()
}

/// Transition probabilities: the movement is that of every shop, the fraction of people who come in
/// is this shop's.
fn moves(survey: &Survey) -> [ByPlace<f32x8>; STEPS] {
    let (stays, passes) = COUNTED_BEFORE;
    let odds = (survey.stays + stays) / (survey.passes + passes) * (passes / stays);
    let mut rates = MOVES;
    for from in [STREET, PASSING, STANDING] {
        let before = rates[from][THRESHOLD];
        let after = before * odds.clamp(0.05, 4.0);
        rates[from][THRESHOLD] = after;
        rates[from][from] += before - after;
    }
    let mut step: ByPlace<ByPlace> = [[0.0; PLACES]; PLACES];
    for (from, row) in step.iter_mut().enumerate() {
        for (to, part) in row.iter_mut().enumerate() {
            let stays = if from == to { 1.0 } else { 0.0 };
            *part = stays + rates[from][to] * SHORTEST_STEP_S;
        }
    }
    std::array::from_fn(|_| {
        let now = step.map(f32x8::new);
        step = now.map(|row| {
            let row: ByPlace = bytemuck::cast(row);
            let sum = row.iter().zip(&now).fold(f32x8::ZERO, |sum, (part, to)| sum + *to * *part);
            bytemuck::cast(sum)
        });
        now
    })
}

/// The level from which on a phone is inside, and half-way to the outside level relative to it (0
/// if unknown); `None` where the gateway does not tell inside from outside. Measured or set by head
/// office, and louder than nearly all passers-by.
fn steady_dbm(walk: Option<Levels>, usual: Levels, traffic: &GatewayTraffic) -> Option<(f32, f32)> {
    let Levels { inside_dbm, outside_dbm } = walk.unwrap_or(usual);
    if inside_dbm < outside_dbm + APART_DB {
        return None;
    }
    let louder_dbm = traffic.passes.mean + LOUDER_DB;
    if traffic.passes.count >= FEW && louder_dbm > inside_dbm {
        return Some((louder_dbm, 0.0));
    }
    // Between the two levels only time decides.
    let least_db = walk.map_or(0.0, |_| 0.5 * (outside_dbm - inside_dbm));
    Some((inside_dbm, least_db))
}

/// The configured place; most gateways stand at the door.
fn place_of(about: Option<&Gateway>) -> Place {
    about.and_then(|about| about.place).unwrap_or(Place::Door)
}

/// Logarithm of the normal distribution function, approximated by the logistic one.
fn no_louder(away: f32x8) -> f32x8 {
    let steep = away * const { each(-1.7) };
    let above = steep.fast_max(f32x8::ZERO);
    let below = exp(f32x8::ZERO - steep.abs()) + f32x8::ONE;
    f32x8::ZERO - above - ln(below)
}
