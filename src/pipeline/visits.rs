//! The visits that are open, or closed so recently that the customer may continue them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::units::{ClockStep, WallTime};
use crate::pipeline::identity::customer::CustomerIndex;
use crate::pipeline::visit::{Claim, Member, StaffAction, Visit};
use crate::pipeline::visit_id::VisitId;

/// At most one visit per customer.
#[derive(Debug, Default)]
pub struct Visits {
    by_customer: BTreeMap<CustomerIndex, (Visit, Phase)>,
}

/// Whether a visit is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Open,
    /// Closed; it opens again if the customer returns.
    Closed,
}

impl Visits {
    /// Adds or replaces the visit of `who`.
    pub fn put(&mut self, who: CustomerIndex, visit: Visit, phase: Phase) {
        self.by_customer.insert(who, (visit, phase));
    }

    pub fn get(&self, who: CustomerIndex) -> Option<(&Visit, Phase)> {
        self.by_customer.get(&who).map(|(visit, phase)| (visit, *phase))
    }

    /// The visit of `who`, to be changed.
    pub fn get_mut(&mut self, who: CustomerIndex) -> Option<&mut Visit> {
        self.by_customer.get_mut(&who).map(|(visit, _)| visit)
    }

    /// All of them, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&mut Visit, Phase)> {
        self.by_customer.values_mut().map(|(visit, phase)| (visit, *phase))
    }

    /// The customer of a visit.
    pub fn customer(&self, id: VisitId) -> Option<CustomerIndex> {
        self.by_customer.iter().find(|(_, (visit, _))| visit.id == id).map(|(who, _)| *who)
    }

    /// Opens or closes the visit of `who`, and returns it.
    pub fn turn(&mut self, who: CustomerIndex, phase: Phase) -> Option<Visit> {
        let (visit, was) = self.by_customer.get_mut(&who)?;
        if *was != phase {
            *was = phase;
            if phase == Phase::Closed {
                visit.checked_in_until = None;
            }
            visit.revision = visit.revision.saturating_add(1);
        }
        Some(visit.clone())
    }

    /// Forgets the visit of `who`.
    pub fn remove(&mut self, who: CustomerIndex) -> Option<Visit> {
        self.by_customer.remove(&who).map(|(visit, _)| visit)
    }

    /// Takes all visits out.
    pub fn take(&mut self) -> BTreeMap<CustomerIndex, (Visit, Phase)> {
        std::mem::take(&mut self.by_customer)
    }

    pub fn iter(&self) -> impl Iterator<Item = (CustomerIndex, &Visit, Phase)> {
        self.by_customer.iter().map(|(who, (visit, phase))| (*who, visit, *phase))
    }

    pub fn open(&self) -> impl Iterator<Item = &Visit> {
        self.iter().filter(|(_, _, phase)| *phase == Phase::Open).map(|(_, visit, _)| visit)
    }
}

impl Visit {
    /// When it is escalated unless it is claimed; `None` if it is not to be.
    pub(super) fn escalates_at(&self, after: Duration) -> Option<WallTime> {
        let waits = self.announced && !self.escalated && !self.dismissed && self.claim.is_none();
        waits.then(|| self.arrived_at.plus(after))
    }

    /// The wall clock was set.
    pub(super) fn set_clock(&mut self, step: ClockStep) {
        self.arrived_at = step.applied(self.arrived_at);
        self.checked_in_until = self.checked_in_until.map(|until| step.applied(until));
        if let Some(claim) = &mut self.claim {
            claim.since = step.applied(claim.since);
        }
    }

    /// Applies what staff did. The first claim stands until it is released, or taken over.
    pub(super) fn staff(&mut self, who: &Member, action: &StaffAction, now: WallTime) {
        let own = self.claim.as_ref().is_some_and(|claim| claim.is_of(who));
        match action {
            StaffAction::Claim if self.claim.is_none() => self.claim = Some(Claim::of(who, now)),
            StaffAction::TakeOver if !own => self.claim = Some(Claim::of(who, now)),
            StaffAction::HandOver(to) if own => self.claim = Some(Claim::of(to, now)),
            StaffAction::Release if own => self.claim = None,
            StaffAction::Dismiss if !self.dismissed => self.dismissed = true,
            StaffAction::Recall if self.dismissed => self.dismissed = false,
            _ => return,
        }
        self.revision = self.revision.saturating_add(1);
    }
}
