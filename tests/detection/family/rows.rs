//! Writes what `fit/recurrent.py` fits the network on: a row of 32-bit floats for each step of each
//! customer of random shops.

use std::fs::File;
use std::io::{BufWriter, Write};

use grelot::pipeline::Settings;
use grelot::pipeline::event::GatewayIndex;
use grelot::pipeline::presence::belief::Belief;
use grelot::pipeline::presence::recurrent::Memory;
use grelot::pipeline::presence::site_model::SiteModel;
use grelot::sources::GroundTruth;
use grelot::sources::simulated::Random;

use super::fit::survey;
use super::{shop, tape, walk_test};
use crate::crew;
use crate::tape::Tape;

/// Seeds of shops for fitting the network, and for nothing else.
const FIRST_SEED: u64 = 200_000;
/// Days of traffic; some shops begin without any.
const DAYS: u32 = 3;
const CUSTOMERS: u8 = 60;
/// Customers whose rows are written.
const FITTED: u8 = 40;
/// Fraction of customers whose phone's model is known.
const KNOWN: f64 = 0.4;
/// Fraction of customers whose app wakes on the way or inside.
const WOKEN: f64 = 0.1;
/// Shops that are computed at a time.
const CHUNK: usize = 16;

/// A shop, and its days before the one that is written.
pub struct Shop {
    pub settings: Settings,
    pub before: Vec<Tape>,
    pub today: Tape,
    /// Fraction of customers whose app wakes on the way or inside.
    pub woken: f64,
}

/// Writes the rows of shops of the family, for fitting.
pub fn write_family(path: &str, shops: u64) {
    let seeds: Vec<u64> = (FIRST_SEED..FIRST_SEED + shops).collect();
    write(path, &seeds, |seed| {
        let shop = shop(seed);
        let mut random = Random::new(seed, &[u64::from(b't')]);
        let walk = random.chance(0.4).then(|| walk_test(&shop, seed));
        let days = u64::from(random.below(DAYS + 1));
        Shop {
            settings: shop.settings(walk.as_deref()),
            before: (0..days).map(|day| tape(&shop, seed, 10 + day, CUSTOMERS)).collect(),
            today: tape(&shop, seed, 0, FITTED),
            woken: WOKEN,
        }
    });
}

/// Writes the rows of the shops of `seeds`, which `draw` draws.
pub fn write(path: &str, seeds: &[u64], draw: impl Fn(u64) -> Shop + Sync) {
    let mut file = BufWriter::new(File::create(path).expect("the file can be written"));
    let numbered: Vec<(usize, u64)> = seeds.iter().copied().enumerate().collect();
    for some in numbered.chunks(CHUNK) {
        for rows in crew::each(some, |(nth, seed)| rows(*nth, *seed, &draw(*seed))) {
            let octets: Vec<u8> = rows.iter().flat_map(|value| value.to_le_bytes()).collect();
            file.write_all(&octets).expect("the file can be written");
        }
    }
    file.flush().expect("the file can be written");
}

/// The rows of one shop, one for each step: shop, customer, seconds, inside or not, seconds since
/// entering, whether the customer comes in at all, and the inputs of the network.
fn rows(nth: usize, seed: u64, shop: &Shop) -> Vec<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "seconds of a day")]
    let single = |value: f64| value as f32;
    let Shop { settings, before, today, woken } = shop;
    let mut random = Random::new(seed, &[u64::from(b'r')]);
    let site = SiteModel::new(settings, &survey(&settings.gateways, before));
    let listening = (1 << settings.gateways.len()) - 1;
    let begins = begins(today, *woken, &mut random);
    let mut rows = Vec::new();
    for (customer, begins_s) in (0_u8..).zip(&begins) {
        let known = random.chance(KNOWN);
        let phone = today.phones.get(usize::from(customer)).filter(|_| known);
        let phone = phone.copied().unwrap_or_default();
        let (mut memory, mut belief, mut last_s) = (Memory::NEW, Belief::first(), None);
        let of = today.contacts.iter().filter(|one| one.customer == customer);
        for contact in of.filter(|one| one.at_s() >= *begins_s) {
            let rssi = contact.rssi().map(|rssi| phone.average_rssi(rssi));
            let echo = contact.echo().map(|echo| phone.average_echo(echo));
            let reading = site.reading(GatewayIndex(contact.gateway), rssi, echo, known);
            let gap_s = single(last_s.map_or(0.0, |last_s| contact.at_s() - last_s));
            last_s = Some(contact.at_s());
            let whereabouts = belief.hear(contact.at(), &reading, &site, listening);
            let inputs = memory.hear(gap_s, &reading, &whereabouts, &site);
            let Some(inputs) = inputs else { continue };
            let [inside, since_s, comes] = truth(today, customer, contact.at_s());
            let about = [nth as f32, customer.into(), single(contact.at_s())];
            rows.extend(about.into_iter().chain([inside, since_s, comes]).chain(inputs));
        }
    }
    rows
}

/// Whether a customer is inside, since when in seconds, and whether they come in at all.
fn truth(tape: &Tape, customer: u8, at_s: f64) -> [f32; 3] {
    let client = tape.clients.get(usize::from(customer));
    let (mut inside, mut since_s, mut comes) = (0.0, -1.0, 0.0);
    for fact in tape.facts.iter().filter(|fact| Some(&fact.client) == client) {
        let before_s = at_s - fact.at.as_secs_f64();
        match fact.word {
            GroundTruth::Enter | GroundTruth::StepIn => {
                comes = 1.0;
                if before_s >= 0.0 {
                    #[expect(clippy::cast_possible_truncation, reason = "small")]
                    let since = before_s as f32;
                    (inside, since_s) = (1.0, since);
                }
            }
            GroundTruth::Leave | GroundTruth::StepOut if before_s >= 0.0 => inside = 0.0,
            _ => {}
        }
    }
    [inside, since_s, comes]
}

/// When each customer's app begins to advertise, in seconds; `woken` is the fraction of those that
/// wake on the way.
fn begins(tape: &Tape, woken: f64, random: &mut Random) -> Vec<f64> {
    let mut spans = vec![(f64::MAX, 0.0); tape.clients.len()];
    for contact in &tape.contacts {
        if let Some((from, to)) = spans.get_mut(usize::from(contact.customer)) {
            (*from, *to) = (from.min(contact.at_s()), contact.at_s());
        }
    }
    let mut begins = |(from, to): &(f64, f64)| {
        if random.chance(woken) { from + (to - from) * random.unit() * random.unit() } else { 0.0 }
    };
    spans.iter().map(&mut begins).collect()
}
