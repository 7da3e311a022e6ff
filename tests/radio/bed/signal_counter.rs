//! Counts independently what bluetoothd signals of advertisements on the bus: the most that a
//! listener by D-Bus alone can receive.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use dbus::Message;
use dbus::arg::{ArgType, Iter};
use dbus::blocking::Connection;
use dbus::channel::MatchingReceiver as _;
use dbus::message::MatchRule;

const DEVICE: &str = "org.bluez.Device1";

/// The signals that an advertisement can cause.
const RULES: [&str; 2] = [
    "type='signal',sender='org.bluez',member='PropertiesChanged',arg0='org.bluez.Device1'",
    "type='signal',sender='org.bluez',member='InterfacesAdded'",
];

pub struct SignalCounter {
    over: Arc<AtomicBool>,
    said: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl SignalCounter {
    pub fn start() -> Self {
        let (over, said) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (ended, count) = (Arc::clone(&over), Arc::clone(&said));
        let thread = std::thread::spawn(move || listen(&ended, &count));
        Self { over, said, thread }
    }

    /// Ends it and returns the number of signals for advertisements.
    pub fn end(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().expect("the counter ends well");
        self.said.load(Ordering::Relaxed)
    }
}

/// A connection to the bus with a subscription to every signal that an advertisement can cause.
pub fn subscribed() -> Connection {
    let bus = Connection::new_system().expect("the bus is there");
    let daemon =
        bus.with_proxy("org.freedesktop.DBus", "/org/freedesktop/DBus", Duration::from_secs(30));
    for rule in RULES {
        let () = daemon
            .method_call("org.freedesktop.DBus", "AddMatch", (rule,))
            .expect("the bus takes rules");
    }
    bus
}

fn listen(over: &AtomicBool, said: &Arc<AtomicU64>) {
    let bus = subscribed();
    let said = Arc::clone(said);
    bus.start_receive(
        MatchRule::new(),
        Box::new(move |message, _| {
            said.fetch_add(u64::from(is_for_advertisement(&message)), Ordering::Relaxed);
            true
        }),
    );
    while !over.load(Ordering::Relaxed) {
        bus.process(Duration::from_millis(100)).expect("the bus stays");
    }
}

/// Whether a signal is caused by an advertisement, rather than by something else about a device.
pub fn is_for_advertisement(signal: &Message) -> bool {
    let mut arguments = signal.iter_init();
    arguments.next();
    match signal.member().as_deref() {
        Some("PropertiesChanged") => heard_now(arguments),
        Some("InterfacesAdded") => entries(arguments).any(|mut interface| {
            let device = interface.get::<&str>() == Some(DEVICE);
            interface.next();
            device && heard_now(interface)
        }),
        _ => false,
    }
}

/// Whether the properties are such that only an advertisement sets them.
fn heard_now(properties: Iter<'_>) -> bool {
    let brought = ["RSSI", "ManufacturerData", "ServiceData"];
    entries(properties).any(|mut property| property.get().is_some_and(|p| brought.contains(&p)))
}

/// The entries of a dictionary.
fn entries(mut dictionary: Iter<'_>) -> impl Iterator<Item = Iter<'_>> {
    let mut inside = dictionary.recurse(ArgType::Array);
    std::iter::from_fn(move || {
        let entry = inside.as_mut()?.recurse(ArgType::DictEntry);
        inside.as_mut()?.next();
        entry
    })
}
