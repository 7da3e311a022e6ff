//! The visits that are open, or closed so recently that they may go on.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::VisitId;
use super::event::{Claim, StaffAction, Visit};
use super::identity::CustomerIndex;
use super::units::WallTime;

/// At most one visit a customer.
#[derive(Debug, Default)]
pub struct Visits {
    by_customer: BTreeMap<CustomerIndex, (Visit, Phase)>,
}

/// Whether a visit goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Staff see it.
    Open,
    /// Closed; coming back continues it.
    Closed,
}

impl Visits {
    /// Adds or replaces the visit of `who`.
    pub fn put(&mut self, who: CustomerIndex, visit: Visit, phase: Phase) {
        self.by_customer.insert(who, (visit, phase));
    }

    /// Opens or closes the visit of `who`, and returns it.
    pub fn turn(&mut self, who: CustomerIndex, phase: Phase) -> Option<Visit> {
        let (visit, was) = self.by_customer.get_mut(&who)?;
        *was = phase;
        Some(visit.clone())
    }

    /// Forgets the visit of `who`.
    pub fn remove(&mut self, who: CustomerIndex) -> Option<Visit> {
        self.by_customer.remove(&who).map(|(visit, _)| visit)
    }

    /// Takes all out.
    pub fn take(&mut self) -> BTreeMap<CustomerIndex, (Visit, Phase)> {
        std::mem::take(&mut self.by_customer)
    }

    /// Those that are open.
    pub fn open(&self) -> impl Iterator<Item = &Visit> {
        self.by_customer.values().filter(|(_, phase)| *phase == Phase::Open).map(|(v, _)| v)
    }

    /// Applies what staff did. The first claim stands until it is released; the answer is the
    /// visit as it is afterwards, `None` where there is no such open visit.
    pub fn staff(
        &mut self,
        id: VisitId,
        by: &str,
        action: &StaffAction,
        now: WallTime,
    ) -> Option<&Visit> {
        let (visit, _) = self
            .by_customer
            .values_mut()
            .find(|(visit, phase)| visit.id == id && *phase == Phase::Open)?;
        match action {
            StaffAction::Claim if visit.claim.is_none() => {
                visit.claim = Some(Claim { by: Arc::from(by), since: now });
            }
            StaffAction::Release if visit.claim.as_ref().is_some_and(|c| *c.by == *by) => {
                visit.claim = None;
            }
            StaffAction::Dismiss => visit.dismissed = true,
            StaffAction::Claim | StaffAction::Release => {}
        }
        Some(visit)
    }
}
