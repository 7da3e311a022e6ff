//! A visit's id: it does not identify the customer, and is the same in each replay.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::units::WallTime;

/// A UUID (version 8, RFC 9562) made from a hash of store, client, arrival time and gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VisitId(pub Uuid);

impl VisitId {
    /// The id of the visit that `client` began in `store` at `arrived_at`, seen by `gateway`.
    pub fn of(store: u16, client: &str, arrived_at: WallTime, gateway: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"grelot/1/visit");
        hash.update(store.to_be_bytes());
        hash.update(arrived_at.unix_millis().to_be_bytes());
        for name in [gateway, client] {
            hash.update(u64::try_from(name.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(name.as_bytes());
        }
        let digest: [u8; 32] = hash.finalize().into();
        let [head @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = digest;
        Self(uuid::Builder::from_custom_bytes(head).into_uuid())
    }
}

impl fmt::Display for VisitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for VisitId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_gives_the_same_id_and_any_difference_another() {
        let at = WallTime::from_unix_millis(1_767_603_614_250);
        let id = VisitId::of(42, "c-7f3a", at, "door");
        assert_eq!(id, VisitId::of(42, "c-7f3a", at, "door"));
        assert_eq!(id.0.get_version_num(), 8);
        assert_eq!(id.to_string().parse::<VisitId>().unwrap(), id);
        for other in [
            VisitId::of(43, "c-7f3a", at, "door"),
            VisitId::of(42, "c-7f3b", at, "door"),
            VisitId::of(42, "c-7f3a", WallTime::from_unix_millis(1_767_603_614_251), "door"),
            VisitId::of(42, "c-7f3a", at, "till"),
        ] {
            assert_ne!(id, other);
        }
    }
}
