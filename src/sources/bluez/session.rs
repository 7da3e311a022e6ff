//! One connection to the bus, from hello to its loss: subscribes, follows the adapters, and
//! walks each of them up its ladder.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::watch;

use super::adapter::{Adapter, Hci};
use super::air::{self, Air};
use super::bus::{BLUEZ, Bus, CallError};
use super::ears::Ears;
use super::ladder::{Ladder, Step};
use super::liveness::{Liveness, Verdict};
use super::scan;
use super::status::{AdapterStatus, Status};
use crate::daemon::clock::Clocks;
use crate::pipeline::event::Hearing;
use crate::pipeline::units::Tick;

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
    only: Option<Hci>,
    clocks: &'r Clocks,
    ears: &'r Arc<Ears>,
    status: &'r watch::Sender<Status>,
    keepers: BTreeMap<Hci, Keeper>,
}

/// What is known and being done of one adapter.
struct Keeper {
    adapter: Adapter,
    ladder: Ladder,
    liveness: Liveness,
    problem: Option<String>,
    busy: bool,
}

impl<'r> Session<'r> {
    /// Before hello.
    pub fn new(
        only: Option<Hci>,
        clocks: &'r Clocks,
        ears: &'r Arc<Ears>,
        status: &'r watch::Sender<Status>,
    ) -> Self {
        Self { only, clocks, ears, status, keepers: BTreeMap::new() }
    }

    /// Listens until the connection is lost.
    pub async fn run(mut self) -> Over {
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
        let air = Arc::new(Mutex::new(Air::new(Arc::clone(self.ears))));
        let mut adapters = lock(&air).adapters();
        if let Err(error) = subscribe(bus, &air).await {
            return Over::Lost(error.to_string());
        }
        let mut pulse = tokio::time::interval(PULSE);
        let mut steps: FuturesUnordered<BoxFuture<'_, Taken>> = FuturesUnordered::new();
        loop {
            tokio::select! {
                _ = pulse.tick() => {}
                () = self.ears.awoken() => {}
                Ok(()) = adapters.changed() => self.hurry(),
                Some(taken) = steps.next() => self.took(&taken),
            }
            let known = adapters.borrow_and_update().clone();
            if known.is_none() {
                ask_for_objects(bus, &air).await;
            }
            for (hci, step) in self.next_steps(known.as_ref()) {
                if step == Step::GiveUp {
                    return Over::GaveUp;
                }
                steps.push(Box::pin(async move { (hci, step, scan::take(bus, hci, step).await) }));
            }
            self.tell(known.is_some());
        }
    }

    /// Feels every pulse; the steps that are due.
    fn next_steps(&mut self, adapters: Option<&BTreeMap<Hci, Adapter>>) -> Vec<(Hci, Step)> {
        let now = self.clocks.now().tick;
        let wanted = |hci: Hci| self.only.is_none_or(|only| only == hci);
        self.keepers.retain(|hci, _| adapters.is_some_and(|known| known.contains_key(hci)));
        let mut steps = Vec::new();
        for (hci, adapter) in adapters.into_iter().flatten().filter(|(hci, _)| wanted(**hci)) {
            let keeper = self.keepers.entry(*hci).or_insert_with(|| Keeper::new(now));
            keeper.adapter.clone_from(adapter);
            keeper.liveness.feel(now, self.ears.pulse(*hci));
            if let Some(step) = keeper.next(now) {
                steps.push((*hci, step));
            }
        }
        steps
    }

    fn hurry(&mut self) {
        let now = self.clocks.now().tick;
        self.keepers.values_mut().for_each(|keeper| keeper.ladder.hurry(now));
    }

    fn took(&mut self, (hci, step, outcome): &Taken) {
        match outcome {
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
        match self.only {
            Some(only) => format!("adapter {only} is not there"),
            None => "no Bluetooth adapter".to_owned(),
        }
    }
}

impl Keeper {
    fn new(now: Tick) -> Self {
        Self {
            adapter: Adapter::default(),
            ladder: Ladder::new(now),
            liveness: Liveness::new(now),
            problem: None,
            busy: false,
        }
    }

    fn next(&mut self, now: Tick) -> Option<Step> {
        if self.busy {
            return None;
        }
        let was_scanning = self.ladder.scanning();
        let step = self.ladder.next(now, &self.adapter, self.liveness.verdict(now));
        if was_scanning && !self.ladder.scanning() {
            // The scan was taken away: what was heard before says nothing about what comes.
            self.liveness = Liveness::new(now);
        }
        self.busy = step.is_some();
        step
    }

    fn took(&mut self, now: Tick, step: Step, outcome: &Result<(), CallError>) {
        self.busy = false;
        self.ladder.took(now, step, outcome.is_ok());
        self.problem = outcome.as_ref().err().map(ToString::to_string);
        match step {
            Step::Scan if outcome.is_ok() => self.liveness = Liveness::new(now),
            Step::PowerCycle if outcome.is_ok() => self.liveness.was_reset(),
            _ => {}
        }
    }

    fn status(&self, now: Tick) -> AdapterStatus {
        let reason = self.why_blind(now);
        let hearing = if reason.is_some() { Hearing::Blind } else { Hearing::Listening };
        AdapterStatus { address: self.adapter.address.clone(), hearing, reason }
    }

    fn why_blind(&self, now: Tick) -> Option<String> {
        let plain = if !self.adapter.powered {
            "switched off"
        } else if !self.ladder.scanning() {
            "not scanning"
        } else {
            match self.liveness.verdict(now) {
                Verdict::Alive => return None,
                Verdict::Unheard => "nothing heard yet",
                Verdict::Deaf => "fell silent",
            }
        };
        Some(match &self.problem {
            Some(problem) => format!("{plain}: {problem}"),
            None => plain.to_owned(),
        })
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
async fn subscribe(bus: &Bus, air: &Arc<Mutex<Air>>) -> Result<(), CallError> {
    let listening = Arc::clone(air);
    bus.receive(move |message| {
        lock(&listening).signal(message);
        None
    });
    for rule in air::OBJECTS.into_iter().chain([air::ADVERTISEMENTS]) {
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
