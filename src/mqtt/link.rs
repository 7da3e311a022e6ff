//! One connection to one broker: the only file that knows rumqttc.
//!
//! Each connection is a fresh client and a clean session, and everything unanswered counts as
//! unsent: rumqttc's own memory of pending messages, and its packet ids, do not outlive a
//! connection (rumqtt #1014, #1056, #1057).

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, ConnectProperties, ConnectReturnCode, DisconnectReasonCode, Filter, LastWill, Packet,
    PubAck, PubAckReason, PublishProperties, SubAck, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, MqttOptions, StateError};
use rumqttc::{NetworkOptions, Outgoing, TlsConfiguration, Transport};

use super::inbound;
use crate::config::{BrokerUrl, Secret};

/// Messages on their way at once, at most.
const WINDOW: usize = 20;

/// rumqttc's own limit; above [`WINDOW`], so that it is never what holds a message back.
const IN_FLIGHT: u16 = 100;

/// Half a minute of silence proves a dead connection; a missing acknowledgement proves it sooner.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Seconds for TCP, TLS and CONNECT together.
const CONNECT_WITHIN: u64 = 5;

/// How this gateway presents itself to any broker.
#[derive(Clone)]
pub struct Identity {
    /// Stable: a second connection under it ends the first.
    pub client_id: String,
    /// Username and password.
    pub login: Option<(String, Secret)>,
    /// For `mqtts`.
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

/// A message to be said.
pub struct Message<'a> {
    /// Where.
    pub topic: &'a str,
    /// What.
    pub payload: &'a [u8],
    /// Whether the broker keeps it.
    pub retain: bool,
    /// After which the broker drops it.
    pub expiry: Option<Duration>,
}

/// What is on its way, so that the answer finds back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ticket {
    /// A notice of the outbox.
    Notice(u64),
    /// A retained message of this topic.
    Retained(String),
}

/// What the broker said to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It has it.
    Taken,
    /// It dropped it, for nobody listens (PUBACK 0x10). Retained messages are kept all the same.
    NobodyListens,
    /// It will not have it.
    Refused(String),
}

/// What happens on a connection; `T` finds back to whoever said what is answered.
#[derive(Debug)]
pub enum News<T = Ticket> {
    /// The broker welcomed us.
    Up,
    /// It let us listen, but for so many filters.
    Listening {
        /// How many filters it refused.
        refused: usize,
    },
    /// It answered.
    Answered(T, Answer),
    /// Somebody said something.
    Heard {
        /// Where.
        topic: Vec<u8>,
        /// What.
        payload: Vec<u8>,
        /// Said before we listened.
        retained: bool,
    },
    /// The connection is gone, for good.
    Down(Down),
}

/// Why a connection is gone, or never was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Down {
    /// Worth another attempt soon.
    Unreachable(String),
    /// Somebody must mend something.
    Refused(String),
}

/// One connection.
pub struct Link<T = Ticket> {
    client: AsyncClient,
    /// A stream, because dropping rumqttc's `poll` half-way would lose what it was writing.
    events: Pin<Box<dyn Stream<Item = Result<Event, ConnectionError>> + Send>>,
    /// Handed over, no packet id yet; ids are given in this order.
    submitted: VecDeque<T>,
    in_flight: BTreeMap<u16, T>,
    window: usize,
    largest: usize,
    up: bool,
}

impl<T> Link<T> {
    /// Begins to connect; `will`, if any, is said by the broker when the connection dies.
    pub fn dial(broker: &BrokerUrl, identity: &Identity, will: Option<&Message<'_>>) -> Self {
        let options = options(broker, identity, will);
        let (client, event_loop) = AsyncClient::new(options, WINDOW * 2);
        let events = stream::unfold(event_loop, |mut event_loop| async move {
            Some((event_loop.poll().await, event_loop))
        });
        Self {
            client,
            events: Box::pin(events),
            submitted: VecDeque::new(),
            in_flight: BTreeMap::new(),
            window: WINDOW,
            largest: usize::MAX,
            up: false,
        }
    }

    /// Whether the broker welcomed us and takes another message.
    pub fn has_room(&self) -> bool {
        self.up && self.unanswered() < self.window
    }

    /// Whether the broker welcomed us.
    pub const fn is_up(&self) -> bool {
        self.up
    }

    /// Messages on their way.
    pub fn unanswered(&self) -> usize {
        self.submitted.len() + self.in_flight.len()
    }

    /// Whether the broker takes a message of this size.
    pub const fn fits(&self, message: &Message<'_>) -> bool {
        // Fixed header, topic length, packet id, and the properties this program sets.
        message.topic.len() + message.payload.len() + 64 <= self.largest
    }

    /// Says something at least once; false if it could not even be handed over.
    pub fn say(&mut self, ticket: T, message: &Message<'_>) -> bool {
        let handed_over = self.publish(QoS::AtLeastOnce, message);
        if handed_over {
            self.submitted.push_back(ticket);
        }
        handed_over
    }

    /// Says something at most once.
    pub fn mention(&self, message: &Message<'_>) -> bool {
        self.up && self.publish(QoS::AtMostOnce, message)
    }

    fn publish(&self, qos: QoS, message: &Message<'_>) -> bool {
        let clears = message.payload.is_empty();
        let properties = PublishProperties {
            payload_format_indicator: (!clears).then_some(1),
            message_expiry_interval: message.expiry.map(whole_seconds),
            content_type: (!clears).then(|| "application/json".to_owned()),
            ..PublishProperties::default()
        };
        let payload = message.payload.to_vec();
        self.client
            .try_publish_with_properties(message.topic, qos, message.retain, payload, properties)
            .is_ok()
    }

    /// Asks for what matches `filters`.
    pub fn listen(&self, filters: Vec<String>) -> bool {
        let filters = filters.into_iter().map(|filter| Filter::new(filter, QoS::AtLeastOnce));
        self.client.try_subscribe_many(filters).is_ok()
    }

    /// Asks for what matches `filter` no longer.
    pub fn ignore(&self, filter: String) -> bool {
        self.client.try_unsubscribe(filter).is_ok()
    }

    /// Takes leave of the broker, which then keeps the last will to itself.
    pub fn hang_up(&self) {
        let _ = self.client.try_disconnect();
    }

    /// What happens next. May be dropped at any time and called again.
    pub async fn news(&mut self) -> News<T> {
        loop {
            let news = match self.events.next().await {
                Some(Ok(event)) => self.make_sense_of(event),
                Some(Err(error)) => Some(News::Down(explain(&error))),
                None => Some(News::Down(Down::Unreachable("connection closed".to_owned()))),
            };
            if let Some(news) = news {
                return news;
            }
        }
    }

    fn make_sense_of(&mut self, event: Event) -> Option<News<T>> {
        match event {
            Event::Incoming(Packet::ConnAck(welcome)) => Some(self.welcomed(&welcome)),
            Event::Incoming(Packet::SubAck(answer)) => Some(listening(&answer)),
            Event::Incoming(Packet::PubAck(answer)) => self.answered(&answer),
            Event::Incoming(Packet::Publish(message)) => Some(News::Heard {
                topic: message.topic.to_vec(),
                payload: message.payload.to_vec(),
                retained: message.retain,
            }),
            Event::Outgoing(Outgoing::Publish(id)) if id != 0 => {
                let ticket = self.submitted.pop_front()?;
                self.in_flight.insert(id, ticket);
                None
            }
            Event::Outgoing(Outgoing::Disconnect) => {
                Some(News::Down(Down::Unreachable("hung up".to_owned())))
            }
            _ => None,
        }
    }

    fn welcomed(&mut self, welcome: &ConnAck) -> News<T> {
        self.up = true;
        if let Some(properties) = &welcome.properties {
            if let Some(most) = properties.receive_max {
                // Half of the broker's window: ids come round twice as often as answers, so one
                // late answer is not in the way of the next message (rumqttc's "collision").
                self.window = (usize::from(most) / 2).clamp(1, WINDOW);
            }
            if let Some(largest) = properties.max_packet_size {
                self.largest = usize::try_from(largest).unwrap_or(usize::MAX);
            }
        }
        News::Up
    }

    fn answered(&mut self, answer: &PubAck) -> Option<News<T>> {
        let ticket = self.in_flight.remove(&answer.pkid)?;
        let answer = match answer.reason {
            PubAckReason::Success => Answer::Taken,
            PubAckReason::NoMatchingSubscribers => Answer::NobodyListens,
            reason => Answer::Refused(format!("{reason:?}")),
        };
        Some(News::Answered(ticket, answer))
    }
}

fn options(broker: &BrokerUrl, identity: &Identity, will: Option<&Message<'_>>) -> MqttOptions {
    let mut options = MqttOptions::new(&identity.client_id, &broker.host, broker.port);
    options.set_clean_start(true);
    options.set_keep_alive(KEEP_ALIVE);
    options.set_connection_timeout(CONNECT_WITHIN);
    options.set_outgoing_inflight_upper_limit(IN_FLIGHT);
    options.set_connect_properties(ConnectProperties {
        max_packet_size: u32::try_from(inbound::LONGEST + 1024).ok(),
        ..ConnectProperties::new()
    });
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    if let Some((username, password)) = &identity.login {
        options.set_credentials(username, &password.0);
    }
    if let (true, Some(tls)) = (broker.tls, &identity.tls) {
        let tls = TlsConfiguration::Rustls(Arc::clone(tls));
        options.set_transport(Transport::tls_with_config(tls));
    }
    if let Some(will) = will {
        let qos = QoS::AtLeastOnce;
        options.set_last_will(LastWill::new(will.topic, will.payload, qos, will.retain, None));
    }
    options
}

/// Rounded up: a broker shall not drop what is still worth something.
fn whole_seconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1)
}

fn listening<T>(answer: &SubAck) -> News<T> {
    let granted = |code: &&SubscribeReasonCode| matches!(code, SubscribeReasonCode::Success(_));
    let codes = &answer.return_codes;
    News::Listening { refused: codes.len() - codes.iter().filter(granted).count() }
}

fn explain(error: &ConnectionError) -> Down {
    match error {
        ConnectionError::ConnectionRefused(code)
        | ConnectionError::MqttState(StateError::ConnFail { reason: code }) => refused(*code),
        ConnectionError::Tls(error) => Down::Refused(format!("TLS: {error}")),
        ConnectionError::Timeout(_) => {
            Down::Unreachable(format!("no answer within {CONNECT_WITHIN} s"))
        }
        ConnectionError::Io(error) | ConnectionError::MqttState(StateError::Io(error)) => {
            Down::Unreachable(error.to_string())
        }
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) => {
            hung_up(*reason_code)
        }
        error => Down::Unreachable(error.to_string()),
    }
}

fn refused(code: ConnectReturnCode) -> Down {
    use ConnectReturnCode as Code;
    match code {
        Code::BadUserNamePassword | Code::NotAuthorized | Code::Banned => Down::Refused(
            "it refuses this username and password (broker.username, broker.password)".to_owned(),
        ),
        Code::ServerUnavailable
        | Code::ServerBusy
        | Code::QuotaExceeded
        | Code::ConnectionRateExceeded
        | Code::UseAnotherServer
        | Code::ServerMoved => Down::Unreachable(format!("it says {code:?}")),
        Code::RefusedProtocolVersion | Code::UnsupportedProtocolVersion => {
            Down::Refused("it does not speak MQTT 5".to_owned())
        }
        code => Down::Refused(format!("it says {code:?}")),
    }
}

fn hung_up(code: DisconnectReasonCode) -> Down {
    match code {
        DisconnectReasonCode::SessionTakenOver => Down::Refused(
            "another gateway connected under this one's name (gateway.name must be unique)"
                .to_owned(),
        ),
        code => Down::Unreachable(format!("it hung up: {code:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nearly_over_is_still_worth_a_second_to_the_broker() {
        assert_eq!(whole_seconds(Duration::from_millis(1)), 1);
        assert_eq!(whole_seconds(Duration::from_millis(1001)), 2);
        assert_eq!(whole_seconds(Duration::ZERO), 1);
        assert_eq!(whole_seconds(Duration::MAX), u32::MAX);
    }

    #[test]
    fn refusals_that_somebody_must_mend_differ_from_those_that_pass() {
        for (code, must_mend) in [
            (ConnectReturnCode::BadUserNamePassword, true),
            (ConnectReturnCode::NotAuthorized, true),
            (ConnectReturnCode::UnsupportedProtocolVersion, true),
            (ConnectReturnCode::ServerUnavailable, false),
            (ConnectReturnCode::ServerBusy, false),
        ] {
            assert_eq!(matches!(refused(code), Down::Refused(_)), must_mend, "{code:?}");
        }
    }
}
