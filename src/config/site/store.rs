//! `[store]` and `[gateway]`: names and places.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::super::form::{self, Value};
use super::super::{Severity, Store, nearest};
use super::Site;
use crate::clock::WallClock;
use crate::pipeline::{Place, policy};

impl<'a> Site<'a> {
    pub(in crate::config) fn store(&mut self) -> Option<Store> {
        let id = self.integer("store.id").and_then(|id| u16::try_from(id).ok());
        if self.is_missing("store.id") {
            self.problem("store.id", "is missing")
                .suggest("the store's number, 1 to 65535: [store] id = 42");
        }
        let id = id?;
        Some(Store {
            id,
            name: self.text("store.name").unwrap_or_else(|| format!("Store {id}")),
            group: self.text("store.group"),
            gateways: self
                .named("store.gateways")
                .map(|(name, place)| (name.to_owned(), place))
                .collect(),
            zones: self.zones(),
        })
    }

    fn named(&self, table: &str) -> impl Iterator<Item = (&'a str, Place)> + use<'a> {
        let prefix = format!("{table}.");
        self.document.values.iter().filter_map(move |(path, found)| {
            let name = path.strip_prefix(&prefix)?;
            let Value::Text(word) = &found.value else { return None };
            Some((name, place(word)?))
        })
    }

    fn zones(&mut self) -> [Option<Place>; 16] {
        let mut zones = [None; 16];
        let named: Vec<_> = self.named("store.zones").collect();
        for (zone, place) in named {
            let slot = zone.parse().ok().filter(|zone: &usize| *zone > 0);
            match slot.and_then(|zone| zones.get_mut(zone)) {
                Some(slot) => *slot = Some(place),
                None => {
                    self.problem(&format!("store.zones.{zone}"), "zones are 1 to 15")
                        .suggest("the zone is the low 4 bits of the beacon's minor");
                }
            }
        }
        zones
    }

    /// When this machine's wall clock counts.
    pub(in crate::config) fn wall_clock(&self) -> WallClock {
        match self.text("gateway.clock").as_deref() {
            Some("trusted") => WallClock::Trusted,
            _ => WallClock::Synchronised,
        }
    }

    /// The name of this gateway, and that it is one of the store's.
    pub(in crate::config) fn gateway(&mut self, store: Option<&Store>) -> String {
        let gateways = store.map(|store| store.gateways.clone()).unwrap_or_default();
        for gateway in gateways.keys() {
            if let Err(misfit) = form::name(gateway) {
                let path = format!("store.gateways.{gateway}");
                self.problem(&path, misfit.what).hint = misfit.hint;
            }
        }
        match self.text("gateway.name") {
            Some(name) => self.gateway_named(name, &gateways),
            None => self.gateway_guessed(&gateways),
        }
    }

    fn gateway_named(&mut self, name: String, gateways: &BTreeMap<String, Place>) -> String {
        if !gateways.is_empty() && !gateways.contains_key(&name) {
            let all = gateways.keys().map(String::as_str);
            let hint = match nearest::of(&name, all.clone()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("known there: {}", all.collect::<Vec<_>>().join(", ")),
            };
            self.problem("gateway.name", "is not one of store.gateways").suggest(hint);
        }
        name
    }

    /// A replay needs no name of a gateway; a daemon should have one.
    fn gateway_guessed(&mut self, gateways: &BTreeMap<String, Place>) -> String {
        let at_the_door = gateways.iter().find(|(_, place)| **place == Place::Door);
        let Some((name, _)) = at_the_door.or_else(|| gateways.iter().next()) else {
            return "gateway".to_owned();
        };
        if gateways.len() > 1 && self.is_missing("gateway.name") {
            let what = format!("is missing, taken to be \"{name}\"");
            let problem = self.problem("gateway.name", what);
            problem.severity = Severity::Warning;
            problem.suggest("two gateways of one name would silence each other");
        }
        name.clone()
    }

    /// An offset for a gateway that is not there is a typing error.
    pub(in crate::config) fn offsets_are_of_gateways(&mut self, store: Option<&Store>, this: &str) {
        let Some(store) = store.filter(|store| !store.gateways.is_empty()) else { return };
        for path in self.document.values.keys() {
            let Some(rest) = path.strip_prefix("presence.gateway_") else { continue };
            let Some((_, gateway)) = rest.split_once('.') else { continue };
            if gateway != this && !store.gateways.contains_key(gateway) {
                let near = nearest::of(gateway, store.gateways.keys().map(String::as_str));
                self.problem(path, "is not one of store.gateways").hint =
                    near.map(|near| format!("did you mean \"{near}\"?"));
            }
        }
    }

    /// The store's time zone, which quiet hours use.
    pub(in crate::config) fn time_zone(&mut self, policy: &policy::Settings) -> TimeZone {
        if policy.quiet_hours.is_some() && self.found("store.time_zone").is_none() {
            let problem = self.problem("policy.quiet_hours", "are taken in UTC");
            problem.severity = Severity::Warning;
            problem.suggest("say where the store is: store.time_zone = \"Europe/Paris\"");
        }
        let name = self.text("store.time_zone");
        // UTC needs no search in the machine's time zones, which takes time and memory.
        let elsewhere = name.filter(|name| name != "UTC");
        elsewhere.and_then(|name| TimeZone::get(&name).ok()).unwrap_or(TimeZone::UTC)
    }
}

fn place(word: &str) -> Option<Place> {
    match word {
        "door" => Some(Place::Door),
        "outside" => Some(Place::Outside),
        "inside" => Some(Place::Inside),
        _ => None,
    }
}
