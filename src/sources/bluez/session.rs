//! One connection to D-Bus, from its start to its end: subscribes, follows the adapters, and takes
//! the steps that their supervisors ask for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::watch;

use super::super::live::Settings;
use super::adapter::{Adapter, Hci, Selection};
use super::bus::{Bus, CallError};
use super::device_cache::{self, DeviceCache};
use super::exported::ExportedObjects;
use super::mux::AdvertisementMux;
use super::objects;
use super::recovery::{Escalation, Step};
use super::scan;
use super::service::{Bluetoothd, ServiceSupervisor};
use super::supervisor::AdapterSupervisor;
use crate::clock::Clocks;
use crate::pipeline::event::Hearing;
use crate::pipeline::units::Tick;
use crate::sources::capture_path::CapturePath;
use crate::sources::status::{AdapterStatus, Status};

/// Interval at which the supervisors are asked.
const LOOK: Duration = Duration::from_secs(1);

/// How a session ended.
#[derive(Debug)]
pub enum SessionEnd {
    /// The bus is gone, or was never reached.
    Lost(String),
    /// A recovery step asks for a new connection: the next session begins at once.
    Reconnect,
    /// The last recovery step was taken.
    GaveUp,
}

/// What a step was for.
#[derive(Debug, Clone, Copy)]
enum Target {
    Adapter(Hci),
    Bluetoothd,
}

/// The result of a step that has ended.
type Ended = (Target, Step, Result<(), CallError>);

/// Connections to BlueZ, one after the other, and the state that outlasts each of them.
pub struct Session<'r> {
    settings: &'r Settings,
    clocks: &'r Clocks,
    mux: &'r Arc<AdvertisementMux>,
    selection: &'r Arc<Selection>,
    status: &'r watch::Sender<Status>,
    supervisors: BTreeMap<Hci, AdapterSupervisor>,
    /// What was tried for adapters that are gone: a step's minimum interval outlasts a fault.
    escalations: BTreeMap<Hci, Escalation>,
    service: ServiceSupervisor,
    /// Why there is no connection to the bus.
    disconnected: Option<String>,
}

impl<'r> Session<'r> {
    pub fn new(
        settings: &'r Settings,
        clocks: &'r Clocks,
        mux: &'r Arc<AdvertisementMux>,
        selection: &'r Arc<Selection>,
        status: &'r watch::Sender<Status>,
    ) -> Self {
        Self {
            settings,
            clocks,
            mux,
            selection,
            status,
            supervisors: BTreeMap::new(),
            escalations: BTreeMap::new(),
            service: ServiceSupervisor::new(clocks.now().tick),
            disconnected: None,
        }
    }

    /// Connects after `pause`, and works until the connection is lost.
    pub async fn run(&mut self, pause: Duration) -> SessionEnd {
        let (bus, connection) = match self.connect(pause).await {
            Ok(connected) => connected,
            Err(error) => return self.lost(error.to_string()),
        };
        self.disconnected = None;
        let end = tokio::select! {
            reason = connection => SessionEnd::Lost(reason),
            end = self.follow(&bus) => end,
        };
        match end {
            SessionEnd::Lost(reason) => self.lost(reason),
            end => end,
        }
    }

    fn lost(&mut self, reason: String) -> SessionEnd {
        self.disconnected = Some(format!("D-Bus: {reason}"));
        self.service.disconnected();
        self.supervise(None, None);
        self.report();
        SessionEnd::Lost(reason)
    }

    /// Until there is a connection the HCI monitor may receive, so the adapters are supervised
    /// meanwhile.
    async fn connect(
        &mut self,
        pause: Duration,
    ) -> Result<(Bus, impl Future<Output = String> + use<>), CallError> {
        let connect = async {
            tokio::time::sleep(pause).await;
            Bus::connect().await
        };
        let mut connect = std::pin::pin!(connect);
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                connected = &mut connect => return connected,
                _ = look.tick() => self.mux.age(),
                () = self.mux.arrived() => {}
            }
            self.supervise(None, None);
            self.report();
        }
    }

    async fn follow(&mut self, bus: &Bus) -> SessionEnd {
        let cache = Arc::new(Mutex::new(DeviceCache::new(
            Arc::clone(self.mux),
            Arc::clone(self.selection),
        )));
        let exported = Arc::new(ExportedObjects::new(self.settings.wake_up));
        let mut adapters = objects::lock(&cache).adapters();
        if let Err(error) = objects::follow(bus, &cache, &exported).await {
            return SessionEnd::Lost(error.to_string());
        }
        let mut subscribed = false;
        let mut look = tokio::time::interval(LOOK);
        let mut steps: FuturesUnordered<BoxFuture<'_, Ended>> = FuturesUnordered::new();
        let mut listing: FuturesUnordered<BoxFuture<'_, Bluetoothd>> = FuturesUnordered::new();
        let mut devices: FuturesUnordered<BoxFuture<'_, ()>> = FuturesUnordered::new();
        // Whether devices in BlueZ's memory are unknown, or changed without a signal.
        let mut unlisted = true;
        loop {
            let mut ask = false;
            tokio::select! {
                _ = look.tick() => {
                    self.mux.age();
                    ask = listing.is_empty();
                }
                () = self.mux.arrived() => {}
                Ok(()) = adapters.changed() => {}
                Some(ended) = steps.next() => self.ended(&ended),
                Some(answer) = listing.next() => {
                    self.service.observed(self.now(), answer);
                    unlisted = true;
                }
                Some(()) = devices.next() => {}
            }
            let known = adapters.borrow_and_update().clone();
            if known.is_some() {
                self.service.observed(self.now(), Bluetoothd::Answers);
            } else if ask {
                listing.push(Box::pin(objects::list_adapters(bus, &cache)));
            }
            for (target, step) in self.supervise(known.as_ref(), Some(&exported)) {
                match step {
                    Step::GiveUp => return SessionEnd::GaveUp,
                    Step::Reconnect => {
                        self.ended(&(target, step, Ok(())));
                        return SessionEnd::Reconnect;
                    }
                    _ => steps.push(Box::pin(take(bus, &exported, target, step))),
                }
            }
            self.report();
            if let Err(error) = self.choose_path(bus, &mut subscribed).await {
                return SessionEnd::Lost(error.to_string());
            }
            if !subscribed {
                unlisted = true;
            } else if known.is_some() && devices.is_empty() && std::mem::take(&mut unlisted) {
                devices.push(Box::pin(objects::list_devices(bus, &cache)));
            }
        }
    }

    fn now(&self) -> Tick {
        self.clocks.now().tick
    }

    /// Where the monitor receives everything, bluetoothd's signals for the same advertisements
    /// would be of no use.
    async fn choose_path(&self, bus: &Bus, subscribed: &mut bool) -> Result<(), CallError> {
        let wanted = self.supervisors.values().any(|one| one.path() == CapturePath::Dbus);
        if std::mem::replace(subscribed, wanted) == wanted {
            return Ok(());
        }
        let rule = device_cache::advertisements(self.selection);
        if wanted { bus.subscribe(&rule).await } else { bus.unsubscribe(&rule).await }
    }

    /// Passes every supervisor its activity sample and the adapter's description; returns the steps
    /// that are due.
    fn supervise(
        &mut self,
        adapters: Option<&BTreeMap<Hci, Adapter>>,
        exported: Option<&ExportedObjects>,
    ) -> Vec<(Target, Step)> {
        let now = self.now();
        let Some(adapters) = adapters else {
            for (hci, supervisor) in &mut self.supervisors {
                supervisor.unreachable(now);
                supervisor.received(now, self.mux.take_sample(*hci));
                exported.inspect(|exported| exported.release_beacon(*hci));
            }
            let step = if exported.is_some() { self.service.next_step(now) } else { None };
            return step.map(|step| (Target::Bluetoothd, step)).into_iter().collect();
        };
        for gone in self.retire(|hci| adapters.contains_key(&hci)) {
            exported.inspect(|exported| exported.release_beacon(gone));
        }
        let selection = self.selection;
        let receiving: Vec<Hci> = self.receiving(now).collect();
        let mut steps = Vec::new();
        for (hci, adapter) in adapters.iter().filter(|(hci, _)| selection.includes(**hci)) {
            let before = &mut self.escalations;
            let begin = || AdapterSupervisor::new(now, before.remove(hci));
            let supervisor = self.supervisors.entry(*hci).or_insert_with(begin);
            supervisor.received(now, self.mux.take_sample(*hci));
            supervisor.described(now, adapter);
            let to_say = || exported.is_some_and(|one| one.to_advertise_through(*hci).is_some());
            let others_receive = receiving.iter().any(|other| other != hci);
            if let Some(step) = supervisor.next_step(now, others_receive, to_say) {
                steps.push((Target::Adapter(*hci), step));
            }
        }
        steps
    }

    fn receiving(&self, now: Tick) -> impl Iterator<Item = Hci> {
        let receives = move |one: &AdapterSupervisor| one.status(now).hearing == Hearing::Listening;
        self.supervisors.iter().filter(move |(_, one)| receives(one)).map(|(hci, _)| *hci)
    }

    /// Keeps the supervisors of adapters that are there; returns the adapters that are gone.
    fn retire(&mut self, there: impl Fn(Hci) -> bool) -> Vec<Hci> {
        let gone: Vec<Hci> = self.supervisors.keys().copied().filter(|hci| !there(*hci)).collect();
        for hci in &gone {
            if let Some(supervisor) = self.supervisors.remove(hci) {
                self.escalations.insert(*hci, supervisor.into_escalation());
            }
        }
        gone
    }

    fn ended(&mut self, (target, step, result): &Ended) {
        let now = self.now();
        log(*target, *step, result);
        self.status.send_modify(|status| *status.steps.entry(*step).or_default() += 1);
        match target {
            Target::Bluetoothd => self.service.ended(result),
            Target::Adapter(hci) => {
                if let Some(supervisor) = self.supervisors.get_mut(hci) {
                    supervisor.ended(now, *step, result);
                }
            }
        }
    }

    /// Updates the status, and asks to be woken by the next advertisement where nothing is
    /// received.
    fn report(&self) {
        let now = self.now();
        let adapters: BTreeMap<Hci, AdapterStatus> =
            self.supervisors.iter().map(|(hci, one)| (*hci, one.status(now))).collect();
        if adapters.values().any(|adapter| adapter.hearing == Hearing::Blind) {
            self.mux.expect_next();
        }
        let receives = adapters.values().any(|adapter| adapter.hearing == Hearing::Listening);
        let hearing = if receives { Hearing::Listening } else { Hearing::Blind };
        let service = || self.disconnected.clone().or_else(|| self.service.reason());
        let of_adapters = || {
            adapters.iter().find_map(|(hci, adapter)| {
                adapter.reason.as_ref().map(|reason| format!("{hci}: {reason}"))
            })
        };
        let missing = || adapters.is_empty().then(|| self.missing());
        let reason = service().or_else(missing).or_else(of_adapters);
        change(self.status, |status| {
            (status.heard, status.shed) = (self.mux.queue.received(), self.mux.queue.dropped());
            (status.hearing, status.reason, status.adapters) = (hearing, reason, adapters);
        });
    }

    fn missing(&self) -> String {
        match self.selection.choice() {
            Some(only) => format!("adapter {only} is not there"),
            None => "no Bluetooth adapter".to_owned(),
        }
    }
}

async fn take(bus: &Bus, exported: &ExportedObjects, target: Target, step: Step) -> Ended {
    let result = match target {
        Target::Adapter(hci) => scan::take(bus, exported, hci, step).await,
        Target::Bluetoothd => scan::take_service(bus, step).await,
    };
    (target, step, result)
}

fn log(target: Target, step: Step, result: &Result<(), CallError>) {
    let adapter = match target {
        Target::Adapter(hci) => Some(tracing::field::display(hci)),
        Target::Bluetoothd => None,
    };
    match result {
        // This happens every second with such a controller.
        Ok(()) if step == Step::Refresh => tracing::trace!(adapter, "scan restarted"),
        Ok(()) => tracing::info!(adapter, step = step.word(), "radio step taken"),
        Err(error) => {
            tracing::warn!(adapter, step = step.word(), %error, "radio step failed");
        }
    }
}

/// Changes the status; its watchers are woken only if it differs afterwards.
fn change(status: &watch::Sender<Status>, change: impl FnOnce(&mut Status)) {
    status.send_if_modified(|status| {
        let before = status.clone();
        change(status);
        *status != before
    });
}
