//! Which clients the embedded broker admits, and what each may publish and subscribe to.

use std::net::SocketAddr;
use std::sync::Arc;

use futures::future::BoxFuture;
use mqtt5::broker::auth::{AuthProvider, AuthResult};
use mqtt5::packet::connect::ConnectPacket;
use mqtt5::protocol::v5::reason_codes::ReasonCode;
use tokio::time::{Instant, sleep};

use super::accounts::Accounts;
use super::admission::{Admission, LOGIN_WITHIN};
use super::retained::RetainedMessages;
use super::rights::Rights;
use crate::mqtt::role::Role;

/// The user id of this gateway's own connections. No login of a role has a `/` in its name.
const OWN: &str = "grelot/own";

/// Suffixes of a gateway's client id that its other connections use.
const OWN_SUFFIXES: [&str; 3] = ["", "-doctor", "-tablets"];

/// Decides on logins and topics.
pub(super) struct Authoriser {
    pub(super) accounts: Accounts,
    pub(super) admission: Arc<Admission>,
    pub(super) retained: Arc<RetainedMessages>,
}

/// Why a client is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    Password,
    /// Too many wrong passwords from this address.
    TooManyGuesses,
    /// A gateway's client id, and not that gateway's login.
    ClientId,
    /// The topic of its last will is not permitted.
    Will,
    /// Its login has as many connections as it may.
    TooMany,
}

impl Refusal {
    const fn code(self) -> ReasonCode {
        match self {
            Self::Password => ReasonCode::BadUsernameOrPassword,
            Self::TooManyGuesses => ReasonCode::ConnectionRateExceeded,
            Self::ClientId => ReasonCode::ClientIdentifierNotValid,
            Self::Will => ReasonCode::NotAuthorized,
            Self::TooMany => ReasonCode::QuotaExceeded,
        }
    }
}

impl Authoriser {
    async fn log_in(&self, connect: &ConnectPacket, address: SocketAddr) -> AuthResult {
        match self.judge(connect, address) {
            Ok(user) => AuthResult::success_with_user(user),
            Err(refusal) => {
                tracing::warn!(from = %address.ip(), ?refusal, "the embedded broker refuses a login");
                if refusal == Refusal::TooManyGuesses {
                    // Longer than a connection without a login is kept: it is closed unanswered.
                    sleep(LOGIN_WITHIN).await;
                }
                AuthResult::fail(refusal.code())
            }
        }
    }

    /// The user id of the client, or why it is refused.
    fn judge(&self, connect: &ConnectPacket, address: SocketAddr) -> Result<String, Refusal> {
        let username = connect.username.as_deref().unwrap_or_default();
        let password = connect.password.as_deref().unwrap_or_default();
        let Some(role) = self.identify(username, password, address)? else {
            return if self.admission.log_in(address, OWN, true) {
                Ok(OWN.to_owned())
            } else {
                Err(Refusal::TooMany)
            };
        };
        if !self.may_be_called(&connect.client_id, username, role) {
            return Err(Refusal::ClientId);
        }
        let rights = Rights::of(role, username, &self.accounts.topics);
        if connect.will.as_ref().is_some_and(|will| !rights.may_write(&will.topic)) {
            return Err(Refusal::Will);
        }
        if !self.admission.log_in(address, username, false) {
            return Err(Refusal::TooMany);
        }
        Ok(username.to_owned())
    }

    /// The login's role; `None` for this gateway's own.
    fn identify(
        &self,
        username: &str,
        password: &[u8],
        address: SocketAddr,
    ) -> Result<Option<Role>, Refusal> {
        let now = Instant::now();
        let Accounts { internal, bridge, shared, shared_was_chosen, logins, .. } = &self.accounts;
        if internal.admits(username, password) {
            return Ok(None);
        }
        if self.is_bridged(username) && bridge.admits(&bridge.username, password) {
            return Ok(Some(Role::Tablet));
        }
        if let Some(login) = logins.admitted(username, password) {
            return Ok(Some(login.role));
        }
        // Only a password that a person chose can be guessed.
        if *shared_was_chosen && !self.admission.may_guess(address, now) {
            return Err(Refusal::TooManyGuesses);
        }
        if shared.admits(username, password) {
            return Ok(None);
        }
        let was_forgiven = self.admission.may_guess(address, now);
        self.admission.guessed(address, now);
        Err(if was_forgiven { Refusal::Password } else { Refusal::TooManyGuesses })
    }

    /// Whether a user is a staff device behind the bridge. No login of a role has a `/` in its name.
    fn is_bridged(&self, username: &str) -> bool {
        username.starts_with(&self.accounts.bridge.username)
    }

    /// A second connection under a client id ends the first: a gateway's id is for its login.
    fn may_be_called(&self, client_id: &str, username: &str, role: Role) -> bool {
        let prefix = format!("grelot-{}-", self.accounts.topics.store());
        let Some(gateway) = client_id.strip_prefix(&prefix) else { return true };
        let suffix = gateway.strip_prefix(username);
        role == Role::Gateway && suffix.is_some_and(|suffix| OWN_SUFFIXES.contains(&suffix))
    }

    fn rights(&self, user: Option<&str>) -> Option<Rights> {
        let user = user?;
        if user == OWN {
            return Some(Rights::all());
        }
        if self.is_bridged(user) {
            return Some(Rights::of(Role::Tablet, user, &self.accounts.topics));
        }
        let login = self.accounts.logins.find(user)?;
        Some(Rights::of(login.role, user, &self.accounts.topics))
    }

    fn may_publish(&self, user: Option<&str>, topic: &str) -> bool {
        let permitted = self.rights(user).is_some_and(|rights| rights.may_write(topic));
        let permitted = permitted && self.retained.has_room_for(topic);
        if !permitted {
            tracing::warn!(user, topic, "the embedded broker permits no publishing there");
        }
        permitted
    }

    fn may_subscribe(&self, user: Option<&str>, filter: &str) -> bool {
        let permitted = self.rights(user).is_some_and(|rights| rights.may_read(filter));
        if !permitted {
            tracing::warn!(user, filter, "the embedded broker permits no such subscription");
        }
        permitted
    }
}

impl AuthProvider for Authoriser {
    fn authenticate<'a>(
        &'a self,
        connect: &'a ConnectPacket,
        client: SocketAddr,
    ) -> BoxFuture<'a, mqtt5::Result<AuthResult>> {
        Box::pin(async move { Ok(self.log_in(connect, client).await) })
    }

    fn authorize_publish<'a>(
        &'a self,
        _client_id: &str,
        user: Option<&'a str>,
        topic: &'a str,
    ) -> BoxFuture<'a, bool> {
        Box::pin(std::future::ready(self.may_publish(user, topic)))
    }

    fn authorize_subscribe<'a>(
        &'a self,
        _client_id: &str,
        user: Option<&'a str>,
        filter: &'a str,
    ) -> BoxFuture<'a, bool> {
        Box::pin(std::future::ready(self.may_subscribe(user, filter)))
    }
}
