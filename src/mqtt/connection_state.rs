//! The state of the connection to the broker, for those who report it.

use crate::telemetry::health::BrokerState;

/// The state of the connection to the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionState {
    /// No broker has answered yet.
    Connecting,
    /// CONNACK has arrived.
    Connected {
        /// As in the configuration.
        broker: String,
        /// Whether it delivers retained messages to wildcard subscriptions.
        retained: RetainedDelivery,
    },
    /// It cannot be reached; tried again within seconds.
    Unreachable {
        /// As in the configuration.
        broker: String,
        /// What went wrong.
        why: String,
    },
    /// The broker refuses this gateway until a person corrects something; retried at intervals.
    Refused {
        /// As in the configuration.
        broker: String,
        /// What to correct.
        why: String,
    },
    /// The daemon has stopped.
    Closed,
}

impl ConnectionState {
    /// Whether the broker delivers retained messages to wildcard subscriptions, as far as it is
    /// known.
    pub const fn retained(&self) -> Option<bool> {
        match self {
            Self::Connected { retained: RetainedDelivery::Works, .. } => Some(true),
            Self::Connected { retained: RetainedDelivery::Fails, .. } => Some(false),
            _ => None,
        }
    }
}

impl From<&ConnectionState> for BrokerState {
    fn from(connection: &ConnectionState) -> Self {
        match connection {
            ConnectionState::Connected { .. } => Self::Connected,
            ConnectionState::Refused { why, .. } => Self::Refused(why.clone()),
            ConnectionState::Connecting
            | ConnectionState::Unreachable { .. }
            | ConnectionState::Closed => Self::Connecting,
        }
    }
}

/// Whether retained messages come with a wildcard subscription.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RetainedDelivery {
    /// The broker has not shown it yet.
    #[default]
    Unknown,
    /// They come.
    Works,
    /// They do not: withdrawals over MQTT are not reliable at this broker.
    Fails,
}
