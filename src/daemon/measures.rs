//! `[metrics]`: what `grelot status` says, as measures for Prometheus.

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::status::{Canary, Question, Snapshot, Source};
use crate::http_server;
use crate::payload::GatewayState;
use crate::pipeline::units::WallTime;
use crate::telemetry::Timings;
use crate::telemetry::measures::{CONTENT_TYPE, Labels, Measures};

/// Serves `/metrics` until stopped.
pub async fn serve(
    listener: TcpListener,
    ask: mpsc::Sender<Question>,
    timings: Timings,
    stop: CancellationToken,
) {
    let answer = async move || answer(&ask, &timings).await;
    let routes = Router::new().route("/metrics", get(answer));
    http_server::serve(listener, routes, stop).await;
}

async fn answer(ask: &mpsc::Sender<Question>, timings: &Timings) -> Response {
    let (question, snapshot) = oneshot::channel();
    // The event loop ends before the server does.
    let asked = ask.send(question).await.is_ok();
    match snapshot.await {
        Ok(snapshot) if asked => {
            let text = measures(&snapshot, timings).text();
            ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response()
        }
        _ => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// All measures of a gateway.
fn measures(snapshot: &Snapshot, timings: &Timings) -> Measures {
    let labels = [("store", snapshot.store.to_string()), ("gateway", snapshot.gateway.clone())];
    let mut measures = Measures::new(&labels);
    itself(&mut measures, snapshot);
    radio(&mut measures, &snapshot.sources);
    customers(&mut measures, snapshot, timings);
    way_to_staff(&mut measures, snapshot);
    head_office(&mut measures, snapshot);
    if let Some(one) = &snapshot.canary {
        canary(&mut measures, one);
    }
    measures
}

fn itself(measures: &mut Measures, snapshot: &Snapshot) {
    let version = vec![("version", snapshot.version.clone())];
    measures.gauges("build_info", "Always 1, with the version.", [(version, 1.0)]);
    measures.gauge("uptime_seconds", "Since the start.", whole(snapshot.uptime_s));
    let help = "Whether the gateway receives advertisements.";
    measures.flag("receiving", help, snapshot.state == GatewayState::Online);
    measures.flag("clock_set", "Whether the wall clock is known to be set.", snapshot.clock_set);
    let help = "Whether the state folder takes what is written.";
    measures.flag("store_writable", help, snapshot.delivery.store.is_none());
    let registry = &snapshot.registry;
    measures.gauge(
        "registry_customers",
        "Customers who can be recognised; 0 once the registry has expired.",
        whole(registry.customers),
    );
    let help = "Whether the last registry was refused, or the one in force has expired.";
    measures.flag("registry_trouble", help, registry.trouble.is_some());
    if let Some(expires) = registry.expires_at.as_deref().and_then(WallTime::parse) {
        let help = "When recognition stops without a newer registry, since the Unix epoch.";
        measures.gauge("registry_expiry_timestamp_seconds", help, timestamp(expires));
    }
}

fn radio(measures: &mut Measures, sources: &[Source]) {
    let of = |source: &Source| vec![("source", source.name.clone())];
    let received = sources.iter().map(|source| (of(source), source.heard));
    measures.counts("advertisements", "Advertisements received.", received);
    let shed = sources.iter().map(|source| (of(source), source.shed));
    let help = "Advertisements dropped because a queue was full.";
    measures.counts("advertisements_shed", help, shed);
    let adapters = sources.iter().flat_map(|source| &source.adapters);
    let adapters = adapters.map(|adapter| {
        let labels = vec![("adapter", adapter.name.clone()), ("path", adapter.ear.clone())];
        (labels, f64::from(u8::from(adapter.listening)))
    });
    measures.gauges("adapter_receiving", "Whether an adapter receives.", adapters);
    let steps = sources.iter().flat_map(|source| &source.steps);
    let steps = steps.map(|(step, count)| (vec![("step", step.clone())], *count));
    measures.counts("radio_recovery_steps", "Recovery steps of the radio.", steps);
}

fn customers(measures: &mut Measures, snapshot: &Snapshot, timings: &Timings) {
    let help = "Advertisements of enrolled customers.";
    measures.count("contacts", help, snapshot.contacts);
    measures.count("arrivals", "Visits that were opened.", snapshot.arrivals);
    measures.count("alerts", "Visits that staff were alerted of.", snapshot.alerts);
    let open = u64::try_from(snapshot.visits.len()).unwrap_or(u64::MAX);
    measures.gauge("open_visits", "Visits that are open.", whole(open));
    measures.histogram(
        "recognition_seconds",
        "From the first contact with a customer's phone to the alert.",
        &timings.to_alert,
    );
    measures.histogram(
        "alert_shown_seconds",
        "From an alert until the first page of this gateway has drawn it.",
        &timings.to_page,
    );
    measures.histogram(
        "alert_claimed_seconds",
        "From an alert until a member of staff takes care of the customer.",
        &timings.to_claim,
    );
}

fn way_to_staff(measures: &mut Measures, snapshot: &Snapshot) {
    let (broker, delivery) = (&snapshot.broker, &snapshot.delivery);
    measures.flag("broker_connected", "Whether the broker is there.", broker.connected);
    let help = "Connections to the broker that were established.";
    measures.count("broker_connections", help, delivery.connections);
    let help = "Whether alerts wait because it is not known who has withdrawn consent.";
    measures.flag("alerts_held_back", help, broker.abilities.holds_back());
    let help = "Messages that the broker has not acknowledged yet.";
    measures.gauge("outbox_messages", help, whole(delivery.queued));
    let kinds = [
        ("delivered", delivery.delivered),
        ("repeated", delivery.repeated),
        ("expired", delivery.expired),
        ("shed", delivery.shed),
    ];
    let kinds = kinds.map(|(outcome, count)| (vec![("outcome", outcome.to_owned())], count));
    measures.counts("outbox_outcomes", "What became of messages to the broker.", kinds);
    let help = "Messages from the broker that made no sense.";
    measures.count("inbound_refused", help, delivery.refused);
    if !snapshot.tablets.urls.is_empty() {
        let tabs: usize = snapshot.tablets.looking_on.iter().map(|one| one.tabs).sum();
        let help = "Event streams and connections of tablets at this gateway.";
        measures.gauge("tablets", help, whole(u64::try_from(tabs).unwrap_or(u64::MAX)));
    }
    if !snapshot.webhooks.is_empty() {
        let of = |index: usize, count: u64| -> (Labels, u64) {
            (vec![("webhook", index.to_string())], count)
        };
        let hooks = snapshot.webhooks.iter().enumerate();
        let waiting = hooks.clone().map(|(index, hook)| of(index, hook.waiting));
        let waiting = waiting.map(|(labels, count)| (labels, whole(count)));
        let help = "Messages that wait for a webhook, by its place in the configuration.";
        measures.gauges("webhook_messages", help, waiting);
        let dead = hooks.map(|(index, hook)| of(index, hook.dead));
        measures.counts("webhook_given_up", "Messages that a webhook never took.", dead);
    }
}

fn head_office(measures: &mut Measures, snapshot: &Snapshot) {
    let documents = &snapshot.configuration.documents;
    let serials = documents.iter().filter_map(|document| {
        Some((vec![("reach", document.reach.clone())], whole(document.serial?)))
    });
    let help = "The number of head office's last settings, by reach.";
    measures.gauges("settings_serial", help, serials);
    let help = "Whether the last settings of head office were refused.";
    measures.flag("settings_refused", help, !snapshot.configuration.refused.is_empty());
    if let Some(line) = &snapshot.head_office {
        let help = "Whether the line to head office stands.";
        measures.flag("head_office_connected", help, line.connected);
        let help = "Reports that wait for head office.";
        measures.gauge("head_office_reports", help, whole(line.reports_waiting));
    }
}

fn canary(measures: &mut Measures, canary: &Canary) {
    let help = "Between two runs of the synthetic customer.";
    measures.gauge("canary_period_seconds", help, whole(canary.every_s));
    measures.count("canary_successes", "Runs that came through.", canary.successes);
    let failures = canary.failures.iter();
    let failures =
        failures.map(|(stage, count)| (vec![("stage", stage.word().to_owned())], *count));
    let help = "Runs that did not come through, by the stage that they did not reach.";
    measures.counts("canary_failures", help, failures);
    let times = [("acknowledged", canary.acknowledged_s), ("returned", canary.returned_s)];
    let times = times
        .into_iter()
        .filter_map(|(stage, seconds)| Some((vec![("stage", stage.to_owned())], seconds?)));
    let help = "From the first advertisement to a stage, when a run last came through.";
    measures.gauges("canary_duration_seconds", help, times);
    if let Some(at) = canary.succeeded_at.as_deref().and_then(WallTime::parse) {
        let help = "When a run last came through, since the Unix epoch.";
        measures.gauge("canary_last_success_timestamp_seconds", help, timestamp(at));
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of centuries fit")]
fn timestamp(at: WallTime) -> f64 {
    at.unix_millis() as f64 / 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "a measure needs no 53 bits")]
const fn whole(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pipeline::VisitId;
    use crate::pipeline::units::Tick;

    fn value(text: &str, name: &str) -> String {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| {
            panic!("no {name} in\n{text}");
        });
        line.rsplit(' ').next().unwrap().to_owned()
    }

    #[test]
    fn an_alert_is_timed_once_to_the_page_and_once_to_the_claim() {
        let timings = Timings::default();
        let visit = VisitId::of(42, "c-1", WallTime::from_unix_secs(1_767_603_600), "door");
        let at = |secs| Tick::ZERO.plus(Duration::from_secs(secs));
        timings.alerted(visit, Duration::from_secs(4), at(10));
        for _ in 0..2 {
            timings.shown(visit, at(11));
            timings.claimed(visit, at(40));
        }
        timings.departed(visit, at(50));
        timings.shown(visit, at(50));
        let mut measures = Measures::new(&[]);
        measures.histogram("recognition_seconds", "", &timings.to_alert);
        measures.histogram("alert_shown_seconds", "", &timings.to_page);
        measures.histogram("alert_claimed_seconds", "", &timings.to_claim);
        let text = measures.text();
        for (name, expected) in [
            ("grelot_recognition_seconds_sum", "4.0"),
            ("grelot_alert_shown_seconds_sum", "1.0"),
            ("grelot_alert_shown_seconds_count", "1"),
            ("grelot_alert_claimed_seconds_sum", "30.0"),
            ("grelot_alert_claimed_seconds_count", "1"),
        ] {
            assert_eq!(value(&text, name).parse::<f64>(), expected.parse(), "{name}");
        }
    }
}
