//! Compares arrivals with the settings in force and with others.

use std::collections::VecDeque;

/// Two visits that begin this close to each other are the same visit, earlier or later.
const SAME_VISIT_S: f64 = 60.0;

/// An arrival, as it is compared.
pub trait Arrival: PartialEq {
    /// The customer's handle.
    fn client(&self) -> &str;
    /// When, in seconds since a time that is the same for all.
    fn seconds(&self) -> f64;
}

/// A pair of arrivals, or one without the other.
#[derive(Debug, Clone, PartialEq)]
pub enum Difference<A> {
    /// Both settings announce the same.
    Same,
    /// The other settings announce it at another time, with another confidence, or do not alert.
    Changed {
        /// With the settings in force.
        was: A,
        /// With the other settings.
        is: A,
    },
    /// The other settings do not announce it.
    Lost(A),
    /// The other settings alone announce it.
    New(A),
}

/// Arrivals that are not compared yet.
#[derive(Debug)]
pub struct Differences<A> {
    before: VecDeque<A>,
    after: VecDeque<A>,
}

impl<A> Default for Differences<A> {
    fn default() -> Self {
        Self { before: VecDeque::new(), after: VecDeque::new() }
    }
}

impl<A: Arrival> Differences<A> {
    /// An arrival with the settings in force. Each comes no earlier than the one before.
    pub fn add_before(&mut self, arrival: A) {
        self.before.push_back(arrival);
    }

    /// An arrival with the other settings. Each comes no earlier than the one before.
    pub fn add_after(&mut self, arrival: A) {
        self.after.push_back(arrival);
    }

    /// Differences that no arrival after `now` can change.
    pub fn settled(&mut self, now: f64) -> Vec<Difference<A>> {
        let mut settled = Vec::new();
        while let Some(was) = self.before.pop_front_if(|was| was.seconds() + SAME_VISIT_S <= now) {
            settled.push(self.compared(was));
        }
        while let Some(is) = self.after.pop_front_if(|is| is.seconds() + 2.0 * SAME_VISIT_S <= now)
        {
            settled.push(Difference::New(is));
        }
        settled
    }

    fn compared(&mut self, was: A) -> Difference<A> {
        let same = |is: &A| {
            is.client() == was.client() && (is.seconds() - was.seconds()).abs() < SAME_VISIT_S
        };
        let place = self.after.iter().position(same);
        match place.and_then(|place| self.after.remove(place)) {
            None => Difference::Lost(was),
            Some(is) if was == is => Difference::Same,
            Some(is) => Difference::Changed { was, is },
        }
    }
}
