//! The state of the connection to the broker, for reports.

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
        /// Which of the needed abilities it has.
        abilities: Abilities,
        /// Whether all withdrawals of consent are known.
        consent: ConsentState,
    },
    /// It cannot be reached; tried again within seconds.
    Unreachable {
        /// As in the configuration.
        broker: String,
        why: String,
    },
    /// The broker refuses this gateway until a person corrects something; retried at intervals.
    Refused {
        /// As in the configuration.
        broker: String,
        /// What a person has to correct.
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
            Self::Connected { abilities, .. } => abilities.wildcard.works(),
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

/// Whether a broker does what is needed of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Ability {
    /// The broker has not shown it yet.
    #[default]
    Unknown,
    Works,
    Fails,
}

impl Ability {
    /// For reports; `None` while unknown.
    pub const fn works(self) -> Option<bool> {
        match self {
            Self::Unknown => None,
            Self::Works => Some(true),
            Self::Fails => Some(false),
        }
    }
}

/// What is needed of a broker; `docs/mqtt.md` says what it costs where one is missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Abilities {
    pub retain: Ability,
    /// It delivers them to wildcard subscriptions.
    pub wildcard: Ability,
    /// It delivers them to a subscription of their exact topic.
    pub read_back: Ability,
    /// It passes on the rest of a message's lifetime.
    pub expiry: Ability,
    /// It keeps a session for some seconds.
    pub session: Ability,
}

/// Whether all withdrawals are known, and how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ConsentState {
    /// Not yet: nothing about a customer is published.
    #[default]
    Asking,
    /// The broker's retained messages have come.
    Retained,
    /// The broker kept the session, and with it what was published meanwhile.
    Session,
    /// Head office or another gateway has answered.
    Answered,
    /// A registry is in force that was made after this connection.
    Registry,
    /// Head office reports them over its own line; while that line is away, the shop works without.
    Office,
}

impl ConsentState {
    /// Whether all are known.
    pub const fn is_known(self) -> bool {
        !matches!(self, Self::Asking)
    }

    /// The word for it in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Asking => "asking",
            Self::Retained => "retained",
            Self::Session => "session",
            Self::Answered => "answered",
            Self::Registry => "registry",
            Self::Office => "head_office",
        }
    }
}
