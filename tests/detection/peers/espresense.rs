//! `ESPresense`: per node, a trimmed median of the last readings becomes a distance by the
//! absorption; in within the enter distance, out beyond the exit distance or after silence; the
//! nearest node has the device.
//!
//! Source: github.com/ESPresense/ESPresense, `src/BleFingerprint.cpp` (distance, filter) and
//! `src/BleFingerprintCollection.cpp` (`countEnter`, `countExit`, `countMs`). Left out: the
//! variance it reports.

use std::collections::VecDeque;

use super::{Near, Rule, metres, nearest};
use crate::tape::Contact;

pub struct Espresense {
    readings: usize,
    heard: Vec<VecDeque<f64>>,
    metres: Vec<Option<(f64, f64)>>,
}

impl Espresense {
    /// Filters over `readings` values.
    pub fn new(gateways: usize, readings: usize) -> Self {
        Self { readings, heard: vec![VecDeque::new(); gateways], metres: vec![None; gateways] }
    }
}

impl Rule for Espresense {
    fn hear(&mut self, contact: Contact) -> Option<Near> {
        let (gateway, now_s) = (usize::from(contact.gateway), contact.at_s());
        let heard = self.heard.get_mut(gateway)?;
        heard.push_back(contact.dbm());
        if heard.len() > self.readings {
            heard.pop_front();
        }
        let dbm = trimmed_mean(heard);
        *self.metres.get_mut(gateway)? = Some((now_s, metres(dbm)));
        nearest(&self.metres, now_s, 5.0)
    }
}

/// The mean of the middle half.
fn trimmed_mean(heard: &VecDeque<f64>) -> f64 {
    let mut sorted: Vec<f64> = heard.iter().copied().collect();
    sorted.sort_by(f64::total_cmp);
    let trimmed = sorted.len() / 4;
    let middle = sorted.get(trimmed..sorted.len() - trimmed).unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "a few dozen")]
    let count = middle.len().max(1) as f64;
    middle.iter().sum::<f64>() / count
}
