//! Location trackers: what they advertise so that strangers can detect one that travels with them.
//! Recognised so that `decode` and `scan` can name them: address and payload change, so they
//! identify no customer.
//!
//! Formats: service data of UUID `fcb2` with network, then the near-owner bit (IETF,
//! draft-ietf-dult-accessory-protocol); of UUID `feaa` with frame type 0x40, or 0x41 in unwanted
//! tracking protection mode (Google, "Find Hub Network Accessory Specification"). The rest of the
//! data is for the network alone.

use super::format::{Class, Described, Format, Section, Value};

/// The service of detectable trackers.
pub(super) const DULT: u16 = 0xfcb2;
/// Find Hub, whose service Eddystone shares.
pub(super) const FIND_HUB: u16 = 0xfeaa;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tracker {
    /// By the IETF's draft.
    Dult {
        /// 1 is Apple's, 2 Google's.
        network: u8,
        /// Whether it is away from its owner.
        separated: bool,
    },
    /// By Google's specification.
    FindHub {
        /// Whether it is away from its owner.
        separated: bool,
    },
}

impl Format<'_> for Tracker {
    const CLASS: Class = Class::Tracker;

    #[inline]
    fn read(section: Section<'_>) -> Option<Self> {
        match section {
            Section::Service(DULT, &[network, state, ..]) => {
                Some(Self::Dult { network, separated: state & 1 == 0 })
            }
            Section::Service(FIND_HUB, &[frame @ (0x40 | 0x41), _, ..]) => {
                Some(Self::FindHub { separated: frame == 0x41 })
            }
            _ => None,
        }
    }

    fn describe(&self) -> Described {
        match *self {
            Self::Dult { network, separated } => Described {
                kind: "dult",
                name: name(separated),
                fields: vec![
                    ("network", Value::Number(network.into())),
                    ("separated", Value::Flag(separated)),
                ],
            },
            Self::FindHub { separated } => Described {
                kind: "find_hub",
                name: name(separated),
                fields: vec![("separated", Value::Flag(separated))],
            },
        }
    }
}

const fn name(separated: bool) -> &'static str {
    if separated { "Tracker separated from its owner" } else { "Tracker near its owner" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::advert::{Beacon, describe, identifiers};

    #[test]
    fn a_tracker_is_recognised_near_its_owner_and_separated() {
        let dult = |network, separated| Tracker::Dult { network, separated };
        for (payload, tracker) in [
            ("0616b2fc0201aa", dult(2, false)),
            ("0616b2fc0100aa", dult(1, true)),
            ("0616aafe40aabb", Tracker::FindHub { separated: false }),
            ("0616aafe41aabb", Tracker::FindHub { separated: true }),
        ] {
            let payload = hex::decode(payload).unwrap();
            assert_eq!(describe(&payload).beacon, Some(Beacon::Tracker(tracker)));
            assert_eq!(identifiers(&payload).count(), 0, "it identifies no customer");
        }
    }
}
