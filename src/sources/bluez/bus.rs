//! The system bus: one connection, calls that cannot hang, errors that name the remedy.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use dbus::Message;
use dbus::arg::AppendAll;
use dbus::channel::{BusType, Channel, MatchingReceiver as _, Sender as _, default_reply};
use dbus::message::MatchRule;
use dbus::nonblock::{NonblockReply as _, SyncConnection};
use dbus_tokio::connection;
use tokio::sync::oneshot;

use crate::tasks;

/// Most calls are answered within milliseconds; powering a controller up takes a second or two.
const CALL_TIMEOUT: Duration = Duration::from_secs(8);

/// BlueZ's own name on the bus.
pub const BLUEZ: &str = "org.bluez";

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No answer in time.
    #[error("no answer within {} s", CALL_TIMEOUT.as_secs())]
    TimedOut,
    /// The connection or the service is gone.
    #[error("bluetoothd is not on the bus")]
    NoService,
    /// The bus or the service refuses.
    #[error("permission denied: the user must be in group bluetooth")]
    Denied,
    /// rfkill blocks the adapter.
    #[error("blocked by rfkill")]
    Blocked,
    /// The same operation is in progress.
    #[error("already in progress")]
    InProgress,
    /// The adapter is not powered.
    #[error("the adapter is not powered")]
    NotReady,
    /// The object went away.
    #[error("the object is gone")]
    NoObject,
    /// polkit does not let this user give systemd orders about bluetoothd.
    #[error("systemd refuses: install the polkit rule grelot-bluetooth.rules")]
    NotAuthorised,
    /// Any other error, as BlueZ or the bus words it.
    #[error("{0}")]
    Other(String),
}

impl From<dbus::Error> for CallError {
    fn from(error: dbus::Error) -> Self {
        match error.name().unwrap_or_default() {
            "org.freedesktop.DBus.Error.Timeout" => Self::TimedOut,
            // The bus answers with this for a service that ends before it has answered.
            "org.freedesktop.DBus.Error.NoReply"
            | "org.freedesktop.DBus.Error.ServiceUnknown"
            | "org.freedesktop.DBus.Error.NameHasNoOwner"
            | "org.freedesktop.DBus.Error.Disconnected" => Self::NoService,
            "org.freedesktop.DBus.Error.AccessDenied" => Self::Denied,
            "org.bluez.Error.Blocked" => Self::Blocked,
            "org.bluez.Error.InProgress"
            | "org.bluez.Error.Busy"
            | "org.bluez.Error.AlreadyExists" => Self::InProgress,
            "org.bluez.Error.NotReady" => Self::NotReady,
            "org.freedesktop.DBus.Error.UnknownObject"
            | "org.freedesktop.DBus.Error.UnknownMethod"
            | "org.bluez.Error.DoesNotExist" => Self::NoObject,
            "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
            | "org.freedesktop.PolicyKit1.Error.NotAuthorized" => Self::NotAuthorised,
            name => Self::Other(plain(name, error.message().unwrap_or_default())),
        }
    }
}

/// The text of an error of any other name: its message, or the last part of its name.
fn plain(name: &str, message: &str) -> String {
    match message.trim() {
        "" => format!("bluetoothd answers \"{}\"", name.rsplit('.').next().unwrap_or_default()),
        message => message.to_owned(),
    }
}

/// A connection to the system bus.
#[derive(Clone)]
pub struct Bus(Arc<SyncConnection>);

impl Bus {
    /// Connects. The future drives the connection and ends, with the reason, when it is lost.
    ///
    /// # Errors
    /// If there is no bus, or it does not answer.
    pub async fn connect() -> Result<(Self, impl Future<Output = String>), CallError> {
        let (resource, connection) =
            connection::from_channel::<SyncConnection>(open_channel().await?)?;
        Ok((Self(connection), async { resource.await.to_string() }))
    }

    /// Passes every signal and call that comes in to `receive`, in order, on the task that drives
    /// the connection. What `receive` returns is sent back.
    pub fn receive(&self, mut receive: impl FnMut(&Message) -> Option<Message> + Send + 'static) {
        let everything = MatchRule::new();
        self.0.start_receive(
            everything,
            Box::new(move |message, connection| {
                if let Some(reply) = receive(&message).or_else(|| default_reply(&message)) {
                    // A lost connection ends its own future.
                    connection.send(reply).ok();
                }
                true
            }),
        );
    }

    /// Asks the bus for the signals that `rule` describes.
    ///
    /// # Errors
    /// If the bus refuses the rule or is gone.
    pub async fn subscribe(&self, rule: &str) -> Result<(), CallError> {
        self.bus_call("AddMatch", (rule,)).await.map(drop)
    }

    /// Ends the subscription to the signals that `rule` describes.
    ///
    /// # Errors
    /// If the bus has no such rule or is gone.
    pub async fn unsubscribe(&self, rule: &str) -> Result<(), CallError> {
        self.bus_call("RemoveMatch", (rule,)).await.map(drop)
    }

    /// Calls the bus itself.
    ///
    /// # Errors
    /// What the bus answers, or that it does not.
    pub async fn bus_call(
        &self,
        member: &str,
        arguments: impl AppendAll,
    ) -> Result<Message, CallError> {
        const NAME: &str = "org.freedesktop.DBus";
        let call = Message::new_method_call(NAME, "/org/freedesktop/DBus", NAME, member);
        self.send(call, arguments).await
    }

    /// Calls systemd.
    ///
    /// # Errors
    /// [`CallError::NotAuthorised`] where polkit does not allow it; else what systemd answers.
    pub async fn systemd_call(
        &self,
        member: &str,
        arguments: impl AppendAll,
    ) -> Result<Message, CallError> {
        const NAME: &str = "org.freedesktop.systemd1";
        let manager = "org.freedesktop.systemd1.Manager";
        let call = Message::new_method_call(NAME, "/org/freedesktop/systemd1", manager, member);
        self.send(call, arguments).await.map_err(|error| match error {
            CallError::NoService => CallError::Other("systemd is not on the bus".to_owned()),
            CallError::Denied => CallError::NotAuthorised,
            error => error,
        })
    }

    /// Calls BlueZ.
    ///
    /// # Errors
    /// What BlueZ answers, or that it does not.
    pub async fn call(
        &self,
        path: &str,
        interface: &str,
        member: &str,
        arguments: impl AppendAll,
    ) -> Result<Message, CallError> {
        self.send(Message::new_method_call(BLUEZ, path, interface, member), arguments).await
    }

    /// Calls BlueZ and passes the answer to `look` before any later message is handled.
    ///
    /// # Errors
    /// As [`Bus::call`].
    pub async fn call_and_look(
        &self,
        path: &str,
        interface: &str,
        member: &str,
        timeout: Duration,
        look: impl FnOnce(&Message) + Send + 'static,
    ) -> Result<Message, CallError> {
        let call = Message::new_method_call(BLUEZ, path, interface, member);
        self.send_and_look(call, (), timeout, look).await
    }

    async fn send(
        &self,
        call: Result<Message, String>,
        arguments: impl AppendAll,
    ) -> Result<Message, CallError> {
        self.send_and_look(call, arguments, CALL_TIMEOUT, |_| {}).await
    }

    async fn send_and_look(
        &self,
        call: Result<Message, String>,
        arguments: impl AppendAll,
        timeout: Duration,
        look: impl FnOnce(&Message) + Send + 'static,
    ) -> Result<Message, CallError> {
        let mut call = call.map_err(CallError::Other)?;
        // Otherwise the bus would start a bluetoothd that IT has stopped on purpose.
        call.set_auto_start(false);
        call.append_all(arguments);
        let (answer, answered) = oneshot::channel();
        let on_reply = move |reply: Message, _: &SyncConnection| {
            look(&reply);
            // The receiver is gone where the call has timed out.
            drop(answer.send(reply));
        };
        let token =
            self.0.send_with_reply(call, Box::new(on_reply)).map_err(|()| CallError::NoService)?;
        match tokio::time::timeout(timeout, answered).await {
            Ok(Ok(mut reply)) => {
                reply.as_result()?;
                Ok(reply)
            }
            Ok(Err(_)) => Err(CallError::NoService),
            Err(_) => {
                self.0.cancel_reply(token);
                Err(CallError::TimedOut)
            }
        }
    }
}

/// libdbus blocks its thread while it connects, for up to 25 s where the daemon hangs. So it gets
/// its own thread, which a shutdown does not wait for.
async fn open_channel() -> Result<Channel, CallError> {
    let (opened, open) = oneshot::channel();
    tasks::thread("dbus-connect", move || drop(opened.send(Channel::get_private(BusType::System))))
        .map_err(|error| CallError::Other(format!("no thread for the bus: {error}")))?;
    match tokio::time::timeout(CALL_TIMEOUT, open).await {
        Ok(Ok(channel)) => Ok(channel?),
        Ok(Err(_)) => Err(CallError::NoService),
        Err(_) => Err(CallError::TimedOut),
    }
}
