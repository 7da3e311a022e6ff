//! systemd, as far as grelot asks anything of it: a service on the bus that is asked to restart
//! bluetoothd, and has it done or refuses.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

use dbus::Message;
use dbus::blocking::Connection;
use dbus::channel::{MatchingReceiver as _, Sender as _};
use dbus::message::MatchRule;

use super::scenario::Systemd as Answers;

const NAME: &str = "org.freedesktop.systemd1";

/// Debian's own policy: everybody may call it; polkit decides what comes of it.
const POLICY: &str = r#"<busconfig><policy context="default">
  <allow own="org.freedesktop.systemd1"/><allow send_destination="org.freedesktop.systemd1"/>
</policy></busconfig>"#;

/// Lets the bus carry it; before dbus-daemon starts.
pub fn allow() {
    fs::write("/etc/dbus-1/system.d/systemd.conf", POLICY).expect("a policy can be written");
}

/// A running one.
pub struct Systemd {
    over: Arc<AtomicBool>,
    asked: Receiver<()>,
    thread: JoinHandle<()>,
}

impl Systemd {
    /// Comes onto the bus.
    pub fn start(answers: Answers) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (ask, asked) = mpsc::sync_channel(4);
        let ended = Arc::clone(&over);
        let thread = std::thread::spawn(move || serve(&ended, answers, ask));
        Self { over, asked, thread }
    }

    /// Whether it was asked for a restart since the last time, and means to do it.
    pub fn was_asked(&self) -> bool {
        self.asked.try_recv().is_ok()
    }

    /// Ends it.
    pub fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().expect("systemd ends well");
    }
}

fn serve(over: &AtomicBool, answers: Answers, ask: SyncSender<()>) {
    let bus = Connection::new_system().expect("the bus is there");
    bus.request_name(NAME, false, false, true).expect("the name is free");
    bus.start_receive(
        MatchRule::new_method_call(),
        Box::new(move |call, bus| {
            if let Some(answer) = answer(&call, answers, &ask) {
                bus.send(answer).expect("the bus carries answers");
            }
            true
        }),
    );
    while !over.load(Ordering::Relaxed) {
        bus.process(Duration::from_millis(100)).expect("the bus stays");
    }
}

fn answer(call: &Message, answers: Answers, ask: &SyncSender<()>) -> Option<Message> {
    let restart = call.member().as_deref() == Some("RestartUnit")
        && call.get1::<&str>() == Some("bluetooth.service");
    if !restart {
        return None;
    }
    if answers == Answers::Refuses {
        let error = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired";
        return Some(call.error(&error.into(), c"interactive authentication required"));
    }
    ask.try_send(()).ok();
    Some(call.method_return().append1(dbus::Path::from("/org/freedesktop/systemd1/job/1")))
}
