//! An emulated controller on `/dev/vhci`: speaks HCI with the kernel and receives what is on the
//! air.
//!
//! Each has a thread. It counts what was on the air while it was asked to scan, what it passed on,
//! and the intervals in which it did not scan.

use std::collections::{BTreeMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::air::{Advertisement, Schedule};
use super::gatt::Phone;
use super::hci;
use super::scenario::{Air, ControllerKind, Filters, Pdu};

/// The longest time that the thread waits before it looks for orders.
const PATIENCE: Duration = Duration::from_millis(20);

/// Orders to a controller.
pub enum Order {
    /// These devices advertise from now on, and no others.
    Air(Vec<Air>),
    /// These devices advertise as well.
    More(Vec<Air>),
    /// No device advertises.
    Silence,
    /// It is pulled out of the machine.
    Unplug,
    /// It is plugged in again.
    Plug,
    /// It ends its scan, and refuses to start another one until it is reset.
    ScanRefused,
    /// It reports nothing more until its scan is restarted.
    ScanDies,
    /// It reports nothing more until it is reset.
    ControllerDies,
    /// It reports nothing more, even after a reset.
    ControllerDiesForGood,
}

/// What a controller counted.
#[derive(Debug, Default, Clone)]
pub struct Counts {
    /// Its name in the kernel.
    pub name: Option<String>,
    /// Advertisements on the air while it was asked to scan.
    pub on_air: u64,
    /// Advertisements that it passed on to the kernel.
    pub passed_on: u64,
    /// Of these, the ones that came more than 20 ms late, because the machine was slow.
    pub late: u64,
    /// Classic inquiries that were requested; there is no LE scan meanwhile.
    pub inquiries: u64,
    /// Number of scans that were started.
    pub scans: u64,
    /// From when to when there was no scan, after the first one had begun.
    pub holes: Vec<(Instant, Instant)>,
    /// Whether the last scan asked for duplicates to be filtered.
    pub filtering: bool,
    /// Whether the last scan was active.
    pub active: bool,
    /// The host's advertising, as it was last switched on: the AD structures.
    pub advertises: Option<Vec<u8>>,
    /// Number of connections that were requested.
    pub connections: u64,
}

/// A controller and its thread.
pub struct Controller {
    orders: mpsc::SyncSender<Order>,
    counts: Arc<Mutex<Counts>>,
    thread: JoinHandle<()>,
}

impl Controller {
    /// Plugs one in; `number` makes its address unique.
    pub fn plug(kind: ControllerKind, number: u8) -> Self {
        let (orders, received) = mpsc::sync_channel(16);
        let counts = Arc::new(Mutex::new(Counts::default()));
        let counted = Arc::clone(&counts);
        let thread = std::thread::spawn(move || {
            let mut machine = Machine::new(kind, number, counted);
            machine.plug();
            machine.run(&received);
        });
        Self { orders, counts, thread }
    }

    pub fn order(&self, order: Order) {
        self.orders.send(order).expect("the controller's thread lives");
    }

    /// What it counted so far.
    pub fn counts(&self) -> Counts {
        self.counts.lock().unwrap().clone()
    }

    /// Removes it for good.
    pub fn unplug(self) {
        drop(self.orders);
        self.thread.join().expect("the controller's thread ended well");
    }
}

struct Machine {
    kind: ControllerKind,
    number: u8,
    device: Option<File>,
    counts: Arc<Mutex<Counts>>,
    scanning: bool,
    active: bool,
    filtering: bool,
    refuses_scan: bool,
    dead_until_scan: bool,
    dead_until_reset: bool,
    dead_for_good: bool,
    passed_on: HashSet<([u8; 6], u64)>,
    stopped_at: Option<Instant>,
    inquiry_ends: Option<Instant>,
    advertising_data: Vec<u8>,
    /// The device, as the command names it, that is being connected to.
    connecting: Option<[u8; 7]>,
    /// The phones that are connected, by handle.
    connected: BTreeMap<[u8; 2], Phone>,
    last_handle: u8,
    /// Connections that failed, by address.
    failed: BTreeMap<[u8; 6], u64>,
}

impl Machine {
    fn new(kind: ControllerKind, number: u8, counts: Arc<Mutex<Counts>>) -> Self {
        Self {
            kind,
            number,
            device: None,
            counts,
            scanning: false,
            active: false,
            filtering: false,
            refuses_scan: false,
            dead_until_scan: false,
            dead_until_reset: false,
            dead_for_good: false,
            passed_on: HashSet::new(),
            stopped_at: None,
            inquiry_ends: None,
            advertising_data: Vec::new(),
            connecting: None,
            connected: BTreeMap::new(),
            last_handle: 0,
            failed: BTreeMap::new(),
        }
    }

    fn plug(&mut self) {
        /// `O_NONBLOCK` of Linux on every machine this bed runs on.
        const NONBLOCK: i32 = 0o4000;
        let mut options = OpenOptions::new();
        let mut device = options
            .read(true)
            .write(true)
            .custom_flags(NONBLOCK)
            .open("/dev/vhci")
            .expect("/dev/vhci opens");
        // "Create a primary controller".
        device.write_all(&[0xff, 0x00]).expect("a controller is created");
        self.device = Some(device);
    }

    fn unplug(&mut self) {
        self.device = None;
        self.connecting = None;
        self.connected.clear();
        self.stop_scan();
    }

    fn run(&mut self, orders: &mpsc::Receiver<Order>) {
        let mut air: Option<(Instant, Schedule)> = None;
        let mut next: Option<Advertisement> = None;
        loop {
            match orders.try_recv() {
                Ok(Order::Air(groups)) => {
                    let mut schedule = Schedule::new(&groups);
                    next = schedule.next();
                    air = Some((Instant::now(), schedule));
                }
                Ok(Order::More(groups)) => {
                    if let Some((opened, schedule)) = &mut air {
                        schedule.add(&groups, opened.elapsed());
                        next = next.or_else(|| schedule.next());
                    }
                }
                Ok(Order::Silence) => (air, next) = (None, None),
                Ok(Order::Unplug) => self.unplug(),
                Ok(Order::Plug) => self.plug(),
                Ok(Order::ScanRefused) => {
                    self.stop_scan();
                    self.refuses_scan = true;
                }
                Ok(Order::ScanDies) => self.dead_until_scan = true,
                Ok(Order::ControllerDies) => self.dead_until_reset = true,
                Ok(Order::ControllerDiesForGood) => self.dead_for_good = true,
                Err(mpsc::TryRecvError::Empty) => {}
                Err(mpsc::TryRecvError::Disconnected) => return,
            }
            let Some((opened, schedule)) = &mut air else {
                self.serve(PATIENCE);
                continue;
            };
            let wait = match &next {
                Some(due) => due.at.saturating_sub(opened.elapsed()),
                None => PATIENCE,
            };
            self.serve(wait.min(PATIENCE));
            while let Some(mut due) = next.take_if(|due| due.at <= opened.elapsed()) {
                let late = opened.elapsed().saturating_sub(due.at) > PATIENCE;
                due.stamp(opened.elapsed());
                next = schedule.next();
                self.hear(due, late);
            }
        }
    }

    /// Handles the kernel's packets, for at most `wait`.
    fn serve(&mut self, wait: Duration) {
        let Some(device) = &self.device else {
            std::thread::sleep(wait);
            return;
        };
        let timeout = Timespec::try_from(wait).expect("a wait is short");
        let ready = poll(&mut [PollFd::new(device, PollFlags::IN)], Some(&timeout));
        let mut packet = [0; 2048];
        while ready.is_ok()
            && let Some(device) = &mut self.device
            && let Ok(length) = device.read(&mut packet)
            && length > 0
        {
            self.packet(&packet[..length]);
        }
        if self.inquiry_ends.take_if(|ends| Instant::now() >= *ends).is_some() {
            self.send(&hci::inquiry_complete());
        }
    }

    fn send(&mut self, packet: &[u8]) -> bool {
        self.device.as_mut().is_some_and(|device| device.write_all(packet).is_ok())
    }

    fn packet(&mut self, packet: &[u8]) {
        match packet {
            // The kernel reports the number that it gave.
            [0xff, _, low, high, ..] => {
                let name = format!("hci{}", u16::from_le_bytes([*low, *high]));
                self.counts.lock().unwrap().name = Some(name);
            }
            [hci::COMMAND, low, high, _, parameters @ ..] => {
                self.command(u16::from_le_bytes([*low, *high]), parameters);
            }
            [hci::ACL_DATA, low, high, _, _, _, _, 4, 0, att @ ..] => {
                let handle = [*low, *high];
                self.send(&hci::packet_sent(handle));
                let phone = self.connected.get_mut(&[*low, *high & 0x0f]);
                if let Some(answer) = phone.and_then(|phone| phone.answer(att)) {
                    self.send(&acl(handle, &answer));
                }
            }
            [hci::ACL_DATA, low, high, ..] => {
                self.send(&hci::packet_sent([*low, *high]));
            }
            _ => {}
        }
    }

    fn command(&mut self, opcode: u16, parameters: &[u8]) {
        match (opcode, parameters) {
            (0x0c03, _) => {
                self.stop_scan();
                self.connecting = None;
                self.dead_until_reset = false;
                self.refuses_scan = false;
                self.done(opcode);
            }
            (0x200b, [kind, ..]) | (0x2041, [_, _, _, kind, ..]) => {
                self.active = *kind == 1;
                self.done(opcode);
            }
            (0x200c | 0x2042, [1, ..]) if self.refuses_scan => {
                self.send(&hci::refused(opcode));
            }
            (0x200c | 0x2042, [enable, filter, ..]) => {
                match enable {
                    0 => self.stop_scan(),
                    _ => self.start_scan(*filter != 0),
                }
                self.done(opcode);
            }
            // Inquiry: a length in units of 1.28 s; there is no LE scan meanwhile.
            (0x0401, [_, _, _, length, ..]) => {
                let length = Duration::from_millis(1280) * u32::from(*length);
                self.inquiry_ends = Some(Instant::now() + length);
                self.counts.lock().unwrap().inquiries += 1;
                self.send(&hci::begun(opcode));
            }
            (0x0402, _) => {
                self.inquiry_ends = None;
                self.done(opcode);
            }
            (0x2008, [length, data @ ..]) => {
                self.advertising_data = data[..usize::from(*length)].to_vec();
                self.done(opcode);
            }
            (0x200a, [enable]) => {
                let advertises = (*enable == 1).then(|| self.advertising_data.clone());
                self.counts.lock().unwrap().advertises = advertises;
                self.done(opcode);
            }
            (0x200d, [_, _, _, _, _, peer @ ..]) => self.connect(opcode, peer),
            (0x200e, _) => {
                self.done(opcode);
                if let Some(peer) = self.connecting.take() {
                    self.send(&hci::not_connected(hci::UNKNOWN_CONNECTION, &peer));
                }
            }
            (0x2016, [low, high, ..]) => {
                self.send(&hci::begun(opcode));
                let features = [0, *low, *high, 0, 0, 0, 0, 0, 0, 0, 0];
                self.send(&hci::le_event(0x04, &features));
            }
            (0x041d, [low, high, ..]) => {
                self.send(&hci::begun(opcode));
                self.send(&hci::remote_version([*low, *high]));
            }
            (0x2013, [low, high, ..]) => {
                self.send(&hci::begun(opcode));
                let update = [0, *low, *high, 0x18, 0, 0, 0, 0x2a, 0];
                self.send(&hci::le_event(0x03, &update));
            }
            (0x0406, [low, high, ..]) => {
                self.connected.remove(&[*low, *high]);
                self.send(&hci::begun(opcode));
                self.send(&hci::disconnected([*low, *high]));
            }
            _ => {
                let ability = hci::ability(opcode, parameters, self.kind, self.number);
                self.send(&hci::complete(opcode, &ability.unwrap_or_default()));
            }
        }
    }

    fn done(&mut self, opcode: u16) {
        self.send(&hci::complete(opcode, &[]));
    }

    fn start_scan(&mut self, filtering: bool) {
        self.scanning = true;
        self.filtering = filtering;
        self.dead_until_scan = false;
        self.passed_on.clear();
        let hole = self.stopped_at.take().map(|since| (since, Instant::now()));
        let mut counts = self.counts.lock().unwrap();
        counts.scans += 1;
        counts.holes.extend(hole);
        (counts.filtering, counts.active) = (filtering, self.active);
    }

    fn stop_scan(&mut self) {
        if std::mem::take(&mut self.scanning) {
            self.stopped_at = Some(Instant::now());
        }
    }

    /// A connection begins at the device's next advertisement.
    fn connect(&mut self, opcode: u16, parameters: &[u8]) {
        self.counts.lock().unwrap().connections += 1;
        self.send(&hci::begun(opcode));
        self.connecting = parameters.first_chunk().copied();
    }

    fn hear(&mut self, heard: Advertisement, late: bool) {
        if let Some(phone) = &heard.phone
            && let Some(peer) = self.connecting.take_if(|peer| peer[1..] == heard.address)
        {
            let failed = self.failed.entry(heard.address).or_default();
            if *failed < heard.refuses {
                *failed += 1;
                self.send(&hci::not_connected(hci::FAILED_TO_ESTABLISH, &peer));
                return;
            }
            self.last_handle = self.last_handle % 0xef + 1;
            let handle = [self.last_handle, 0];
            self.connected.insert(handle, phone.clone());
            self.send(&hci::connected(handle, &peer));
        }
        let passed_on = self.passes_on(&heard);
        if passed_on {
            let kind = if heard.pdu == Pdu::Connectable { 0 } else { 3 };
            let report =
                hci::report(self.kind.extended, kind, &heard.address, &heard.payload, heard.rssi);
            self.send(&report);
        }
        let answers = passed_on && heard.pdu == Pdu::Connectable && self.active;
        if answers {
            // The empty answer to the scan request; the kernel waits for it.
            let answer = hci::report(self.kind.extended, 4, &heard.address, &[], heard.rssi);
            self.send(&answer);
        }
        let mut counts = self.counts.lock().unwrap();
        counts.on_air += 1 + u64::from(answers);
        counts.passed_on += u64::from(passed_on) + u64::from(answers);
        counts.late += u64::from(late);
    }

    fn passes_on(&mut self, heard: &Advertisement) -> bool {
        let dead = self.dead_until_scan || self.dead_until_reset || self.dead_for_good;
        if !self.scanning || dead || self.inquiry_ends.is_some() || self.device.is_none() {
            return false;
        }
        let data = match self.kind.filters {
            Filters::SameData => heard
                .payload
                .iter()
                .fold(0, |sum: u64, octet| sum.wrapping_mul(31).wrapping_add(u64::from(*octet))),
            Filters::Nothing | Filters::SameAddress => 0,
        };
        let filters = self.filtering && self.kind.filters != Filters::Nothing;
        !filters || self.passed_on.insert((heard.address, data))
    }
}

/// An ACL packet with one ATT PDU.
fn acl(handle: [u8; 2], att: &[u8]) -> Vec<u8> {
    let length = u16::try_from(att.len()).unwrap();
    let [low, high] = length.to_le_bytes();
    let [outer_low, outer_high] = (length + 4).to_le_bytes();
    let head =
        [hci::ACL_DATA, handle[0], handle[1] & 0x0f | 0x20, outer_low, outer_high, low, high, 4, 0];
    [&head, att].concat()
}
