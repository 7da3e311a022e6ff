//! What documents set of detection, key by key, and what is in force then.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::detection::{Detection, HOUR, decimal, single};
use super::document::Values;
use super::form::Value;
use super::keys;
use super::problem::{Problem, Problems};
use crate::pipeline::presence;

/// Between the two levels, or presence flaps.
const LEAST_HYSTERESIS_DB: f32 = 3.0;

impl Detection {
    /// These settings with the documents' `values`, key by key. Errors that only several values
    /// together show go to `problems`.
    #[must_use]
    pub(super) fn with(mut self, values: &Values, problems: &mut Problems) -> Self {
        for (path, found) in values {
            if let (Some(tier), Value::Text(name)) =
                (path.strip_prefix("policy.tier_names."), &found.value)
            {
                self.policy.tier_names.insert(tier.to_owned(), name.clone());
            } else if let Some((table, gateway)) = self.by_gateway(path) {
                if let Some(decibels) = single(&found.value) {
                    table.insert(gateway.to_owned(), decibels);
                }
            } else if let Some(access) = keys::find(path).and_then(keys::Key::detection) {
                (access.set)(&mut self, &found.value);
            }
        }
        self.leave_follows_arrive(values);
        problems.extend(self.hysteresis(values));
        problems.extend(self.a_visit_can_end(values));
        self
    }

    /// The table of values by gateway that `path` goes into, and the gateway.
    fn by_gateway<'a>(&mut self, path: &'a str) -> Option<(&mut BTreeMap<String, f32>, &'a str)> {
        let (key, gateway) = path.strip_prefix("presence.gateway_")?.split_once('.')?;
        let table = match key {
            "offset_db" => &mut self.gateway_offset_db,
            "inside_dbm" => &mut self.gateway_inside_dbm,
            "outside_dbm" => &mut self.gateway_outside_dbm,
            _ => return None,
        };
        Some((table, gateway))
    }

    /// A document with one of the two levels keeps the default distance between them.
    fn leave_follows_arrive(&mut self, values: &Values) {
        if values.contains_key(ARRIVE) && !values.contains_key(LEAVE) {
            let usual = presence::Settings::default();
            let apart = usual.arrive_rssi_dbm - usual.leave_rssi_dbm;
            self.presence.leave_rssi_dbm = self.presence.arrive_rssi_dbm - apart;
        }
    }

    fn hysteresis(&self, values: &Values) -> Option<Problem> {
        let presence = &self.presence;
        if presence.leave_rssi_dbm <= presence.arrive_rssi_dbm - LEAST_HYSTERESIS_DB {
            return None;
        }
        let (key, what, other) = match values.get(LEAVE) {
            Some(_) => {
                (LEAVE, "below presence.arrive_rssi_dbm", (ARRIVE, presence.arrive_rssi_dbm))
            }
            None => (ARRIVE, "above presence.leave_rssi_dbm", (LEAVE, presence.leave_rssi_dbm)),
        };
        let from = origin(values, key, other.0);
        let what = format!("must be at least {LEAST_HYSTERESIS_DB} dB {what} ({}{from})", other.1);
        let hint = "6 to 10 dB between them keep presence from flapping";
        Some(about(values, key, what).hint(hint))
    }

    fn a_visit_can_end(&self, values: &Values) -> Option<Problem> {
        if self.presence.leave_after < self.presence.longest_visit {
            return None;
        }
        let key = "presence.leave_after_secs";
        let hours = self.presence.longest_visit.as_secs_f64() / HOUR;
        let what = format!("must be shorter than presence.longest_visit_hours ({hours})");
        Some(about(values, key, what))
    }

    /// What is in force, one `key = value` a line: the same settings give the same text.
    pub fn in_force(&self) -> String {
        let mut text = String::new();
        for section in [&keys::PRESENCE, &keys::POLICY] {
            for key in section.keys {
                if let Some(access) = key.detection() {
                    let value = (access.get)(self);
                    let _ = writeln!(text, "{}.{} = {value}", section.name, key.name);
                }
            }
        }
        for (key, table) in [
            ("gateway_offset_db", &self.gateway_offset_db),
            ("gateway_inside_dbm", &self.gateway_inside_dbm),
            ("gateway_outside_dbm", &self.gateway_outside_dbm),
        ] {
            for (gateway, decibels) in table {
                let _ = writeln!(text, "presence.{key}.{gateway} = {}", decimal(*decibels));
            }
        }
        for (tier, name) in &self.policy.tier_names {
            let _ = writeln!(text, "policy.tier_names.{tier} = {}", Value::Text(name.clone()));
        }
        text
    }

    /// 16 hexadecimal digits, equal for gateways that run with the same settings.
    pub fn hash(&self) -> String {
        use sha2::Digest as _;
        let digest = sha2::Sha256::digest(self.in_force());
        hex::encode(digest.first_chunk::<8>().unwrap_or(&[0; 8]))
    }
}

const ARRIVE: &str = "presence.arrive_rssi_dbm";
const LEAVE: &str = "presence.leave_rssi_dbm";

/// Where the other key was written, if in another document.
fn origin(values: &Values, key: &str, other: &str) -> String {
    match (values.get(key), values.get(other)) {
        (Some(found), Some(other)) if found.file != other.file => {
            format!(", {}:{}", other.file, other.line)
        }
        (_, None) => ", its default".to_owned(),
        _ => String::new(),
    }
}

fn about(values: &Values, key: &str, what: String) -> Problem {
    match values.get(key) {
        Some(found) => {
            let mut problem =
                Problem::of_file(found.file.clone(), what).at_line(found.line).about(key);
            problem.value.clone_from(&found.written);
            problem
        }
        None => Problem::of_file("defaults", what).about(key),
    }
}
