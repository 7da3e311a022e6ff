//! What staff say of customers who are present, for the survey. In memory only, and at most until
//! the visit ends.

use std::collections::BTreeMap;

use crate::pipeline::identity::customer::CustomerIndex;

/// What staff say of one customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Label {
    /// A member of staff takes care of the customer.
    claimed: bool,
    /// Whether the customer was inside, where staff answered that.
    was_here: Option<bool>,
}

/// The customers of whom staff say something: each has an open visit.
#[derive(Debug, Default)]
pub struct Labels {
    by_customer: BTreeMap<CustomerIndex, Label>,
}

impl Labels {
    /// A member of staff takes care of the customer, or no longer does.
    pub fn claimed(&mut self, who: CustomerIndex, claimed: bool) {
        self.change(who, |label| label.claimed = claimed);
    }

    /// Staff answer whether the customer was inside; `None` takes it back.
    pub fn judged(&mut self, who: CustomerIndex, was_here: Option<bool>) {
        self.change(who, |label| label.was_here = was_here);
    }

    fn change(&mut self, who: CustomerIndex, change: impl FnOnce(&mut Label)) {
        let label = self.by_customer.entry(who).or_default();
        change(label);
        if *label == Label::default() {
            self.by_customer.remove(&who);
        }
    }

    /// Takes what staff say: whether the customer was inside. An answer outweighs a claim, since
    /// staff also claim customers whom they do not find.
    pub fn take(&mut self, who: CustomerIndex) -> Option<bool> {
        let label = self.by_customer.remove(&who)?;
        label.was_here.or(label.claimed.then_some(true))
    }

    /// The registry changed: `moved` gives each customer's new index, or `None` for one who is no
    /// longer enrolled.
    pub fn reindex(&mut self, moved: impl Fn(CustomerIndex) -> Option<CustomerIndex>) {
        let labels = std::mem::take(&mut self.by_customer).into_iter();
        self.by_customer = labels.filter_map(|(who, label)| Some((moved(who)?, label))).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEA: CustomerIndex = CustomerIndex(0);

    #[test]
    fn an_answer_outweighs_a_claim_and_both_are_taken_back() {
        let mut labels = Labels::default();
        labels.claimed(LEA, true);
        labels.judged(LEA, Some(false));
        assert_eq!(labels.take(LEA), Some(false));
        assert_eq!(labels.take(LEA), None, "it counts for one visit");
        labels.claimed(LEA, true);
        labels.judged(LEA, Some(false));
        labels.judged(LEA, None);
        assert_eq!(labels.take(LEA), Some(true));
        labels.claimed(LEA, true);
        labels.claimed(LEA, false);
        assert!(labels.by_customer.is_empty());
    }

    #[test]
    fn a_label_follows_its_customer_into_a_new_registry() {
        let mut labels = Labels::default();
        labels.claimed(LEA, true);
        labels.claimed(CustomerIndex(1), true);
        labels.reindex(|who| (who == LEA).then_some(CustomerIndex(7)));
        assert_eq!((labels.take(CustomerIndex(7)), labels.by_customer.len()), (Some(true), 0));
    }
}
