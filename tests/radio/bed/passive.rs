//! Counts what `BlueZ` signals of a passive scan: an advertisement monitor that matches the test's
//! advertisements, and no discovery.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dbus::Message;
use dbus::arg::{PropMap, Variant};
use dbus::channel::{MatchingReceiver as _, Sender as _};
use dbus::message::{MatchRule, MessageType};

use super::signal_counter::{is_for_advertisement, subscribed};

const ROOT: &str = "/bed";
const MONITOR: &str = "/bed/monitor";
const INTERFACE: &str = "org.bluez.AdvertisementMonitor1";

/// Runs until it is ended, and prints how many advertisements of `adapter` were signalled.
pub fn listen(adapter: &str) {
    let bus = subscribed();
    let devices = format!("/org/bluez/{adapter}/");
    let heard = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&heard);
    bus.start_receive(
        MatchRule::new(),
        Box::new(move |message, bus| {
            if message.msg_type() == MessageType::MethodCall {
                bus.send(answer(&message)).expect("the bus takes answers");
            } else if is_below(&message, &devices) && is_for_advertisement(&message) {
                count.fetch_add(1, Ordering::Relaxed);
            }
            true
        }),
    );
    let manager = bus.with_proxy("org.bluez", format!("/org/bluez/{adapter}"), CALL);
    let begun = Instant::now();
    loop {
        let registered: Result<(), _> = manager.method_call(
            "org.bluez.AdvertisementMonitorManager1",
            "RegisterMonitor",
            (dbus::Path::from(ROOT),),
        );
        match registered {
            Ok(()) => break,
            // The answer came too late: BlueZ had asked meanwhile and got no answer.
            Err(error) if error.name() == Some("org.bluez.Error.AlreadyExists") => break,
            Err(error) if begun.elapsed() > Duration::from_secs(30) => panic!("{error}"),
            // bluetoothd has just been started.
            Err(_) => std::thread::sleep(Duration::from_millis(500)),
        }
    }
    loop {
        bus.process(Duration::from_millis(250)).expect("the bus stays");
        println!("{}", serde_json::json!({ "heard": heard.load(Ordering::Relaxed) }));
    }
}

const CALL: Duration = Duration::from_secs(5);

/// Whether a signal is about one of those devices; a new one is named by the first argument.
fn is_below(signal: &Message, devices: &str) -> bool {
    let object = match signal.member().as_deref() {
        Some("InterfacesAdded") => signal.get1::<dbus::Path<'_>>(),
        _ => signal.path(),
    };
    object.is_some_and(|object| object.starts_with(devices))
}

/// Answers BlueZ's calls to the monitor, which matches the manufacturer data of the test's devices.
fn answer(call: &Message) -> Message {
    const MANUFACTURER: u8 = 0xff;
    let patterns: Vec<(u8, u8, Vec<u8>)> = vec![(0, MANUFACTURER, vec![0xff, 0xff])];
    let monitor = PropMap::from([
        ("Type".to_owned(), Variant(Box::new("or_patterns".to_owned()) as _)),
        ("Patterns".to_owned(), Variant(Box::new(patterns) as _)),
    ]);
    match call.member().as_deref() {
        Some("GetManagedObjects") => {
            let interfaces = HashMap::from([(INTERFACE, monitor)]);
            let objects = HashMap::from([(dbus::Path::from(MONITOR), interfaces)]);
            call.method_return().append1(objects)
        }
        Some("GetAll") => call.method_return().append1(monitor),
        _ => call.method_return(),
    }
}
