//! Customers whose phones are known: each has come in three times before, on other days, with the
//! same phone carried in other ways.

use std::time::Duration;

use grelot::commands::score::Score;
use grelot::pipeline::Settings;
use grelot::sources::simulated::scene::Customers;
use grelot::sources::simulated::{Random, Role, Scene, Trajectory};

use super::belief::{self, Phones};
use super::crew;
use super::scenes::{self, Layout, Setup};
use super::tape::Tape;

/// Number of earlier visits of each customer.
const VISITS: u64 = 3;

/// Scores the street scenes of `seeds`, which are on `tapes`, with everyone's phone known.
pub fn judge(
    setup: &Setup,
    seeds: impl Iterator<Item = u64>,
    tapes: &[Tape],
    settings: &Settings,
) -> anyhow::Result<Score> {
    let scenes: Vec<(u64, &Tape)> = seeds.zip(tapes).collect();
    let judge = |(seed, tape): &(u64, &Tape)| -> anyhow::Result<Score> {
        let mut phones = phones(setup, *seed, settings)?;
        Ok(belief::judge_knowing(tape, settings, &mut phones))
    };
    crew::each(&scenes, judge).into_iter().try_fold(Score::default(), |mut sum, score| {
        sum.absorb(score?);
        Ok(sum)
    })
}

/// The RSSI offsets from earlier visits of everyone in the street scene of `seed`.
pub fn phones(setup: &Setup, seed: u64, settings: &Settings) -> anyhow::Result<Phones> {
    let mut phones = Phones::new();
    for visit in 0..VISITS {
        let (_, tape) = belief::play_scene(earlier(setup, seed, visit), seed, settings)?;
        belief::judge_knowing(&tape, settings, &mut phones);
    }
    Ok(phones)
}

/// A scene in which everyone comes in once. The seed determines the phones, so it is the scene's own;
/// path and pocket are drawn with the time, which is another one.
fn earlier(setup: &Setup, seed: u64, visit: u64) -> Scene {
    let mut random = Random::new(seed, &[u64::from(b'k'), visit]);
    let mut scene = scenes::street(setup, &Layout::USUAL, seed);
    if let Customers::Planned(roles) = &mut scene.people.customers {
        for role in roles {
            let at = Duration::from_secs_f64(random.between(0.0, 600.0));
            let for_s = random.wait(150.0).clamp(40.0, 600.0);
            *role = Role { at, trajectory: Trajectory::ComeIn { for_s }, beside: 0, ..*role };
        }
    }
    scene
}
