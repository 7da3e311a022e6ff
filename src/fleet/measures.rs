//! What head office knows of all gateways, as measures for Prometheus.

use super::overview::{Condition, GatewayOverview};
use super::statistics::float;
use super::stores::StoreOverview;
use crate::pipeline::units::WallTime;
use crate::telemetry::measures::{Labels, Measures};

/// Of all gateways and stores.
pub fn of(gateways: &[GatewayOverview], stores: &[StoreOverview]) -> Measures {
    let mut measures = Measures::new(&[]);
    let count = |condition| {
        let all = gateways.iter().filter(|gateway| gateway.condition == condition);
        let labels: Labels = vec![("condition", condition.word().to_owned())];
        (labels, float(u64::try_from(all.count()).unwrap_or(u64::MAX)))
    };
    let help = "Gateways by condition.";
    measures.gauges("fleet_gateways", help, Condition::ALL.map(count));
    of_gateways(&mut measures, gateways);
    of_stores(&mut measures, stores);
    measures
}

fn of_gateways(measures: &mut Measures, gateways: &[GatewayOverview]) {
    let of = |gateway: &GatewayOverview| -> Labels {
        vec![("store", gateway.store.to_string()), ("gateway", gateway.gateway.clone())]
    };
    let well = gateways.iter().map(|gateway| {
        let condition = gateway.condition;
        (of(gateway), f64::from(u8::from(matches!(condition, Condition::Well | Condition::Warns))))
    });
    measures.gauges("fleet_gateway_receiving", "Whether it says so and is not silent.", well);
    let attention =
        gateways.iter().map(|one| (of(one), f64::from(u8::from(one.needs_attention()))));
    let help = "Whether something is wrong that no person has acknowledged.";
    measures.gauges("fleet_gateway_attention", help, attention);
    let seen = gateways.iter().filter_map(|gateway| {
        let at = WallTime::parse(&gateway.seen_at)?;
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of centuries fit")]
        let seconds = at.unix_millis() as f64 / 1000.0;
        Some((of(gateway), seconds))
    });
    let help = "When it said anything last, since the Unix epoch.";
    measures.gauges("fleet_gateway_seen_timestamp_seconds", help, seen);
    let behind = gateways.iter().map(|one| (of(one), float(one.withdrawals_behind)));
    let help = "Withdrawals of consent that it has not acknowledged.";
    measures.gauges("fleet_gateway_withdrawals_behind", help, behind);
    let serials = gateways.iter().flat_map(|gateway| {
        gateway.documents.iter().filter_map(move |document| {
            let mut labels = of(gateway);
            labels.push(("reach", document.reach.clone()));
            Some((labels, float(document.serial?)))
        })
    });
    let help = "The number of the last settings that it took, by reach.";
    measures.gauges("fleet_gateway_settings_serial", help, serials);
}

fn of_stores(measures: &mut Measures, stores: &[StoreOverview]) {
    let of = |store: &StoreOverview| -> Labels { vec![("store", store.store.to_string())] };
    let alerts = stores.iter().map(|store| (of(store), float(store.figures.alerts)));
    measures.gauges("fleet_store_alerts", "Alerts in the last seven days.", alerts);
    let judged = stores.iter().flat_map(|store| {
        [("here", store.figures.here), ("not_here", store.figures.not_here)].map(|(word, count)| {
            let mut labels = of(store);
            labels.push(("verdict", word.to_owned()));
            (labels, float(count))
        })
    });
    let help = "What staff said of visits in the last seven days.";
    measures.gauges("fleet_store_verdicts", help, judged);
    let heard = stores.iter().filter_map(|store| Some((of(store), store.heard?)));
    let help = "Share of the last seven days in which gateways could receive.";
    measures.gauges("fleet_store_heard_ratio", help, heard);
}
