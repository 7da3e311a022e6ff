//! A plain threshold with dwell and time-out, as do-it-yourself solutions have it: the mean level
//! of the last seconds is above a threshold for long enough. (A level stands for a distance.)

use std::collections::VecDeque;

use super::{Near, Rule, metres, nearest};
use crate::tape::Contact;

pub struct Threshold {
    window_s: f64,
    heard: Vec<VecDeque<(f64, f64)>>,
    metres: Vec<Option<(f64, f64)>>,
}

impl Threshold {
    pub fn new(gateways: usize, window_s: f64) -> Self {
        Self { window_s, heard: vec![VecDeque::new(); gateways], metres: vec![None; gateways] }
    }
}

impl Rule for Threshold {
    fn hear(&mut self, contact: Contact) -> Option<Near> {
        let (gateway, now_s) = (usize::from(contact.gateway), contact.at_s());
        let heard = self.heard.get_mut(gateway)?;
        heard.push_back((now_s, contact.dbm()));
        while heard.front().is_some_and(|(at_s, _)| now_s - at_s > self.window_s) {
            heard.pop_front();
        }
        #[expect(clippy::cast_precision_loss, reason = "a few dozen")]
        let mean = heard.iter().map(|(_, dbm)| dbm).sum::<f64>() / heard.len() as f64;
        *self.metres.get_mut(gateway)? = Some((now_s, metres(mean)));
        nearest(&self.metres, now_s, 5.0)
    }
}
