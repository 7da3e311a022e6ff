//! The session that a fresh client resumes at the broker: without messages of its own.
//!
//! The broker keeps a session for some seconds so that its last will waits for the gateway's
//! return. A client that publishes at `QoS` 0 and 1 alone may resume it with no state: the broker
//! keeps nothing for what it acknowledged, and what it did not the outbox publishes again.

use std::future::ready;

use futures::future::BoxFuture;
use rumqttc::{
    PersistedAckMode, PersistedSession, SessionStore, SessionStoreError, SessionStoreKey,
};

/// Restores a session in which nothing is in flight, and saves nothing.
#[derive(Debug)]
pub struct EmptySession {
    /// As in CONNECT, in seconds.
    pub expiry_secs: u32,
    /// As in the client's options.
    pub in_flight_limit: u16,
}

type Stored<'a, T> = BoxFuture<'a, Result<T, SessionStoreError>>;

impl SessionStore for EmptySession {
    fn load<'a>(&'a self, key: &'a SessionStoreKey) -> Stored<'a, Option<PersistedSession>> {
        let session = PersistedSession {
            format_version: 1,
            client_id: key.client_id().to_owned(),
            clean_start: false,
            session_expiry_interval: Some(self.expiry_secs),
            outgoing_inflight_upper_limit: Some(self.in_flight_limit),
            ack_mode: PersistedAckMode::Automatic,
            last_pkid: 0,
            last_puback: 0,
            replay: Vec::new(),
            incoming_qos2: Vec::new(),
        };
        Box::pin(ready(Ok(Some(session))))
    }

    fn save<'a>(&'a self, _: &'a SessionStoreKey, _: &'a PersistedSession) -> Stored<'a, ()> {
        Box::pin(ready(Ok(())))
    }

    fn clear<'a>(&'a self, _: &'a SessionStoreKey) -> Stored<'a, ()> {
        Box::pin(ready(Ok(())))
    }
}
