//! Reports of the event loop: for the broker and for `grelot status`.

use super::canary::Canary;
use super::event_loop::EventLoop;
use super::office_ends::OfficeEnds;
use super::status::{
    Broker, BrokerAbilities, Configuration, DeadMessage, GatewayTraffic, HeadOfficeLine, Snapshot,
    Source, Tablets, Traffic, Visit, Webhook,
};
use crate::config::BrokerLocation;
use crate::mqtt::{Ability, ConnectionState, ConsentState};
use crate::payload::{self, GatewayState, Status};
use crate::pipeline::event::Hearing;
use crate::pipeline::presence::Survey;
use crate::store;
use crate::tablets::Pairing;
use crate::telemetry::brief;
use crate::webhooks::WebhookHealth;

impl EventLoop {
    /// The payload of `gateways/<gateway>/status`.
    pub(super) fn status(&self) -> Status {
        Status {
            v: payload::VERSION,
            state: state(self),
            label: self.config.label.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config: self.head_office.hash().to_owned(),
            since: Some(self.state_since.reading().to_string()),
            connected_at: None,
            refused: refused(self),
            warnings: warnings(self),
            group: self.config.store.group.clone(),
            documents: self.head_office.documents(),
        }
    }

    /// The answer to `grelot status`.
    pub(super) fn snapshot(&self) -> Snapshot {
        let now = self.clocks.now();
        let health = &self.health;
        let connection = self.delivery.connection().borrow().clone();
        let webhooks = self.delivery.webhooks();
        let started = health.started.unwrap_or(now);
        let gateways = &self.pipeline.settings().gateways;
        let gateway_name = |index: usize| gateways.get(index).map_or("", |g| g.name.as_str());
        let visits = self.pipeline.open_visits().map(|visit| Visit {
            visit: visit.id.to_string(),
            client: visit.client.to_string(),
            tier: visit.tier.to_string(),
            gateway: gateway_name(usize::from(visit.gateway.0)).to_owned(),
            arrived_at: visit.arrived_at.to_string(),
            claimed_by: visit.claim.as_ref().map(|claim| claim.by.to_string()),
        });
        Snapshot {
            v: 1,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            store: self.config.store.id,
            store_name: self.config.store.name.clone(),
            gateway: self.config.gateway.clone(),
            state: state(self),
            started_at: started.clock.reading().to_string(),
            uptime_s: health.uptime(now).as_secs(),
            clock_set: now.clock.known().is_some(),
            configuration: Configuration {
                file: self.config_file.clone(),
                hash: self.head_office.hash().to_owned(),
                refused: self.head_office.refused().to_vec(),
                documents: self.head_office.documents(),
            },
            sources: health.sources.iter().map(|source| Source::of(source, now.tick)).collect(),
            contacts: self.pipeline.contacts(),
            arrivals: health.arrivals,
            alerts: health.alerts,
            visits: visits.collect(),
            registry: health.registry.clone(),
            broker: Broker {
                place: place(self, &connection),
                connected: matches!(connection, ConnectionState::Connected { .. }),
                retained: connection.retained(),
                abilities: abilities(&connection),
                problem: match connection {
                    ConnectionState::Refused { why, .. }
                    | ConnectionState::Unreachable { why, .. } => Some(why),
                    _ => None,
                },
            },
            delivery: self.delivery.health(),
            tablets: tablets(self),
            webhooks: webhooks.webhooks.into_iter().map(webhook).collect(),
            dead_messages: webhooks.dead.into_iter().map(dead_message).collect(),
            traffic: traffic(self.pipeline.survey()),
            head_office: self.office.as_ref().map(head_office),
            canary: self.canary.as_ref().map(|canary| canary.report(now)),
        }
    }
}

fn traffic(survey: &Survey) -> Traffic {
    let gateways = survey.gateways.iter().map(|(name, traffic)| GatewayTraffic {
        name: name.clone(),
        stayed: traffic.stay_peaks.count,
        stayed_dbm: traffic.stay_peaks.mean,
        passed: traffic.passes.count,
        passed_dbm: traffic.passes.mean,
    });
    Traffic { stayed: survey.stays, passed: survey.passes, gateways: gateways.collect() }
}

/// Documents of head office that are not in force, and why.
fn refused(daemon: &EventLoop) -> Vec<String> {
    let mut refused = daemon.head_office.refused().to_vec();
    refused.extend(daemon.health.registry.trouble.clone());
    refused
}

/// What does not work as it should although the gateway is online.
fn warnings(daemon: &EventLoop) -> Vec<String> {
    let delivery = daemon.delivery.health();
    let connection = daemon.delivery.connection().borrow().clone();
    let tablets = tablets_alarm(daemon);
    let warnings = withdrawals(&connection).into_iter().chain(tablets).map(str::to_owned);
    let canary = daemon.canary.as_ref().and_then(Canary::trouble);
    brief::lines(warnings.chain(canary).chain(webhook_alarms(daemon)).chain(delivery.store))
}

/// That no tablet is connected, if one should be.
fn tablets_alarm(daemon: &EventLoop) -> Option<&'static str> {
    daemon.tablet_watch.as_ref()?.alarm()
}

/// Receivers of webhooks that take nothing, or never took some messages.
fn webhook_alarms(daemon: &EventLoop) -> Vec<String> {
    let alarm = |hook: WebhookHealth| {
        let WebhookHealth { place, waiting, dead, trouble, .. } = hook;
        let trouble = trouble.filter(|_| waiting > 0 || dead > 0)?;
        Some(format!("the webhook at {place} takes no messages ({waiting} wait): {trouble}"))
    };
    daemon.delivery.webhooks().webhooks.into_iter().filter_map(alarm).collect()
}

/// What people have to know about withdrawals at this broker.
fn withdrawals(connection: &ConnectionState) -> Option<&'static str> {
    let ConnectionState::Connected { abilities, consent, .. } = connection else { return None };
    match (abilities.wildcard, consent) {
        (Ability::Fails, ConsentState::Asking) => Some(
            "alerts are held back: the broker does not deliver retained withdrawals of consent,              and neither head office nor another gateway answers which there are",
        ),
        (Ability::Fails, _) => Some(
            "the broker does not deliver retained messages to wildcard subscriptions:              withdrawals of consent are asked for after each connection",
        ),
        _ => None,
    }
}

/// Which of the needed abilities the broker has.
fn abilities(connection: &ConnectionState) -> BrokerAbilities {
    let ConnectionState::Connected { abilities, consent, .. } = connection else {
        return BrokerAbilities::default();
    };
    BrokerAbilities {
        retain: abilities.retain.works(),
        wildcard: abilities.wildcard.works(),
        read_back: abilities.read_back.works(),
        expiry: abilities.expiry.works(),
        session: abilities.session.works(),
        withdrawals: Some(consent.word().to_owned()),
    }
}

fn state(daemon: &EventLoop) -> GatewayState {
    match daemon.hearing() {
        Hearing::Listening => GatewayState::Online,
        Hearing::Blind => GatewayState::Blind,
    }
}

fn webhook(health: WebhookHealth) -> Webhook {
    let WebhookHealth { place, waiting, delivered, failed, dead, trouble } = health;
    Webhook { place, waiting, delivered, failed, dead, trouble }
}

fn dead_message(dead: store::DeadMessage) -> DeadMessage {
    let store::DeadMessage { event, visit, at, why, .. } = dead;
    DeadMessage { event, visit, at: at.to_string(), why }
}

fn tablets(daemon: &EventLoop) -> Tablets {
    let Some(watch) = &daemon.tablet_watch else { return Tablets::default() };
    let page = daemon.config.tablets.as_ref();
    let pairing = page.is_some_and(|page| Pairing::for_address(page.listen) == Pairing::Required);
    Tablets {
        urls: watch.urls().to_vec(),
        pairing,
        looking_on: watch.looking_on(),
        alarm: tablets_alarm(daemon).map(str::to_owned),
    }
}

fn head_office(office: &OfficeEnds) -> HeadOfficeLine {
    let (link, waiting) = office.link();
    HeadOfficeLine {
        place: link.broker,
        connected: link.connected,
        problem: link.problem,
        answered: link.answered,
        reports_waiting: waiting.reports,
        trouble: waiting.trouble,
    }
}

fn place(daemon: &EventLoop, connection: &ConnectionState) -> String {
    match (&daemon.config.broker.location, connection) {
        (BrokerLocation::Embedded(address), _) => format!("embedded, {address}"),
        (
            _,
            ConnectionState::Connected { broker, .. }
            | ConnectionState::Unreachable { broker, .. }
            | ConnectionState::Refused { broker, .. },
        ) => broker.clone(),
        (BrokerLocation::External(urls), _) => {
            urls.first().map(ToString::to_string).unwrap_or_default()
        }
    }
}
