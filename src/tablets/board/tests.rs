use super::*;

const NOW: WallTime = WallTime::from_unix_secs(1_767_603_600);

fn visit(id: u128, client: &str, gateway: &str, second: u64) -> Visit {
    Visit {
        id: VisitId(uuid::Uuid::from_u128(id)),
        client: client.into(),
        tier: "gold".into(),
        tier_name: None,
        card: None,
        discreet: false,
        gateway: gateway.into(),
        arrived_at: NOW.plus(Duration::from_secs(second)),
        confidence: 0.9,
        claim: None,
        announced_at: None,
        escalated: false,
        revision: 0,
    }
}

fn claimed(mut visit: Visit, by: &str, second: u64) -> Visit {
    let since = NOW.plus(Duration::from_secs(second));
    visit.claim = Some(Claim { by: by.into(), tablet: None, since });
    visit
}

fn gateway(name: &str, status: GatewayStatus) -> InboundMessage {
    InboundMessage::Gateway(name.into(), Gateway { status, since: None, label: None })
}

fn board() -> Board {
    Board::new(Duration::from_mins(5), BTreeSet::from(["door".to_owned()]), NOW)
}

fn ids(board: &Board) -> Vec<u128> {
    board.stays().iter().filter_map(Stay::id).map(|id| id.0.as_u128()).collect()
}

#[test]
fn an_older_state_that_comes_late_changes_nothing() {
    let mut board = board();
    let fresh = Visit { revision: 2, ..claimed(visit(1, "c-1", "door", 2), "Léa", 5) };
    board.apply(NOW, InboundMessage::Present(fresh.clone()));
    board.apply(NOW, InboundMessage::Present(Visit { revision: 1, claim: None, ..fresh }));
    let stays = board.stays();
    assert!(stays[0].claim().is_some_and(|claim| claim.by == "Léa"));
}

#[test]
fn two_gateways_that_announce_one_customer_are_one_stay_in_any_order() {
    let messages = [
        InboundMessage::Present(visit(1, "c-1", "till", 4)),
        InboundMessage::Present(visit(2, "c-1", "door", 2)),
        InboundMessage::Arrival(visit(1, "c-1", "till", 4)),
        InboundMessage::Arrival(visit(2, "c-1", "door", 2)),
        InboundMessage::Present(visit(3, "c-2", "door", 3)),
    ];
    let mut shown = Vec::new();
    for turn in 0..messages.len() {
        let mut board = board();
        for place in 0..messages.len() {
            let message = messages[(turn + place) % messages.len()].clone();
            board.apply(NOW, message.clone());
            board.apply(NOW, message);
        }
        let stays: Vec<_> = board
            .stays()
            .iter()
            .map(|stay| (stay.id(), stay.merged().collect::<Vec<_>>(), stay.announced_at()))
            .collect();
        shown.push(stays);
    }
    assert_eq!(shown[0].len(), 2);
    assert_eq!(shown[0][0].0, Some(VisitId(uuid::Uuid::from_u128(2))), "the earlier one leads");
    assert_eq!(shown[0][0].1.len(), 1, "the other is part of it");
    assert!(shown.iter().all(|other| *other == shown[0]), "{shown:?}");
}

#[test]
fn the_same_customer_hours_later_is_another_stay() {
    let mut board = board();
    board.apply(NOW, InboundMessage::Present(visit(1, "c-1", "door", 0)));
    board.apply(NOW, InboundMessage::Present(visit(2, "c-1", "door", 301)));
    assert_eq!(ids(&board), [1, 2]);
}

#[test]
fn a_claim_on_either_visit_of_a_stay_counts_and_the_first_one_wins() {
    let mut board = board();
    board.apply(NOW, InboundMessage::Present(claimed(visit(1, "c-1", "door", 0), "Paul", 9)));
    board.apply(NOW, InboundMessage::Present(claimed(visit(2, "c-1", "till", 1), "Léa", 8)));
    assert_eq!(board.stays()[0].claim().map(|claim| claim.by.as_str()), Some("Léa"));
}

#[test]
fn an_arrival_does_not_undo_a_claim() {
    let mut board = board();
    board.apply(NOW, InboundMessage::Present(claimed(visit(1, "c-1", "door", 0), "Léa", 2)));
    board.apply(NOW, InboundMessage::Arrival(visit(1, "c-1", "door", 0)));
    let stays = board.stays();
    assert!(stays[0].claim().is_some());
    assert_eq!(stays[0].announced_at(), Some(NOW));
}

#[test]
fn a_notification_that_is_delivered_late_does_not_bring_back_who_has_left() {
    let mut board = board();
    board.apply(NOW, InboundMessage::Arrival(visit(1, "c-1", "door", 0)));
    board.apply(NOW, InboundMessage::Departure(VisitId(uuid::Uuid::from_u128(1)), NOW));
    board.apply(NOW, InboundMessage::Arrival(visit(1, "c-1", "door", 0)));
    assert!(board.stays().is_empty());
    assert_eq!(board.ended().len(), 1);
}

#[test]
fn a_customer_who_returns_within_the_cool_down_is_here_again() {
    let mut board = board();
    board.apply(NOW, InboundMessage::Present(visit(1, "c-1", "door", 0)));
    board.apply(NOW, InboundMessage::Departure(VisitId(uuid::Uuid::from_u128(1)), NOW));
    board.apply(NOW, InboundMessage::Present(visit(1, "c-1", "door", 0)));
    assert_eq!(ids(&board), [1]);
    assert!(board.ended().is_empty());
}

#[test]
fn a_departure_is_forgotten_after_half_an_hour() {
    let mut board = board();
    board.apply(NOW, InboundMessage::Present(visit(1, "c-1", "door", 0)));
    board.apply(NOW, InboundMessage::Departure(VisitId(uuid::Uuid::from_u128(1)), NOW));
    assert!(!board.tidy(NOW.plus(Duration::from_secs(1799))));
    assert!(board.tidy(NOW.plus(Duration::from_mins(30))));
    assert!(board.ended().is_empty());
}

#[test]
fn a_customer_who_left_while_the_broker_was_away_is_gone_after_its_return() {
    let mut board = board();
    board.apply(NOW, InboundMessage::BrokerLink(BrokerLink::Live));
    board.apply(NOW, InboundMessage::Present(visit(1, "c-1", "door", 0)));
    board.apply(NOW, InboundMessage::Present(visit(2, "c-2", "door", 0)));
    board.apply(NOW, InboundMessage::BrokerLink(BrokerLink::Away));
    assert_eq!(ids(&board), [1, 2], "still shown, with the link's state beside it");
    board.apply(NOW, InboundMessage::BrokerLink(BrokerLink::Live));
    board.apply(NOW, InboundMessage::Present(visit(2, "c-2", "door", 0)));
    board.apply(NOW, InboundMessage::Replayed);
    assert_eq!(ids(&board), [2]);
}

#[test]
fn a_withdrawal_takes_the_customer_off_the_board_and_off_the_departures() {
    let mut board = board();
    board.apply(NOW, InboundMessage::Present(visit(1, "c-1", "door", 0)));
    board.apply(NOW, InboundMessage::Departure(VisitId(uuid::Uuid::from_u128(1)), NOW));
    board.apply(NOW, InboundMessage::Present(visit(2, "c-1", "door", 400)));
    board.apply(NOW, InboundMessage::Withdrawn("c-1".into()));
    assert!(board.stays().is_empty());
    assert!(board.ended().is_empty());
}

#[test]
fn a_flood_of_visits_is_bounded() {
    let mut board = board();
    for id in 0..2 * MOST_VISITS as u128 {
        board.apply(NOW, InboundMessage::Present(visit(id, &format!("c-{id}"), "door", 0)));
        board.apply(NOW, gateway(&format!("g-{id}"), GatewayStatus::Online));
    }
    assert_eq!(board.stays().len(), MOST_VISITS);
    assert_eq!(board.gateways().count(), MOST_GATEWAYS);
}

#[test]
fn seven_hundred_junk_visits_do_not_hide_the_gateways_own() {
    let mut board = board();
    for id in 0..700 {
        board.apply(NOW, InboundMessage::Present(visit(id, &format!("junk-{id}"), "nowhere", 0)));
        board.apply(NOW, gateway(&format!("junk-{id}"), GatewayStatus::Online));
    }
    for id in 1_000..1_000 + MOST_VISITS as u128 {
        board.apply(NOW, InboundMessage::Present(visit(id, &format!("c-{id}"), "door", 1)));
    }
    board.apply(NOW, gateway("door", GatewayStatus::Blind));
    board.apply(NOW, InboundMessage::Present(visit(5_000, "junk", "nowhere", 2)));

    assert_eq!(ids(&board), (1_000..1_000 + MOST_VISITS as u128).collect::<Vec<_>>());
    let mut gateways = board.gateways();
    assert!(gateways.any(|(name, door)| (name, door.status) == ("door", GatewayStatus::Blind)));
    drop(gateways);
    assert_eq!(board.gateways().count(), MOST_GATEWAYS);
}

#[test]
fn a_visit_that_staff_hid_is_listed_in_any_order_and_one_that_was_erased_is_not() {
    let id = VisitId(uuid::Uuid::from_u128(1));
    let dismissal = InboundMessage::Dismissal(id, "Léa".into());
    for messages in
        [[dismissal.clone(), InboundMessage::Cleared(id)], [InboundMessage::Cleared(id), dismissal]]
    {
        let mut board = board();
        board.apply(NOW, InboundMessage::Present(visit(1, "c-1", "door", 0)));
        for message in messages {
            board.apply(NOW, message);
        }
        assert!(board.stays().is_empty() && board.lists(id));
        assert_eq!(board.ended()[0].end, End::Hidden("Léa".into()));
        board.apply(NOW, InboundMessage::Present(visit(1, "c-1", "door", 0)));
        assert_eq!(ids(&board), [1], "brought back");
    }
    let mut board = board();
    board.apply(NOW, InboundMessage::Present(visit(1, "c-1", "door", 0)));
    board.apply(NOW, InboundMessage::Cleared(id));
    assert!(!board.lists(id));
    board.tidy(NOW.plus(REASON_WITHIN));
    assert!(board.ended().is_empty());
}

#[test]
fn a_hidden_visit_of_a_customer_who_withdraws_is_gone() {
    let id = VisitId(uuid::Uuid::from_u128(1));
    let mut board = board();
    board.apply(NOW, InboundMessage::Present(visit(1, "c-1", "door", 0)));
    board.apply(NOW, InboundMessage::Dismissal(id, "Léa".into()));
    board.apply(NOW, InboundMessage::Cleared(id));
    board.apply(NOW, InboundMessage::Withdrawn("c-1".into()));
    assert!(board.ended().is_empty());
}

#[test]
fn a_last_will_is_dated_from_when_it_was_received_once() {
    let mut board = board();
    board.apply(NOW, gateway("door", GatewayStatus::Online));
    board.apply(NOW.plus(Duration::from_mins(1)), gateway("door", GatewayStatus::Offline));
    board.apply(NOW.plus(Duration::from_secs(90)), gateway("door", GatewayStatus::Offline));
    let since = board.gateways().next().and_then(|(_, door)| door.since);
    assert_eq!(since, Some(NOW.plus(Duration::from_mins(1))));
}
