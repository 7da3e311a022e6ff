//! Bermuda: at each interval a nearer distance is taken at once, and a farther one is averaged with
//! the nearest of the last samples: fast to approach, slow to retreat. The nearest scanner within
//! the radius has the device.
//!
//! Source: github.com/agittins/bermuda, `custom_components/bermuda/bermuda_advert.py`
//! (`calculate_data`). Left out: the limit on velocity, which its defaults never reach indoors.

use std::collections::VecDeque;

use super::{Near, Rule, metres, nearest};
use crate::tape::Contact;

pub struct Bermuda {
    interval_s: f64,
    samples: usize,
    scanners: Vec<Scanner>,
    metres: Vec<Option<(f64, f64)>>,
}

#[derive(Clone, Default)]
struct Scanner {
    updated_s: Option<f64>,
    history: VecDeque<f64>,
}

impl Bermuda {
    /// Updates every `interval_s`, and averages `samples` values.
    pub fn new(gateways: usize, interval_s: f64, samples: usize) -> Self {
        let scanners = vec![Scanner::default(); gateways];
        Self { interval_s, samples, scanners, metres: vec![None; gateways] }
    }
}

impl Rule for Bermuda {
    fn hear(&mut self, contact: Contact) -> Option<Near> {
        let (gateway, now_s) = (usize::from(contact.gateway), contact.at_s());
        let scanner = self.scanners.get_mut(gateway)?;
        if scanner.updated_s.is_none_or(|at_s| now_s - at_s >= self.interval_s) {
            scanner.updated_s = Some(now_s);
            let raw = metres(contact.dbm());
            scanner.history.push_front(raw);
            scanner.history.truncate(self.samples);
            *self.metres.get_mut(gateway)? = Some((now_s, retreat(&scanner.history).min(raw)));
        }
        nearest(&self.metres, now_s, 10.0)
    }
}

/// The mean of the running minima, from the latest sample backwards.
fn retreat(history: &VecDeque<f64>) -> f64 {
    let mut least = f64::INFINITY;
    let minima = history.iter().map(|metres| {
        least = least.min(*metres);
        least
    });
    #[expect(clippy::cast_precision_loss, reason = "a few dozen")]
    let count = history.len().max(1) as f64;
    minima.sum::<f64>() / count
}
