//! Disk and memory hold the same outbox after any sequence of events.

use std::time::Duration;

use grelot::outbox::Outbox;
use grelot::pipeline::VisitId;
use grelot::store::{Change, MessageKind, OutboundMessage, Queued, Store};
use proptest::prelude::*;

use crate::shop::{OPENING, TestClock};

fn change() -> impl Strategy<Value = Change> {
    let client = |n: u8| -> std::sync::Arc<str> { format!("c-{n}").into() };
    let visit = |n: u8| VisitId(uuid::Uuid::from_u128(u128::from(n)));
    prop_oneof![
        6 => (0..4_u8, 0..3_usize).prop_map(move |(n, kind)| {
            let kinds = [MessageKind::Arrival, MessageKind::Departure, MessageKind::VisitState];
            Change::Queued(Queued {
                id: 0,
                message: OutboundMessage {
                    kind: kinds[kind],
                    payload: b"{}".as_slice().into(),
                    from: OPENING,
                    lifetime: Duration::from_mins(2),
                    visit: visit(n),
                    client: (n > 0).then(|| client(n)),
                },
            })
        }),
        2 => (1..30_u64).prop_map(Change::Done),
        1 => (0..4_u8).prop_map(move |n| Change::Erased(visit(n))),
        1 => (0..4_u8).prop_map(move |n| Change::Forgotten(client(n))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn disk_and_memory_hold_the_same_outbox(
        batches in prop::collection::vec(prop::collection::vec(change(), 1..4), 1..12),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let now = TestClock::default().now();
        let mut store = Store::open(dir.path()).unwrap();
        let mut outbox = Outbox::default();
        let mut next_id = 0;
        for mut batch in batches {
            for change in &mut batch {
                if let Change::Queued(row) = change {
                    next_id += 1;
                    row.id = next_id;
                }
                outbox.apply(change, now);
            }
            store.commit(&batch).unwrap();
        }
        drop(store);
        let rows = Store::open(dir.path()).unwrap().queued().unwrap();
        prop_assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), outbox.ids().collect::<Vec<_>>());
        let again = Outbox::of(rows, now);
        prop_assert_eq!(again.ids().collect::<Vec<_>>(), outbox.ids().collect::<Vec<_>>());
    }
}
