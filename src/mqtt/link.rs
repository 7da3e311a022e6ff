//! One connection to one broker: the only file that knows rumqttc.
//!
//! Each connection is a fresh client, and everything unanswered counts as unsent: the outbox, not
//! the library, knows what is still to be published.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{self, FuturesUnordered, Stream, StreamExt as _};
use rumqttc::{
    AsyncClient, ConnAck, ConnectProperties, ConnectReturnCode, ConnectionError,
    DisconnectReasonCode, Event, IncomingPacketSizeLimit, LastWill, LastWillProperties,
    MqttOptions, NetworkOptions, Outgoing, Packet, PubAckReason, PublishNotice, PublishNoticeError,
    PublishOptions, PublishProperties, PublishResult, QoS, RetainForwardRule, StateError, SubAck,
    SubscribeFilter, SubscribeReasonCode, TlsConfiguration, Transport,
};

use super::inbound;
use super::session::EmptySession;
use super::topics::{Filter, Qos, Retained};
use crate::config::{BrokerUrl, Secret};

/// Publications in flight at once, at most.
const WINDOW: usize = 20;

/// QoS 1 messages the broker may send before the first is acknowledged (Receive Maximum).
const RECEIVE_MAXIMUM: u16 = 64;

/// rumqttc's own limit; above [`WINDOW`], so that it never delays a message.
const IN_FLIGHT_LIMIT: u16 = 100;

/// An answer after this is of no use.
const QUESTION_LIFE: Duration = Duration::from_secs(10);

/// What a client expects of its broker.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Twice this of silence proves a dead connection; a missing acknowledgement proves it sooner.
    keep_alive_secs: u16,
    /// For TCP, TLS and CONNECT together.
    connect_within: Duration,
    /// How long the broker waits for the client's return before it publishes the last will, and keeps
    /// the session: a connection that breaks and comes back within this is not reported. Without it
    /// the session ends, and the last will is published, with the connection.
    session_secs: Option<u32>,
}

impl Terms {
    /// Of a shop's own broker.
    pub const SHOP: Self =
        Self { keep_alive_secs: 15, connect_within: Duration::from_secs(5), session_secs: Some(5) };

    /// Of a cluster that thousands of clients share, and may return to at once. It may take half a
    /// minute to subscribe them, and answers nothing meanwhile; an attempt that is given up is work
    /// in vain, and all of them together keep it from any other. On RabbitMQ a session that is kept
    /// costs a queue with a copy on three nodes.
    pub const CLUSTER: Self =
        Self { keep_alive_secs: 60, connect_within: Duration::from_secs(30), session_secs: None };
}

impl Default for Terms {
    fn default() -> Self {
        Self::SHOP
    }
}

/// How this gateway presents itself to any broker.
#[derive(Clone)]
pub struct Identity {
    /// Stable: a second connection under it ends the first.
    pub client_id: String,
    pub login: Option<(String, Secret)>,
    /// For brokers at `mqtts` addresses.
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

/// How a connection begins.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectOptions<'a> {
    /// What the broker publishes when the connection dies.
    pub will: Option<&'a Message<'a>>,
    /// Whether to resume the session of the connection before, so that its last will is not
    /// published.
    pub resume: bool,
    pub terms: Terms,
    /// The broker is known to refuse retained messages: none is marked as one.
    pub without_retain: bool,
}

/// A message to publish.
#[derive(Debug)]
pub struct Message<'a> {
    pub topic: &'a str,
    /// JSON, or empty.
    pub payload: &'a [u8],
    /// Whether the broker keeps it.
    pub retain: bool,
    /// After which the broker drops it.
    pub expiry: Option<Duration>,
}

/// What is in flight, for its acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InFlight {
    /// A message of the outbox, by its place.
    Queued(u64),
    /// The retained message of this topic.
    Retained(String),
    /// A message that is published again in another way, if it is lost.
    Repeatable,
}

/// What the broker answers to a QoS 1 message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishOutcome {
    Accepted,
    /// Acknowledged and dropped: no matching subscribers (PUBACK 0x10). A retained message is
    /// kept all the same.
    NoSubscribers,
    /// The broker refused it; the reason, for people.
    Refused(String),
}

/// What happens on a connection; `T` identifies the message that is acknowledged.
#[derive(Debug)]
pub enum ConnectionEvent<T = InFlight> {
    /// CONNACK: the connection stands.
    Connected,
    /// SUBACK: answers to subscriptions.
    Subscribed {
        /// How many filters the broker refused.
        refused: usize,
    },
    /// PUBACK: the answer to one message.
    Acknowledged(T, PublishOutcome),
    /// PUBLISH: a message to this client.
    Received {
        topic: Vec<u8>,
        payload: Vec<u8>,
        /// Published before this connection subscribed.
        retained: bool,
        /// The rest of its lifetime, where it has one.
        expiry: Option<Duration>,
        /// The topic for an answer, where it is a question.
        response_topic: Option<String>,
    },
    /// The connection is gone, for good.
    Disconnected(Disconnect),
}

/// Why a connection is gone, or never stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disconnect {
    /// Worth another attempt soon.
    Unreachable(String),
    /// A person must change something.
    Refused(String),
    /// The broker does without retained messages, and does not connect a client that wants one.
    WithoutRetain,
}

impl Disconnect {
    /// The reason, for people.
    pub fn reason(&self) -> &str {
        match self {
            Self::Unreachable(why) | Self::Refused(why) => why,
            Self::WithoutRetain => "it does without retained messages",
        }
    }
}

/// One connection to one broker.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the broker")]
pub struct Link<T = InFlight> {
    client: AsyncClient,
    /// A stream, because dropping rumqttc's `poll` half-way would lose what it was writing.
    events: Pin<Box<dyn Stream<Item = Result<Event, ConnectionError>> + Send>>,
    terms: Terms,
    in_flight: FuturesUnordered<BoxFuture<'static, (T, Acknowledged)>>,
    window: usize,
    largest: usize,
    up: bool,
    retains: bool,
    resumed: bool,
    keeps_session: bool,
}

type Acknowledged = Result<PublishResult, PublishNoticeError>;

impl<T: Send + 'static> Link<T> {
    /// Returns at once: the connection stands with [`ConnectionEvent::Connected`].
    pub fn connect(broker: &BrokerUrl, identity: &Identity, dial: ConnectOptions<'_>) -> Self {
        let options = options(broker, identity, dial);
        let (client, event_loop) = AsyncClient::builder(options).capacity(WINDOW * 2).build();
        let events = stream::unfold(event_loop, |mut event_loop| async move {
            Some((event_loop.poll().await, event_loop))
        });
        Self {
            client,
            events: Box::pin(events),
            terms: dial.terms,
            in_flight: FuturesUnordered::new(),
            window: WINDOW,
            largest: usize::MAX,
            up: false,
            retains: !dial.without_retain,
            resumed: false,
            keeps_session: false,
        }
    }

    /// Whether the connection stands and another QoS 1 message may be in flight.
    pub fn can_publish(&self) -> bool {
        self.up && self.in_flight() < self.window
    }

    /// Whether the connection stands.
    pub const fn is_connected(&self) -> bool {
        self.up
    }

    /// Whether the broker offers retained messages at all.
    pub const fn retains(&self) -> bool {
        self.retains
    }

    /// Whether this connection continues the session of the one before.
    pub const fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Whether the broker keeps the session for as long as it was asked to.
    pub const fn keeps_session(&self) -> bool {
        self.keeps_session
    }

    /// Number of QoS 1 messages that are not acknowledged yet.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Whether the broker accepts a message of this size.
    pub const fn fits(&self, message: &Message<'_>) -> bool {
        // Fixed header, topic length, packet id, and the properties this program sets.
        message.topic.len() + message.payload.len() + 64 <= self.largest
    }

    /// Publishes at QoS 1; false if the message could not even be handed over.
    pub fn publish(&mut self, id: T, message: &Message<'_>) -> bool {
        if !self.fits(message) {
            return false;
        }
        let options = self.publish_options(QoS::AtLeastOnce, message);
        let notice = self.client.try_publish_tracked(message.topic, message.payload, options);
        let handed_over = notice.map(|notice| self.in_flight.push(acknowledged(id, notice)));
        handed_over.is_ok()
    }

    /// Publishes at QoS 0.
    pub fn publish_qos0(&self, message: &Message<'_>) -> bool {
        let options = self.publish_options(QoS::AtMostOnce, message);
        self.up
            && self.fits(message)
            && self.client.try_publish(message.topic, message.payload, options).is_ok()
    }

    /// Publishes a question at QoS 0, to be answered on `response_topic`.
    pub fn ask(&self, topic: &str, payload: &[u8], response_topic: &str) -> bool {
        let properties = PublishProperties {
            response_topic: Some(response_topic.to_owned()),
            message_expiry_interval: Some(whole_seconds(QUESTION_LIFE)),
            content_type: Some("application/json".to_owned()),
            ..PublishProperties::default()
        };
        let options = PublishOptions::new(QoS::AtMostOnce).properties(properties);
        self.up && self.client.try_publish(topic, payload, options).is_ok()
    }

    fn publish_options(&self, qos: QoS, message: &Message<'_>) -> PublishOptions {
        let clears = message.payload.is_empty();
        let properties = PublishProperties {
            payload_format_indicator: (!clears).then_some(1),
            message_expiry_interval: message.expiry.map(whole_seconds),
            content_type: (!clears).then(|| "application/json".to_owned()),
            ..PublishProperties::default()
        };
        let retain = message.retain && self.retains;
        PublishOptions::new(qos).retain(retain).properties(properties)
    }

    /// Subscribes to `filters`, in one packet.
    pub fn subscribe(&self, filters: impl IntoIterator<Item = Filter>) -> bool {
        let filters: Vec<SubscribeFilter> = filters.into_iter().map(subscribe_filter).collect();
        self.client.try_subscribe_many(filters).is_ok()
    }

    pub fn unsubscribe(&self, filter: String) -> bool {
        self.client.try_unsubscribe(filter).is_ok()
    }

    /// Sends DISCONNECT: the broker discards the last will.
    pub fn disconnect(&self) {
        let _ = self.client.try_disconnect();
    }

    /// The next event. Cancel-safe.
    pub async fn next_event(&mut self) -> ConnectionEvent<T> {
        loop {
            let news = tokio::select! {
                Some((id, answer)) = self.in_flight.next() => outcome(id, answer),
                event = self.events.next() => match event {
                    Some(Ok(event)) => self.on_event(event),
                    Some(Err(error)) => Some(ConnectionEvent::Disconnected(disconnect_of(&error, self.terms))),
                    None => Some(ConnectionEvent::Disconnected(Disconnect::Unreachable("connection closed".to_owned()))),
                },
            };
            if let Some(news) = news {
                return news;
            }
        }
    }

    fn on_event(&mut self, event: Event) -> Option<ConnectionEvent<T>> {
        match event {
            Event::Incoming(Packet::ConnAck(connack)) => Some(self.on_connack(&connack)),
            Event::Incoming(Packet::SubAck(answer)) => Some(subscribed(&answer)),
            Event::Incoming(Packet::Publish(message)) => {
                let properties = message.properties.unwrap_or_default();
                let seconds = properties.message_expiry_interval.map(u64::from);
                Some(ConnectionEvent::Received {
                    topic: message.topic.to_vec(),
                    payload: message.payload.to_vec(),
                    retained: message.retain,
                    expiry: seconds.map(Duration::from_secs),
                    response_topic: properties.response_topic,
                })
            }
            Event::Outgoing(Outgoing::Disconnect) => Some(ConnectionEvent::Disconnected(
                Disconnect::Unreachable("disconnected".to_owned()),
            )),
            _ => None,
        }
    }

    fn on_connack(&mut self, connack: &ConnAck) -> ConnectionEvent<T> {
        self.up = true;
        self.resumed = connack.session_present;
        let granted = connack.properties.as_ref().and_then(|all| all.session_expiry_interval);
        self.keeps_session = granted.is_none_or(|granted| Some(granted) >= self.terms.session_secs);
        if let Some(properties) = &connack.properties {
            if let Some(most) = properties.receive_max {
                self.window = usize::from(most).clamp(1, WINDOW);
            }
            if let Some(largest) = properties.max_packet_size {
                self.largest = usize::try_from(largest).unwrap_or(usize::MAX);
            }
            self.retains &= properties.retain_available != Some(0);
        }
        ConnectionEvent::Connected
    }
}

fn acknowledged<T: Send + 'static>(
    id: T,
    notice: PublishNotice,
) -> BoxFuture<'static, (T, Acknowledged)> {
    async move { (id, notice.wait_async().await) }.boxed()
}

/// A message whose acknowledgement never comes is lost with its connection, which ends as well.
fn outcome<T>(id: T, acknowledged: Acknowledged) -> Option<ConnectionEvent<T>> {
    let answer = match acknowledged.ok()? {
        PublishResult::Qos1(answer) => match answer.reason {
            PubAckReason::Success => PublishOutcome::Accepted,
            PubAckReason::NoMatchingSubscribers => PublishOutcome::NoSubscribers,
            reason => PublishOutcome::Refused(format!("{reason:?}")),
        },
        _ => PublishOutcome::Accepted,
    };
    Some(ConnectionEvent::Acknowledged(id, answer))
}

fn options(broker: &BrokerUrl, identity: &Identity, dial: ConnectOptions<'_>) -> MqttOptions {
    let mut options = MqttOptions::new(&identity.client_id, (broker.host.clone(), broker.port));
    options.set_clean_start(!dial.resume);
    options.set_keep_alive(dial.terms.keep_alive_secs);
    options.set_connect_timeout(dial.terms.connect_within);
    options.set_outgoing_inflight_upper_limit(IN_FLIGHT_LIMIT);
    options.set_connect_properties(ConnectProperties {
        receive_maximum: Some(RECEIVE_MAXIMUM),
        ..ConnectProperties::new()
    });
    let largest = IncomingPacketSizeLimit::Bytes(inbound::LARGEST_PACKET);
    options.set_incoming_packet_size_limit(largest);
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    if let Some((username, password)) = &identity.login {
        options.set_credentials(username, password.0.clone());
    }
    if let (true, Some(tls)) = (broker.tls, &identity.tls) {
        let tls = TlsConfiguration::Rustls(Arc::clone(tls));
        options.set_transport(Transport::tls_with_config(tls));
    }
    if let Some(will) = dial.will {
        let delay = dial.terms.session_secs;
        if let Some(expiry_secs) = delay {
            options.set_session_expiry_interval(Some(expiry_secs));
            options
                .set_session_store(EmptySession { expiry_secs, in_flight_limit: IN_FLIGHT_LIMIT });
        }
        options.set_last_will(last_will(will, delay, !dial.without_retain));
    }
    options
}

fn last_will(will: &Message<'_>, delay_interval: Option<u32>, retains: bool) -> LastWill {
    let properties = LastWillProperties {
        delay_interval,
        payload_format_indicator: Some(1),
        message_expiry_interval: None,
        content_type: Some("application/json".to_owned()),
        response_topic: None,
        correlation_data: None,
        user_properties: Vec::new(),
    };
    let retain = will.retain && retains;
    LastWill::new(will.topic, will.payload, QoS::AtLeastOnce, retain, Some(properties))
}

fn subscribe_filter(Filter { path, qos, no_local, retained }: Filter) -> SubscribeFilter {
    SubscribeFilter {
        path,
        qos: match qos {
            Qos::AtMostOnce => QoS::AtMostOnce,
            Qos::AtLeastOnce => QoS::AtLeastOnce,
        },
        nolocal: no_local,
        preserve_retain: false,
        retain_forward_rule: match retained {
            Retained::Send => RetainForwardRule::OnEverySubscribe,
            Retained::Skip => RetainForwardRule::Never,
        },
    }
}

/// Rounded up: the broker keeps a message until it has expired.
fn whole_seconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1)
}

fn subscribed<T>(answer: &SubAck) -> ConnectionEvent<T> {
    let granted = |code: &&SubscribeReasonCode| matches!(code, SubscribeReasonCode::Success(_));
    let codes = &answer.return_codes;
    ConnectionEvent::Subscribed { refused: codes.len() - codes.iter().filter(granted).count() }
}

fn disconnect_of(error: &ConnectionError, terms: Terms) -> Disconnect {
    match error {
        ConnectionError::ConnectionRefused(code)
        | ConnectionError::MqttState(StateError::ConnFail { reason: code }) => {
            connect_refused(*code)
        }
        ConnectionError::Tls(error) => Disconnect::Refused(format!("TLS: {error}")),
        ConnectionError::Timeout(_) => Disconnect::Unreachable(format!(
            "no answer within {} s",
            terms.connect_within.as_secs()
        )),
        ConnectionError::Io(error) | ConnectionError::MqttState(StateError::Io(error)) => {
            Disconnect::Unreachable(error.to_string())
        }
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) => {
            server_disconnect(*reason_code)
        }
        error => Disconnect::Unreachable(error.to_string()),
    }
}

fn connect_refused(code: ConnectReturnCode) -> Disconnect {
    use ConnectReturnCode as Code;
    match code {
        Code::BadUserNamePassword | Code::NotAuthorized | Code::Banned => Disconnect::Refused(
            "it refuses this username and password (broker.username, broker.password)".to_owned(),
        ),
        Code::ServerUnavailable
        | Code::ServerBusy
        | Code::QuotaExceeded
        | Code::ConnectionRateExceeded
        | Code::UseAnotherServer
        | Code::ServerMoved => Disconnect::Unreachable(format!("it says {code:?}")),
        Code::RefusedProtocolVersion | Code::UnsupportedProtocolVersion => {
            Disconnect::Refused("it does not speak MQTT 5".to_owned())
        }
        Code::RetainNotSupported => Disconnect::WithoutRetain,
        code => Disconnect::Refused(format!("it says {code:?}")),
    }
}

fn server_disconnect(code: DisconnectReasonCode) -> Disconnect {
    match code {
        DisconnectReasonCode::SessionTakenOver => Disconnect::Refused(
            "another gateway connected under this one's name (gateway.name must be unique)"
                .to_owned(),
        ),
        DisconnectReasonCode::RetainNotSupported => Disconnect::WithoutRetain,
        code => Disconnect::Unreachable(format!("it disconnects: {code:?}")),
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
    fn permanent_refusals_differ_from_temporary_ones() {
        for (code, is_permanent) in [
            (ConnectReturnCode::BadUserNamePassword, true),
            (ConnectReturnCode::NotAuthorized, true),
            (ConnectReturnCode::UnsupportedProtocolVersion, true),
            (ConnectReturnCode::ServerUnavailable, false),
            (ConnectReturnCode::ServerBusy, false),
        ] {
            assert_eq!(
                matches!(connect_refused(code), Disconnect::Refused(_)),
                is_permanent,
                "{code:?}"
            );
        }
    }
}
