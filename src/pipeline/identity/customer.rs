//! Enrolled customers, as the rest of the pipeline knows them.

use std::sync::Arc;

use crate::pipeline::advert::Echo;
use crate::pipeline::card::Card;
use crate::pipeline::units::WallTime;

/// A customer's place in the current registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CustomerIndex(pub u32);

/// What the rest of the pipeline may know of a customer.
#[derive(Debug, Clone)]
pub struct Customer {
    pub client: Arc<str>,
    pub tier: Arc<str>,
    /// Present only where consent allows showing it.
    pub card: Option<Arc<Card>>,
    pub consent_expires_at: WallTime,
    /// The customer's wish not to be greeted, if any.
    pub quiet: Option<Quiet>,
}

/// What a customer agreed to and asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Agreement<'a> {
    /// When consent ends, if that may be soon.
    pub expires_at: Option<WallTime>,
    /// The customer's wish not to be greeted, if any.
    pub quiet: Option<&'a Quiet>,
}

/// A customer's wish not to be greeted for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quiet {
    /// Not recognised on this day, in the store's time zone.
    Today(jiff::civil::Date),
    /// Not recognised before this time.
    Until(WallTime),
    /// Staff see a discreet, silent entry.
    GreetOnlyIfAsked,
}

/// A sighting that was matched to a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    pub customer: CustomerIndex,
    /// The shop's beacon that their phone receives best (scheme `token` only).
    pub echo: Option<Echo>,
    pub sender: Sender,
}

/// What sent a matched advertisement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    Phone,
    Card,
    /// A card whose identity never changes, so that another device can copy it.
    FixedCard,
    /// Another gateway received it, and does not say what sent it.
    Unknown,
}

impl Match {
    /// A match without an echo.
    pub const fn new(customer: CustomerIndex, sender: Sender) -> Self {
        Self { customer, echo: None, sender }
    }

    #[must_use]
    pub const fn with_echo(self, echo: Option<Echo>) -> Self {
        Self { echo, ..self }
    }
}
