//! From a walk to this gateway's levels, and the error to expect of them.
//!
//! Signal detection with two equal Gaussians (Green and Swets, 1966): with means μ inside and
//! outside, standard deviation σ and the threshold half way between, a second is taken for the
//! wrong side with probability `Φ(-|μ_in - μ_out| / 2σ)`, Φ the normal distribution function. σ is
//! that of a second's mean: of this phone, as measured; of any customer's, with what phones and
//! the ways of carrying them differ by.

use super::walk::{Loudness, Measured, Stand};

/// Phones and how they are carried differ by this much, dB: see `pipeline::presence::belief`.
const LOUDNESS_DB: f64 = 5.0;

/// A person who stands still for 20 s meets few of a shop's fades: no spread below this is believed,
/// dB.
const LEAST_SPREAD_DB: f64 = 2.0;

/// Levels closer than this decide nothing, dB: phones alone differ by more.
const LEAST_STEP_DB: f64 = 6.0;

/// Fewer seconds are no measurement.
pub const LEAST_SECONDS: u32 = 5;

/// What to write, and how good it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Proposal {
    /// What was measured, in the order of the walk; at the door perhaps nothing.
    pub outside: Measured,
    pub door: Option<Measured>,
    pub inside: Measured,
    /// `presence.gateway_inside_dbm`, to a tenth.
    pub inside_dbm: f64,
    /// `presence.gateway_outside_dbm`, to a tenth.
    pub outside_dbm: f64,
    /// Share of seconds in which the phone of this walk is taken for the wrong side.
    pub this_phone: f64,
    /// The same, of any customer's phone.
    pub any_phone: f64,
    /// Share of seconds in which somebody in the doorway, with any phone, is taken for inside.
    pub at_door: Option<f64>,
}

/// Why there is nothing to propose.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NoLevels {
    /// Not received for long enough.
    #[error(
        "received for only {seconds} s {place}, {LEAST_SECONDS} are needed\n  hint: {}",
        faint_hint(.place)
    )]
    Faint {
        place: &'static str,
        /// Seconds in which anything was received.
        seconds: u32,
    },
    /// Inside and outside sound the same.
    #[error(
        "inside ({inside:.1} dBm) and outside ({outside:.1} dBm) differ by less than \
         {LEAST_STEP_DB} dB: levels would decide nothing\n  hint: move the gateway away from the \
         shop window, or add a second one inside"
    )]
    Alike {
        /// Mean level, dBm.
        inside: f64,
        /// Mean level, dBm.
        outside: f64,
    },
    /// A gateway that does not hang outside receives outside better.
    #[error(
        "outside ({outside:.1} dBm) is louder than inside ({inside:.1} dBm): such levels would \
         announce passers-by\n  hint: move the gateway further in; one that hangs outside is \
         declared so, store.gateways = {{ NAME = \"outside\" }}"
    )]
    Reversed {
        /// Mean level, dBm.
        inside: f64,
        /// Mean level, dBm.
        outside: f64,
    },
}

fn faint_hint(place: &str) -> &'static str {
    if place == "outside" {
        "a gateway that hardly receives the street needs no levels: those of the store will do; \
         or stand nearer to the door"
    } else {
        "is the phone on, does it advertise? `grelot scan` shows what is received"
    }
}

/// Proposes levels for a gateway that hangs outside, or does not; `offset_db` is what the
/// configuration adds to everything that it measures.
///
/// # Errors
/// The walk does not support levels; the error gives the reason.
pub fn propose(
    loudness: &Loudness,
    offset_db: f64,
    hangs_outside: bool,
) -> Result<Proposal, NoLevels> {
    let enough = |stand: Stand| {
        let measured = loudness.at(stand);
        let seconds = measured.map_or(0, |measured| measured.seconds);
        measured
            .filter(|measured| measured.seconds >= LEAST_SECONDS)
            .ok_or(NoLevels::Faint { place: stand.word(), seconds })
    };
    let (outside, inside) = (enough(Stand::Outside)?, enough(Stand::Inside)?);
    let tenth = |dbm: f64| ((dbm + offset_db) * 10.0).round() / 10.0;
    let (inside_dbm, outside_dbm) = (tenth(inside.mean_dbm), tenth(outside.mean_dbm));
    let step = inside_dbm - outside_dbm;
    if step.abs() < LEAST_STEP_DB {
        return Err(NoLevels::Alike { inside: inside_dbm, outside: outside_dbm });
    }
    if step < 0.0 && !hangs_outside {
        return Err(NoLevels::Reversed { inside: inside_dbm, outside: outside_dbm });
    }
    let this = inside.pooled_spread_db(&outside).max(LEAST_SPREAD_DB);
    let any = this.hypot(LOUDNESS_DB);
    let door = loudness.at(Stand::Door).filter(|door| door.seconds >= LEAST_SECONDS);
    let middle = f64::midpoint(inside_dbm, outside_dbm);
    let at_door = door.map(|door| phi((tenth(door.mean_dbm) - middle) * step.signum() / any));
    Ok(Proposal {
        outside,
        door,
        inside,
        inside_dbm,
        outside_dbm,
        this_phone: phi(-step.abs() / (2.0 * this)),
        any_phone: phi(-step.abs() / (2.0 * any)),
        at_door,
    })
}

/// The normal distribution function, by its continued fraction (Abramowitz and Stegun 26.2.14)
/// beyond 3 and its series (26.2.10) within.
pub fn phi(x: f64) -> f64 {
    let density = (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    if x.abs() > 3.0 {
        let tail = (1..=60).rev().fold(x.abs(), |rest, n| x.abs() + f64::from(n) / rest);
        return if x < 0.0 { density / tail } else { 1.0 - density / tail };
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..60 {
        term *= x * x / f64::from(2 * n + 1);
        sum += term;
    }
    0.5 + density * sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn walk(levels: [f64; 3], swing: f64) -> Loudness {
        let mut loudness = Loudness::default();
        for (stand, level) in Stand::ALL.into_iter().zip(levels) {
            for second in 0..20_u32 {
                let wobble = if second % 2 == 0 { swing } else { -swing };
                loudness.add(stand, Duration::from_secs(second.into()), level + wobble);
            }
        }
        loudness
    }

    #[test]
    fn phi_is_the_normal_distribution() {
        for (x, share) in
            [(0.0, 0.5), (1.0, 0.841_344_746), (-1.96, 0.024_997_895), (-4.0, 3.167_124e-5)]
        {
            assert!((phi(x) - share).abs() < 1e-8, "{x}: {}", phi(x));
        }
        assert!((phi(3.000_001) - phi(2.999_999)).abs() < 1e-7);
    }

    #[test]
    fn levels_are_the_means_and_the_error_follows_from_step_and_spread() {
        let proposal = propose(&walk([-80.0, -70.0, -60.0], 4.0), -3.0, false).unwrap();
        assert_eq!((proposal.inside_dbm, proposal.outside_dbm), (-63.0, -83.0));
        let spread = (2.0 * 20.0 * 16.0 / 38.0_f64).sqrt();
        assert!((proposal.this_phone - phi(-10.0 / spread)).abs() < 1e-9);
        assert!((proposal.any_phone - phi(-10.0 / spread.hypot(5.0))).abs() < 1e-9);
        assert!((proposal.at_door.unwrap() - 0.5).abs() < 1e-9, "half way");
    }

    #[test]
    fn a_gateway_outside_hears_it_the_other_way_round() {
        let walk = walk([-60.0, -64.0, -80.0], 1.0);
        let proposal = propose(&walk, 0.0, true).unwrap();
        assert!(proposal.inside_dbm < proposal.outside_dbm);
        assert!(proposal.at_door.unwrap() < 0.2, "at the door is nearly outside");
        let refused = propose(&walk, 0.0, false).unwrap_err();
        assert_eq!(refused, NoLevels::Reversed { inside: -80.0, outside: -60.0 });
        assert!(refused.to_string().contains("{ NAME = \"outside\" }"), "{refused}");
    }

    #[test]
    fn levels_without_a_difference_are_not_proposed() {
        let alike = |inside| propose(&walk([-70.0, -69.0, inside], 1.0), 0.0, false);
        assert!(matches!(alike(-64.5), Err(NoLevels::Alike { .. })));
        assert!(alike(-63.5).is_ok());
        let mut faint = Loudness::default();
        faint.add(Stand::Outside, Duration::ZERO, -90.0);
        for second in 0..20 {
            faint.add(Stand::Inside, Duration::from_secs(second), -60.0);
        }
        let reason = propose(&faint, 0.0, false).unwrap_err();
        assert_eq!(reason, NoLevels::Faint { place: "outside", seconds: 1 });
        assert!(reason.to_string().contains("needs no levels"), "{reason}");
    }
}
