//! The shop as radio finds it: what each gateway usually measures of a customer at each place, and what
//! customers' phones receive of its beacons. Worked out from what is known of every shop, from the walk
//! test and from the shop's own traffic, for every contact to be weighed against.

use wide::{bytemuck, f32x8};

use super::fitted::{
    BEACON_LEVELS, BEACON_SPREAD_DB, COUNTED, GATEWAY_LEVELS, GATEWAY_SPREAD_DB, MOVES, STAYING,
};
use super::gaussian::Joint;
use super::grid::{Grid, OFFSET_DB};
use super::places::{
    BEACON_OBSERVED, ByPlace, OBSERVED, PASSING, PLACES, STANDING, STREET, THRESHOLD,
};
use super::survey::{BeaconTraffic, GatewayTraffic, Mean, Survey, kind};
use crate::pipeline::advert::Echo;
use crate::pipeline::gateway::{Gateway, GatewayIndex, Levels, Place};
use crate::pipeline::settings::Settings;
use crate::pipeline::units::Dbm;

/// How phones scatter, with how they are carried, in dB: of a mean over so many customers the variance
/// of one, divided by their number, is the error.
const PHONES_DB: f32 = 9.0;
/// The walk test is one phone in one hand, and a few places.
const WALK_DB: f32 = 4.0;
/// A gateway tells inside from outside whose levels are so far apart.
const APART_DB: f32 = 6.0;
/// Few who pass are so much louder than their mean.
const LOUDER_DB: f32 = 12.0;
/// Fewer passers-by say nothing of how loud they are.
const FEW: f32 = 15.0;
/// A receiver just receives this, in dBm, give or take fading.
const FAINTEST_DBM: f32 = -93.0;
const FAINTEST_EDGE_DB: f32 = 3.5;
/// Readings of a gateway that receives somebody there are lost all the same, so often.
const LOST: f32 = 0.3;
/// What is usual before anything is known: `presence.arrive_rssi_dbm` and `leave_rssi_dbm`.
const USUAL: Levels = Levels { inside_dbm: -70.0, outside_dbm: -78.0 };
/// Customers who stay and who pass, assumed before any was counted.
const COUNTED_BEFORE: (f32, f32) = (COUNTED.0 / 10.0, COUNTED.1 / 10.0);

/// Transition probabilities for 1/8 s, 1/4 s, ... 8 s.
pub const STEPS: usize = 7;
pub const SHORTEST_STEP_S: f32 = 0.125;

/// What a phone says that stays loud at a gateway.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Steady {
    /// It is inside.
    Inside {
        /// Half-way to the outside level, in dB from `steady_db`; 0 where no walk test measured it.
        least_db: f32,
    },
    /// It is before the shop.
    Outside,
    /// Another gateway says more.
    Neither,
}

/// What a gateway usually measures of a customer.
#[derive(Debug, Clone, PartialEq)]
pub struct Usual {
    /// In dBm, at each place.
    pub mean: f32x8,
    /// -1/2 the inverse variance, in 1/dB².
    pub precision: f32x8,
    /// Natural logarithm of the standard deviation.
    pub log_spread: f32x8,
    /// Where somebody is whom this gateway receives first.
    pub first: Grid,
    /// Logarithm of how probably it receives nothing of somebody there for a moment.
    pub silence: Grid,
    /// Whether it receives everybody who goes through the door.
    pub at_the_door: bool,
    /// Added to what it measures, in dB.
    offset_db: f32,
    /// What is usual inside, in dBm.
    pub inside_dbm: f32,
    /// What a phone says that stays as loud as `steady_db`, in dB from `inside_dbm`.
    pub steady: Steady,
    /// In dB from `inside_dbm`.
    pub steady_db: f32,
    /// How much less is usual of those who pass, who stand before the shop, and on the threshold.
    pub apart_db: [f32; 3],
    /// Where it hangs.
    pub place: Place,
}

/// What a customer's phone receives of the beacons at one kind of place.
#[derive(Debug, Clone, PartialEq)]
struct Beacon {
    place: Place,
    mean: f32x8,
    inverse_spread: f32x8,
    log_spread: f32x8,
}

/// Where the gateways and beacons of a shop stand, as far as radio cares.
#[derive(Debug)]
pub struct SiteModel {
    gateways: Vec<Usual>,
    /// Of a gateway that is not configured.
    unknown: Usual,
    zones: [Option<Place>; 16],
    beacons: Vec<Beacon>,
    /// Where people are after 1/8 s, 1/4 s, ...
    pub moves: [ByPlace<f32x8>; STEPS],
    /// Measured gateways hang on both sides of the door, and none at it: the difference tells, at once.
    pub both_sides: bool,
    /// All gateways hang at one kind of place: their levels alone do not tell where somebody is.
    pub of_one_place: bool,
    /// Log-odds of coming in, how many customers were counted (logarithm), gateways.
    pub about: [f32; 3],
}

/// One contact, as the belief weighs it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading<'a> {
    /// Who received it.
    pub gateway: GatewayIndex,
    /// What is usual there.
    pub usual: &'a Usual,
    /// As measured, offset added; `None` where the driver reports no level.
    pub rssi_dbm: Option<f32>,
    /// What the phone itself says it receives.
    pub echo: Option<Echo>,
    /// Where that beacon stands, if known.
    pub echo_place: Option<Place>,
    /// Log-likelihood of the echo at each place; `None` where the beacon's place is not known.
    pub echo_likelihood: Option<f32x8>,
}

impl Reading<'_> {
    /// Whether it comes from a gateway outside, without an echo: it does not keep a visit open.
    pub fn is_outside_alone(&self) -> bool {
        self.usual.place == Place::Outside && self.echo_likelihood.is_none()
    }

    /// Whether it says anything of where the customer is.
    pub const fn is_evidence(&self) -> bool {
        self.rssi_dbm.is_some() || self.echo_likelihood.is_some()
    }

    /// What the survey takes of the echo.
    pub fn echo_level(&self) -> Option<(usize, f32)> {
        let dbm = self.echo.and_then(Echo::rssi)?;
        Some((kind(self.echo_place?), f32::from(dbm)))
    }
}

impl SiteModel {
    /// As configured, and as the shop's traffic has it.
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
        let usual_at: Vec<_> = gateways.iter().map(|one| of(Some(one), traffic(one))).collect();
        Self {
            gateways: usual_at,
            unknown: of(None, &GatewayTraffic::NONE),
            zones: *zones,
            beacons: stand.filter_map(beacon).collect(),
            moves,
            both_sides,
            of_one_place: usize::from(door) + usize::from(inside) + usize::from(outside) < 2,
            about: about(survey, gateways.len()),
        }
    }

    /// A contact, from a measurement and an echo.
    pub fn reading(
        &self,
        gateway: GatewayIndex,
        rssi: Option<Dbm>,
        echo: Option<Echo>,
    ) -> Reading<'_> {
        let usual = self.usual(gateway);
        let zone = |echo: Echo| self.zones.get(usize::from(echo.zone)).copied().flatten();
        let echo_place = echo.and_then(zone);
        Reading {
            gateway,
            usual,
            rssi_dbm: rssi.map(|rssi| f32::from(rssi) + usual.offset_db),
            echo,
            echo_place,
            echo_likelihood: echo
                .zip(echo_place)
                .and_then(|(echo, place)| self.likelihood(echo, place)),
        }
    }

    /// What is usual at a gateway.
    pub fn usual(&self, gateway: GatewayIndex) -> &Usual {
        self.gateways.get(usize::from(gateway.0)).unwrap_or(&self.unknown)
    }

    /// The gateways of the store.
    pub fn gateways(&self) -> &[Usual] {
        &self.gateways
    }

    /// Log-likelihood of an echo at each place: that beacon so loud, and those elsewhere no louder, for
    /// a phone reports the one it receives best.
    fn likelihood(&self, echo: Echo, here: Place) -> Option<f32x8> {
        let dbm = f32x8::splat(f32::from(echo.rssi()?));
        let mut sum = f32x8::ZERO;
        for beacon in &self.beacons {
            let away = (dbm - beacon.mean) * beacon.inverse_spread;
            sum += if beacon.place == here {
                away * away * f32x8::splat(-0.5) - beacon.log_spread
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

/// What is known once `means`, one by one, have been measured.
fn given<const N: usize>(joint: &Joint<N>, first: usize, means: &[(Mean, f32)]) -> Joint<N> {
    (first..).zip(means).fold(*joint, |joint, (nth, (mean, deviation))| {
        if mean.count == 0.0 {
            return joint;
        }
        joint.measured(nth, mean.mean, deviation * deviation / mean.count)
    })
}

/// Means and standard deviations of a reading at each place: what is not known of the level adds to how
/// it scatters there, but for what all places have in common, which is like another phone.
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
        // What head office tunes moves what is usual.
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
            // People stand close to the door on either side; who is further off is as much fainter as
            // elsewhere.
            let fainter = mean.map(|level| outside_dbm + level - mean[STANDING]);
            mean = [inside_dbm; PLACES];
            mean[..THRESHOLD].copy_from_slice(&fainter[..THRESHOLD]);
            spread = [GATEWAY_SPREAD_DB[kind(place)][THRESHOLD]; PLACES];
        }

        let received = received(&mean);
        let inside_dbm = mean.iter().zip(&STAYING).map(|(mean, part)| mean * part).sum::<f32>();
        let apart_db = [PASSING, STANDING, THRESHOLD].map(|place| inside_dbm - mean[place]);
        let (steady, steady_dbm) = match steady_dbm(walk, usual, traffic) {
            _ if place == Place::Outside => (Steady::Outside, mean[THRESHOLD]),
            Some((dbm, least_db)) if innermost && !both_sides => (Steady::Inside { least_db }, dbm),
            _ => (Steady::Neither, inside_dbm),
        };
        Self {
            mean: f32x8::new(mean),
            precision: f32x8::new(spread.map(|spread| -0.5 / (spread * spread))),
            log_spread: f32x8::new(spread.map(f32::ln)),
            first: first(&received, moves),
            silence: received.map(|part| (f32x8::ONE - part * f32x8::splat(1.0 - LOST)).ln()),
            at_the_door,
            offset_db: gateway.map_or(0.0, |gateway| gateway.offset_db),
            inside_dbm,
            apart_db,
            steady,
            steady_db: steady_dbm - inside_dbm,
            place,
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

/// How probably a reading is received at each place, by the phone's loudness.
fn received(mean: &ByPlace) -> Grid {
    let mut offsets = OFFSET_DB.iter();
    Grid::all(f32x8::new(*mean)).map(|level| {
        let offset = offsets.next().copied().unwrap_or_default();
        let above =
            (level + f32x8::splat(offset - FAINTEST_DBM)) * f32x8::splat(1.0 / FAINTEST_EDGE_DB);
        f32x8::ONE / (f32x8::ONE + (f32x8::ZERO - above).exp())
    })
}

/// How usual phones are that are as loud as [`OFFSET_DB`] says: a normal distribution of standard
/// deviation 8 dB.
const LOUDNESS: [f32; 7] = [0.044, 0.116, 0.208, 0.264, 0.208, 0.116, 0.044];

/// Where somebody is who is received first: they come down the street, and nothing was received before.
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

/// Transition probabilities: how people move in every shop, and how many of those who come near come in
/// here.
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

/// The inside level, where it tells inside from outside: measured, or as head office has it; and louder
/// than nearly all who pass.
fn steady_dbm(walk: Option<Levels>, usual: Levels, traffic: &GatewayTraffic) -> Option<(f32, f32)> {
    let Levels { inside_dbm, outside_dbm } = walk.unwrap_or(usual);
    if inside_dbm < outside_dbm + APART_DB {
        return None;
    }
    let louder_dbm = traffic.passes.mean + LOUDER_DB;
    if traffic.passes.count >= FEW && louder_dbm > inside_dbm {
        return Some((louder_dbm, 0.0));
    }
    // Between the two levels nothing is certain, but time.
    let least_db = walk.map_or(0.0, |_| 0.5 * (outside_dbm - inside_dbm));
    Some((inside_dbm, least_db))
}

fn about(survey: &Survey, gateways: usize) -> [f32; 3] {
    let (stays, passes) = COUNTED_BEFORE;
    let counted = (1.0 + (survey.stays + survey.passes).min(200.0)).ln();
    let gateways = gateways.min(3) as f32;
    [((survey.stays + stays) / (survey.passes + passes)).ln(), counted, gateways]
}

/// Most gateways stand at the door.
fn place_of(about: Option<&Gateway>) -> Place {
    about.and_then(|about| about.place).unwrap_or(Place::Door)
}

/// Logarithm of the normal distribution's integral up to `away`, by the logistic one's.
fn no_louder(away: f32x8) -> f32x8 {
    let steep = away * f32x8::splat(-1.7);
    let above = steep.fast_max(f32x8::ZERO);
    let below = (f32x8::ZERO - steep.abs()).exp() + f32x8::ONE;
    f32x8::ZERO - above - below.ln()
}
