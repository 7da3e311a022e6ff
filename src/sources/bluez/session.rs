//! One connection to the bus, from hello to its loss: subscribes, follows the adapters, and
//! walks each of them up its ladder.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dbus::MessageType;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::watch;

use super::super::live::Settings;
use super::adapter::{Adapter, Hci, Selection};
use super::air::{self, Air};
use super::bus::{BLUEZ, Bus, CallError};
use super::ears::{Ear, Ears};
use super::keeper::Keeper;
use super::ladder::{Ladder, Step};
use super::scan;
use super::shelf::Shelf;
use super::status::{AdapterStatus, Status};
use crate::clock::Clocks;
use crate::pipeline::event::Hearing;

/// How often pulses are felt.
const PULSE: Duration = Duration::from_secs(1);

/// How a session ended.
pub enum Over {
    /// The bus is gone, or was never reached.
    Lost(String),
    /// The top of the ladder.
    GaveUp,
}

/// A step that was taken, and how it went.
type Taken = (Hci, Step, Result<(), CallError>);

/// One connection's worth of listening.
pub struct Session<'r> {
    settings: &'r Settings,
    clocks: &'r Clocks,
    ears: &'r Arc<Ears>,
    selection: &'r Arc<Selection>,
    status: &'r watch::Sender<Status>,
    keepers: BTreeMap<Hci, Keeper>,
    /// What was tried for adapters that are gone: a step's least distance outlasts a fault.
    ladders: BTreeMap<Hci, Ladder>,
}

impl<'r> Session<'r> {
    /// Before hello.
    pub fn new(
        settings: &'r Settings,
        clocks: &'r Clocks,
        ears: &'r Arc<Ears>,
        selection: &'r Arc<Selection>,
        status: &'r watch::Sender<Status>,
    ) -> Self {
        Self {
            settings,
            clocks,
            ears,
            selection,
            status,
            keepers: BTreeMap::new(),
            ladders: BTreeMap::new(),
        }
    }

    /// Connects, and listens until the connection is lost.
    pub async fn run(&mut self) -> Over {
        self.keep(|_| false);
        let (bus, connection) = match Bus::connect().await {
            Ok(connected) => connected,
            Err(error) => return Over::Lost(error.to_string()),
        };
        tokio::select! {
            reason = connection => Over::Lost(reason),
            over = self.follow(&bus) => over,
        }
    }

    async fn follow(&mut self, bus: &Bus) -> Over {
        let air = Arc::new(Mutex::new(Air::new(Arc::clone(self.ears), Arc::clone(self.selection))));
        let shown = Arc::new(Shelf::new(self.settings.wake_up));
        let mut adapters = lock(&air).adapters();
        if let Err(error) = follow_objects(bus, &air, &shown).await {
            return Over::Lost(error.to_string());
        }
        let mut subscribed = false;
        let mut pulse = tokio::time::interval(PULSE);
        let mut steps: FuturesUnordered<BoxFuture<'_, Taken>> = FuturesUnordered::new();
        loop {
            tokio::select! {
                _ = pulse.tick() => self.ears.age(),
                () = self.ears.awoken() => {}
                Ok(()) = adapters.changed() => self.hurry(),
                Some(taken) = steps.next() => self.took(&taken),
            }
            let known = adapters.borrow_and_update().clone();
            if known.is_none() {
                ask_for_objects(bus, &air).await;
            }
            for (hci, step) in self.next_steps(known.as_ref(), &shown) {
                if step == Step::GiveUp {
                    return Over::GaveUp;
                }
                let shown = &shown;
                steps.push(Box::pin(async move {
                    (hci, step, scan::take(bus, shown, hci, step).await)
                }));
            }
            self.tell(known.is_some());
            if let Err(error) = self.choose_ear(bus, &mut subscribed).await {
                return Over::Lost(error.to_string());
            }
        }
    }

    /// Where the monitor hears all, bluetoothd's account of the same would only cost.
    async fn choose_ear(&self, bus: &Bus, subscribed: &mut bool) -> Result<(), CallError> {
        let wanted = self.keepers.values().any(|keeper| keeper.ear() == Ear::Dbus);
        if std::mem::replace(subscribed, wanted) == wanted {
            return Ok(());
        }
        let rule = air::advertisements(self.selection);
        if wanted { bus.subscribe(&rule).await } else { bus.unsubscribe(&rule).await }
    }

    /// Feels every pulse; the steps that are due.
    fn next_steps(
        &mut self,
        adapters: Option<&BTreeMap<Hci, Adapter>>,
        shown: &Shelf,
    ) -> Vec<(Hci, Step)> {
        let now = self.clocks.now().tick;
        let selection = self.selection;
        for gone in self.keep(|hci| adapters.is_some_and(|known| known.contains_key(&hci))) {
            shown.fall_silent(gone);
        }
        let mut steps = Vec::new();
        for (hci, adapter) in
            adapters.into_iter().flatten().filter(|(hci, _)| selection.includes(**hci))
        {
            let before = &mut self.ladders;
            let begin = || Keeper::new(now, before.remove(hci));
            let keeper = self.keepers.entry(*hci).or_insert_with(begin);
            keeper.feel(now, adapter, self.ears.pulse(*hci));
            let to_say = || shown.to_advertise_through(*hci).is_some();
            if let Some(step) = keeper.next(now, to_say) {
                steps.push((*hci, step));
            }
        }
        steps
    }

    /// Keeps the keepers of adapters that are there; which ones are gone.
    fn keep(&mut self, there: impl Fn(Hci) -> bool) -> Vec<Hci> {
        let gone: Vec<Hci> = self.keepers.keys().copied().filter(|hci| !there(*hci)).collect();
        for hci in &gone {
            if let Some(keeper) = self.keepers.remove(hci) {
                self.ladders.insert(*hci, keeper.retire());
            }
        }
        gone
    }

    fn hurry(&mut self) {
        let now = self.clocks.now().tick;
        self.keepers.values_mut().for_each(|keeper| keeper.hurry(now));
    }

    fn took(&mut self, (hci, step, outcome): &Taken) {
        match outcome {
            // Every second where it must be.
            Ok(()) if *step == Step::Refresh => tracing::trace!(adapter = %hci, "scan begun anew"),
            Ok(()) => tracing::info!(adapter = %hci, step = step.word(), "radio step taken"),
            Err(error) => {
                tracing::warn!(adapter = %hci, step = step.word(), %error, "radio step failed");
            }
        }
        self.status.send_modify(|status| *status.steps.entry(*step).or_default() += 1);
        let now = self.clocks.now().tick;
        if let Some(keeper) = self.keepers.get_mut(hci) {
            keeper.took(now, *step, outcome);
        }
    }

    /// Brings the status up to date, and asks to be woken by the next sound where there is none.
    fn tell(&self, bluetoothd: bool) {
        let now = self.clocks.now().tick;
        let adapters: BTreeMap<Hci, AdapterStatus> =
            self.keepers.iter().map(|(hci, keeper)| (*hci, keeper.status(now))).collect();
        if adapters.values().any(|adapter| adapter.hearing == Hearing::Blind) {
            self.ears.await_sound();
        }
        let hears = adapters.values().any(|adapter| adapter.hearing == Hearing::Listening);
        let reason = match (bluetoothd, adapters.is_empty()) {
            (false, _) => Some("bluetoothd is not running".to_owned()),
            (true, true) => Some(self.missing()),
            _ => adapters.iter().find_map(|(hci, adapter)| {
                adapter.reason.as_ref().map(|reason| format!("{hci}: {reason}"))
            }),
        };
        let hearing = if hears { Hearing::Listening } else { Hearing::Blind };
        change(self.status, |status| {
            (status.heard, status.shed) = (self.ears.intake.heard(), self.ears.intake.shed());
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

/// Nothing is heard, whatever the adapters.
pub fn tell_blind(status: &watch::Sender<Status>, reason: String) {
    change(status, |status| {
        status.hearing = Hearing::Blind;
        status.reason = Some(reason);
        status.adapters.clear();
    });
}

/// Changes the status; whoever follows it is woken only if it is another one afterwards.
fn change(status: &watch::Sender<Status>, change: impl FnOnce(&mut Status)) {
    status.send_if_modified(|status| {
        let before = status.clone();
        change(status);
        *status != before
    });
}

/// Follows bluetoothd's signals from here on.
async fn follow_objects(
    bus: &Bus,
    air: &Arc<Mutex<Air>>,
    shown: &Arc<Shelf>,
) -> Result<(), CallError> {
    let (listening, shown) = (Arc::clone(air), Arc::clone(shown));
    bus.receive(move |message| {
        if message.msg_type() == MessageType::MethodCall {
            return shown.answer(message);
        }
        lock(&listening).signal(message);
        None
    });
    for rule in air::OBJECTS {
        bus.subscribe(rule).await?;
    }
    Ok(())
}

/// Asks who bluetoothd is and what it knows; nothing changes where it is away.
async fn ask_for_objects(bus: &Bus, air: &Arc<Mutex<Air>>) {
    let Ok(answer) = bus.bus_call("GetNameOwner", (BLUEZ,)).await else { return };
    lock(air).owned_by(answer.get1());
    let learning = Arc::clone(air);
    let look = move |answer: &dbus::Message| lock(&learning).objects(answer);
    let manager = "org.freedesktop.DBus.ObjectManager";
    if let Err(error) = bus.call_and_look("/", manager, "GetManagedObjects", look).await {
        tracing::debug!(%error, "bluetoothd did not say what it knows");
    }
}

fn lock(air: &Mutex<Air>) -> std::sync::MutexGuard<'_, Air> {
    // No message leaves the tables half changed.
    air.lock().unwrap_or_else(PoisonError::into_inner)
}
