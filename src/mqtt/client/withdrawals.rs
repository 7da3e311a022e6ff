//! Which customers are known to have withdrawn, and up to where head office's list is known.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::mqtt::inbound::Number;

/// Withdrawals that are remembered; a store has fewer customers.
const MAX_WITHDRAWN: usize = 200_000;

/// Numbers beyond a gap that are remembered. What does not fit is asked for again.
const MAX_ABOVE: usize = 1_000;

/// What this gateway knows of withdrawals.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Withdrawals {
    clients: BTreeSet<Arc<str>>,
    list: Option<Arc<str>>,
    serial: u64,
    /// Numbers of the list that came before those below them.
    above: BTreeSet<u64>,
}

/// There is no room for another withdrawal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl Withdrawals {
    /// What the store remembers: the customers, the list, and the serial up to which it is known.
    pub fn restored(clients: &[Arc<str>], list: Option<(Arc<str>, u64)>) -> Self {
        let (list, serial) = list.map_or((None, 0), |(list, serial)| (Some(list), serial));
        Self { clients: clients.iter().cloned().collect(), list, serial, above: BTreeSet::new() }
    }

    /// Whether the customer has withdrawn.
    pub fn contains(&self, client: &str) -> bool {
        self.clients.contains(client)
    }

    /// Adds a customer; false if known already.
    ///
    /// # Errors
    /// Where there is no room.
    pub fn add(&mut self, client: &Arc<str>) -> Result<bool, Full> {
        if self.clients.len() >= MAX_WITHDRAWN && !self.clients.contains(client) {
            return Err(Full);
        }
        Ok(self.clients.insert(Arc::clone(client)))
    }

    /// Takes the number of a withdrawal; true if more of the list is known than before.
    pub fn count(&mut self, Number { list, serial }: &Number) -> bool {
        if self.list.as_deref() != Some(list) {
            self.begin(list);
        }
        if *serial <= self.serial {
            return false;
        }
        if self.above.len() < MAX_ABOVE {
            self.above.insert(*serial);
        }
        let before = self.serial;
        self.close();
        self.serial > before
    }

    /// The whole list up to `serial` is known.
    pub fn complete(&mut self, list: &str, serial: u64) -> bool {
        let is_new = self.list.as_deref() != Some(list);
        if is_new {
            self.begin(list);
        }
        let before = self.serial;
        self.serial = self.serial.max(serial);
        self.close();
        is_new || self.serial > before
    }

    /// The last withdrawals of the list are known, and some before them are not.
    pub fn has_gap(&self) -> bool {
        !self.above.is_empty()
    }

    /// The list, and the serial up to which it is known.
    pub fn known(&self) -> Option<(&Arc<str>, u64)> {
        self.list.as_ref().map(|list| (list, self.serial))
    }

    /// All customers, in order.
    pub fn clients(&self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        self.clients.iter()
    }

    fn begin(&mut self, list: &str) {
        (self.list, self.serial) = (Some(list.into()), 0);
        self.above.clear();
    }

    fn close(&mut self) {
        while self.above.first().is_some_and(|next| *next <= self.serial + 1) {
            self.serial = self.serial.max(self.above.pop_first().unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(list: &str, serial: u64) -> Number {
        Number { list: list.to_owned(), serial }
    }

    #[test]
    fn a_missed_number_is_a_gap_until_it_comes() {
        let mut known = Withdrawals::default();
        assert!(known.count(&number("a", 1)));
        assert!(!known.count(&number("a", 3)) && known.has_gap());
        assert_eq!(known.known().unwrap().1, 1);
        assert!(known.count(&number("a", 2)) && !known.has_gap());
        assert_eq!(known.known().unwrap().1, 3);
        assert!(!known.count(&number("a", 2)), "it is known");
    }

    #[test]
    fn another_list_begins_from_nothing_and_forgets_no_customer() {
        let mut known = Withdrawals::restored(&["c-1".into()], Some(("a".into(), 9)));
        assert!(!known.count(&number("b", 4)) && known.has_gap());
        assert!(known.complete("b", 3) && !known.has_gap());
        assert_eq!(known.known().map(|(list, serial)| (&**list, serial)), Some(("b", 4)));
        assert!(known.contains("c-1"));
    }

    #[test]
    fn numbers_out_of_reach_do_not_grow_without_end() {
        let mut known = Withdrawals::default();
        for serial in 0..5_000 {
            known.count(&number("a", 10 + serial));
        }
        assert_eq!(known.above.len(), MAX_ABOVE);
        assert!(known.complete("a", u64::MAX - 1) && !known.has_gap());
    }
}
