//! A check-in by the customer's app or by staff, when no phone is received.

use std::time::Duration;

use super::advert::token::Token;

/// A check-in: it opens a visit as an arrival does, through the same consent, policy and caps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckIn<'a> {
    pub who: CheckedIn<'a>,
    /// How long the visit lasts if no phone of the customer is received. From the first contact on,
    /// presence decides.
    pub stay: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckedIn<'a> {
    /// A customer's handle, as staff entered it.
    Client(&'a str),
    /// The token that the customer's app would advertise now, which proves who it is.
    Token(&'a Token),
}
