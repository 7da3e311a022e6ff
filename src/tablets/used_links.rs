//! The links that checked a customer in: each does so once.

use std::collections::VecDeque;
use std::time::Duration;

use crate::pipeline::advert::token::Token;
use crate::pipeline::units::Tick;

/// Longer than a token counts, on any clock.
const USED_FOR: Duration = Duration::from_hours(1);

/// Links that were used, the oldest first. Only links that count are kept, so there are not many.
#[derive(Debug, Default)]
pub struct UsedLinks(VecDeque<(Tick, Token)>);

impl UsedLinks {
    /// Whether a customer was checked in with this one.
    pub fn contains(&mut self, token: &Token, now: Tick) -> bool {
        while self.0.front().is_some_and(|(at, _)| now.since(*at) > USED_FOR) {
            self.0.pop_front();
        }
        self.0.iter().any(|(_, used)| used == token)
    }

    /// A customer was checked in with this one.
    pub fn add(&mut self, token: Token, now: Tick) {
        self.0.push_back((now, token));
    }
}
