//! What head office tunes, as keys see it: each key's way into the pipeline's own settings, so
//! that a default is stated once, there.

use std::collections::BTreeMap;
use std::time::Duration;

use super::form::Value;
use super::quiet_hours;
use crate::pipeline::{Levels, policy, presence};

/// `[presence]` and `[policy]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Detection {
    /// `[presence]`
    pub presence: presence::Settings,
    /// `[policy]`
    pub policy: policy::Settings,
    /// `presence.gateway_offset_db`
    pub gateway_offset_db: BTreeMap<String, f32>,
    /// `presence.gateway_inside_dbm`
    pub gateway_inside_dbm: BTreeMap<String, f32>,
    /// `presence.gateway_outside_dbm`
    pub gateway_outside_dbm: BTreeMap<String, f32>,
}

/// A key's way into the settings.
#[derive(Debug, Clone, Copy)]
pub struct Access {
    /// What the settings hold.
    pub get: fn(&Detection) -> Value,
    /// Puts a checked value into the settings.
    pub set: fn(&mut Detection, &Value),
}

/// The decimal that was written, not its nearest binary neighbour: 0.9, not 0.899999976.
pub(super) fn decimal(value: f32) -> Value {
    Value::Number(value.to_string().parse().unwrap_or(f64::from(value)))
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => Some(*number),
        _ => None,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "settings need no more digits than f32 has")]
pub(super) fn single(value: &Value) -> Option<f32> {
    number(value).map(|number| number as f32)
}

fn duration(value: &Value, unit_secs: f64) -> Option<Duration> {
    number(value).and_then(|units| Duration::try_from_secs_f64(units * unit_secs).ok())
}

pub(super) const HOUR: f64 = 3600.0;

macro_rules! level {
    ($name:ident, $field:ident) => {
        #[doc = concat!("`presence.", stringify!($field), "`")]
        pub const $name: Access = Access {
            get: |settings| decimal(settings.presence.$field),
            set: |settings, value| {
                if let Some(value) = single(value) {
                    settings.presence.$field = value;
                }
            },
        };
    };
}

macro_rules! span {
    ($name:ident, $section:ident.$field:ident, $unit_secs:expr) => {
        #[doc = concat!("`", stringify!($section), "`: ", stringify!($field))]
        pub const $name: Access = Access {
            get: |settings| Value::Number(settings.$section.$field.as_secs_f64() / $unit_secs),
            set: |settings, value| {
                if let Some(value) = duration(value, $unit_secs) {
                    settings.$section.$field = value;
                }
            },
        };
    };
}

level!(ARRIVE_RSSI, arrive_rssi_dbm);
level!(ARRIVE_CONFIDENCE, arrive_confidence);
level!(LEAVE_RSSI, leave_rssi_dbm);
span!(LEAVE_AFTER, presence.leave_after, 1.0);
span!(DWELL, presence.dwell, 1.0);
span!(REJOIN, presence.rejoin, 1.0);
span!(WARM_UP, presence.warm_up, 1.0);
span!(LONGEST_VISIT, presence.longest_visit, HOUR);
span!(BETWEEN_ALERTS, policy.between_alerts, HOUR);
span!(ALERT_TTL, policy.alert_ttl, 1.0);

/// `policy.alerts_per_visit`
pub const ALERTS_PER_VISIT: Access = Access {
    get: |settings| Value::Integer(settings.policy.alerts_per_visit.into()),
    set: |settings, value| {
        if let Value::Integer(alerts) = value {
            settings.policy.alerts_per_visit = u32::try_from(*alerts).unwrap_or(u32::MAX);
        }
    },
};

/// `policy.quiet_hours`
pub const QUIET_HOURS: Access = Access {
    get: |settings| Value::Text(quiet_hours::format(settings.policy.quiet_hours)),
    set: |settings, value| {
        if let Value::Text(text) = value {
            settings.policy.quiet_hours = quiet_hours::parse(text).unwrap_or_default();
        }
    },
};

/// `policy.tiers`
pub const TIERS: Access = Access {
    get: |settings| Value::Texts(settings.policy.tiers.clone()),
    set: |settings, value| {
        if let Value::Texts(tiers) = value {
            settings.policy.tiers.clone_from(tiers);
        }
    },
};

impl Detection {
    /// What a gateway's walk test measured on either side of the door.
    pub fn levels(&self, gateway: &str) -> Option<Levels> {
        Some(Levels {
            inside_dbm: *self.gateway_inside_dbm.get(gateway)?,
            outside_dbm: *self.gateway_outside_dbm.get(gateway)?,
        })
    }
}
