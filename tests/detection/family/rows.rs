//! Writes the training data of `fit/head.py`: a row of 32-bit floats for contacts of random shops.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};

use grelot::pipeline::event::{GatewayIndex, Start};
use grelot::pipeline::identity::CustomerIndex;
use grelot::pipeline::presence::Presence;
use grelot::pipeline::units::Tick;
use grelot::sources::GroundTruth;
use grelot::sources::simulated::Random;

use super::{shop, tape, walk_test};
use crate::crew;
use crate::tape::Tape;
use crate::trial::{Trial, pass};

/// Seeds of shops for fitting the network, and for nothing else.
const FIRST_SEED: u64 = 200_000;
/// Days of traffic; some shops begin without any.
const DAYS: u32 = 3;
const CUSTOMERS: u8 = 60;
/// Minimum time between two rows of one customer and gateway, in seconds.
const EVERY_S: f64 = 0.4;
/// Fraction of customers whose app wakes on the way or inside.
const WOKEN: f64 = 0.3;
/// Shops that are computed at a time.
const CHUNK: usize = 16;

/// Writes the rows of `shops` shops.
pub fn write(path: &str, shops: u64) {
    let mut file = BufWriter::new(File::create(path).expect("the file can be written"));
    let seeds: Vec<u64> = (FIRST_SEED..FIRST_SEED + shops).collect();
    for seeds in seeds.chunks(CHUNK) {
        for rows in crew::each(seeds, |seed| rows(*seed)) {
            let octets: Vec<u8> = rows.iter().flat_map(|value| value.to_le_bytes()).collect();
            file.write_all(&octets).expect("the file can be written");
        }
    }
    file.flush().expect("the file can be written");
}

/// The rows of one shop, one for each contact: shop, customer, seconds, inside or not, seconds
/// since entering, whether the customer comes in at all, and the inputs of the network.
fn rows(seed: u64) -> Vec<f32> {
    let shop = shop(seed);
    let mut random = Random::new(seed, &[u64::from(b'r')]);
    let walk = random.chance(0.5).then(|| walk_test(&shop, seed));
    let settings = shop.settings(walk.as_deref());
    let mut trial = Trial::default();
    for day in 0..u64::from(random.below(DAYS + 1)) {
        trial.play(&tape(&shop, seed, 10 + day, CUSTOMERS), &settings);
    }
    let tape = tape(&shop, seed, 0, CUSTOMERS);
    let begins = woken(&tape, &mut random);
    let mut presence = Presence::new(settings, trial.survey, Start::Followed, Tick::ZERO);
    let mut written = BTreeMap::new();
    let mut rows = Vec::new();
    for contact in &tape.contacts {
        if begins.get(usize::from(contact.customer)).is_some_and(|begins| contact.at_s() < *begins)
        {
            continue;
        }
        let (now, gateway) = (contact.at(), GatewayIndex(contact.gateway));
        let who = CustomerIndex(contact.customer.into());
        pass(&mut presence, now, &mut |_, _| ());
        presence.hear(who, now, gateway, contact.rssi(), contact.echo());
        let last_s = written.entry((contact.customer, contact.gateway)).or_insert(f64::MIN);
        if contact.at_s() - *last_s < EVERY_S {
            continue;
        }
        *last_s = contact.at_s();
        let Some(inputs) = presence.inputs(who, gateway) else { continue };
        let [inside, since_s, comes] = truth(&tape, contact.customer, contact.at_s());
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "small")]
        let (shop, at_s) = ((seed - FIRST_SEED) as f32, contact.at_s() as f32);
        rows.extend([shop, contact.customer.into(), at_s, inside, since_s, comes]);
        rows.extend(inputs);
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
            GroundTruth::Enter => {
                comes = 1.0;
                if before_s >= 0.0 {
                    #[expect(clippy::cast_possible_truncation, reason = "small")]
                    let since = before_s as f32;
                    (inside, since_s) = (1.0, since);
                }
            }
            GroundTruth::Leave if before_s >= 0.0 => inside = 0.0,
            _ => {}
        }
    }
    [inside, since_s, comes]
}

/// When each customer's app begins to advertise, in seconds.
fn woken(tape: &Tape, random: &mut Random) -> Vec<f64> {
    let mut spans = vec![(f64::MAX, 0.0); tape.clients.len()];
    for contact in &tape.contacts {
        if let Some((from, to)) = spans.get_mut(usize::from(contact.customer)) {
            (*from, *to) = (from.min(contact.at_s()), contact.at_s());
        }
    }
    let mut begins = |(from, to): &(f64, f64)| {
        if random.chance(WOKEN) { from + (to - from) * random.unit() * random.unit() } else { 0.0 }
    };
    spans.iter().map(&mut begins).collect()
}
