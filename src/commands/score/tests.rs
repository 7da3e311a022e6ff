//! Each rule of the score by an example.

use super::*;

fn facts(facts: &[(u64, GroundTruth)]) -> Vec<Fact> {
    let fact = |&(at, word)| Fact { at: Duration::from_secs(at), word, client: "c".into() };
    facts.iter().map(fact).collect()
}

fn score(truth: &[(u64, GroundTruth)], arrivals: &[u64], departures: &[u64]) -> Score {
    let event = |kind| move |&at| Event { at: Duration::from_secs(at), kind, client: "c".into() };
    let mut events: Vec<_> = arrivals.iter().map(event(EventKind::Arrival)).collect();
    events.extend(departures.iter().map(event(EventKind::Departure)));
    events.sort_by_key(|event| event.at);
    Score::of(&facts(truth), &events)
}

const VISIT: [(u64, GroundTruth); 2] = [(100, GroundTruth::Enter), (200, GroundTruth::Leave)];

#[test]
fn a_visit_announced_once_and_closed_after_leaving_is_all_there_is_to_find() {
    let score = score(&VISIT, &[102], &[230]);
    assert_eq!((score.visits, score.found, score.false_arrivals.total()), (1, 1, 0));
    assert_eq!((score.arrival_delays_s, score.departure_delays_s), (vec![2.0], vec![30.0]));
    assert_eq!(score.false_departures, 0);
}

#[test]
fn a_visit_never_announced_is_missed() {
    let score = score(&VISIT, &[], &[]);
    assert_eq!((score.visits, score.found), (1, 0));
}

#[test]
fn announcing_the_same_stay_twice_is_a_flap_and_closing_it_early_is_false() {
    let score = score(&VISIT, &[102, 150], &[130, 230]);
    assert_eq!((score.found, score.false_arrivals.flap, score.false_departures), (1, 1, 1));
}

#[test]
fn an_arrival_is_early_by_seconds_or_false() {
    assert_eq!(score(&VISIT, &[96], &[]).arrival_delays_s, [-4.0]);
    let waiting_at_the_window = score(&VISIT, &[60], &[]);
    assert_eq!(waiting_at_the_window.false_arrivals.early, 1);
    assert_eq!(waiting_at_the_window.found, 0);
}

#[test]
fn a_passer_by_never_arrives() {
    let score = score(&[(50, GroundTruth::Pass)], &[51], &[90]);
    assert_eq!((score.visits, score.false_arrivals.pass), (0, 1));
    assert_eq!(score.false_departures, 0);
}

#[test]
fn an_arrival_after_leaving_is_a_flap() {
    assert_eq!(score(&VISIT, &[101, 260], &[240]).false_arrivals.flap, 1);
}

#[test]
fn a_customer_who_was_inside_needs_no_arrival_and_is_no_newcomer_later() {
    let truth = [(0, GroundTruth::Inside), (500, GroundTruth::Leave)];
    let at_once = score(&truth, &[3], &[530]);
    assert_eq!((at_once.visits, at_once.already_inside), (0, 1));
    assert_eq!(at_once.false_arrivals.total(), 0);
    assert_eq!(at_once.departure_delays_s, [30.0]);
    assert_eq!(score(&truth, &[300], &[]).false_arrivals.restart, 1);
}

#[test]
fn stepping_out_is_no_new_visit_and_no_false_departure() {
    let [enter, leave] = VISIT;
    let truth = [enter, (130, GroundTruth::StepOut), (160, GroundTruth::StepIn), leave];
    assert_eq!(score(&truth, &[101], &[150, 220]).false_departures, 0);
    assert_eq!(score(&truth, &[101, 161], &[150]).false_arrivals.flap, 1);
    assert_eq!(score(&truth, &[101], &[170]).false_departures, 1);
}

#[test]
fn a_customer_without_ground_truth_is_false_of_another_kind() {
    assert_eq!(score(&[], &[10], &[]).false_arrivals.other, 1);
}

#[test]
fn percentiles_are_delays_that_were_measured() {
    let delays: Vec<f64> = (1..=20).map(f64::from).collect();
    assert_eq!(Delays::of(&delays), Delays { p50: Some(10.0), p95: Some(19.0) });
    assert_eq!(Delays::of(&[]), Delays { p50: None, p95: None });
}

#[test]
fn the_printed_score_has_the_promised_keys() {
    let line = serde_json::to_value(score(&VISIT, &[102], &[230]).line()).unwrap();
    assert_eq!(line["arrival_delay_s"], serde_json::json!({"p50": 2.0, "p95": 2.0}));
    for key in ["visits", "found", "false_arrivals", "false_departures", "departure_delay_s"] {
        assert!(line.get(key).is_some(), "{key}");
    }
    assert_eq!(line["found_within_s"]["10"], 1);
}
