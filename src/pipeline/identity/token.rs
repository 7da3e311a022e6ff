//! Scheme `token`: the tokens of all customers of the store in a window.

use zeroize::Zeroize;

use super::compact_hash_table::CompactHashTable;
use super::key::{Key, Message, Midstates};
use super::window::{Day, Window, counts, day_of, wanted};
use super::window_tables::{Priority, Table, WindowTables, zeroize_slice};
use crate::pipeline::units::Clock;

/// Customers in a slice: four compressions each, 4 us on the slowest supported processor.
const SLICE: usize = 200;
/// Buckets laid out or freed in a slice: 125 KiB of fresh pages.
const LAY_OUT: usize = 640;
/// Columns' entries freed in a slice.
const SHRED: usize = 4096;
/// Midstates halve the cost of a window, and take 64 octets a customer: 16 MB at most.
const KEEP_MIDSTATES: usize = 1 << 18;

/// Stands for "no key for that day". No line of a registry may have it.
pub const NO_KEY: [u8; 16] = [0; 16];

/// All `token` credentials of the registry, and the tables of the windows that count.
#[derive(Debug, Default)]
pub struct Tokens {
    keys: DayKeys,
    tables: WindowTables<TokenTable>,
}

/// Each day's keys, in columns: a credential has the same place in each.
#[derive(Debug, Default)]
pub struct DayKeys {
    len: usize,
    days: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    day: Day,
    keys: Vec<[u8; 16]>,
    /// Filled while the day's first table is built.
    midstates: Vec<Midstates>,
}

impl Drop for Column {
    fn drop(&mut self) {
        self.keys.iter_mut().for_each(Zeroize::zeroize);
        self.midstates.iter_mut().for_each(Zeroize::zeroize);
    }
}

impl Tokens {
    /// The credentials in `keys`, without any table yet.
    pub fn new(mut keys: DayKeys) -> Self {
        for column in &mut keys.days {
            column.keys.shrink_to_fit();
        }
        Self { keys, tables: WindowTables::default() }
    }

    /// The credential whose token this is now, and the token's window.
    pub fn find(&self, token: &[u8; 11], clock: Clock) -> Option<(u32, Window)> {
        let mut tables = self.tables.tables().filter(|table| counts(table.window, clock));
        tables.find_map(|table| Some((table.credentials.find(token)?, table.window)))
    }

    /// The credential's HMAC, keyed for the day of `window`.
    pub fn midstates(&self, credential: u32, window: Window) -> Option<Midstates> {
        let column = self.keys.column(day_of(window))?;
        column.keys.get(credential as usize).map(Midstates::new)
    }

    /// How many credentials there are.
    pub const fn count(&self) -> usize {
        self.keys.len
    }

    /// The days there are keys for.
    pub fn days(&self) -> impl Iterator<Item = Day> {
        self.keys.days.iter().map(|column| column.day)
    }

    /// Octets on the heap, approximately.
    pub fn octets(&self) -> usize {
        let column =
            |c: &Column| c.keys.capacity() * 16 + c.midstates.capacity() * size_of::<Midstates>();
        let table = |t: &TokenTable| t.credentials.octets();
        self.keys.days.iter().map(column).sum::<usize>()
            + self.tables.tables().map(table).sum::<usize>()
    }

    /// Wipes a credential: it is never found again.
    pub fn remove(&mut self, credential: u32) {
        for table in self.tables.tables_mut() {
            if let Some(key) = self.keys.key(day_of(table.window), credential) {
                let message = Message::token(table.window);
                table.credentials.remove(&Midstates::new(key).token(&message), credential);
            }
        }
        self.keys.remove(credential);
    }

    /// Begins the tables that will be needed. Keys of a past day stay until the registry is
    /// replaced: they are in its file as well, and a clock may be set back.
    pub fn plan(&mut self, clock: Clock) {
        if self.keys.len > 0 {
            self.tables.plan(&self.keys, wanted(clock), clock);
        }
    }

    /// Builds or frees a slice; says how urgent the next one is.
    pub fn work(&mut self, clock: Clock) -> Priority {
        self.tables.work(&mut self.keys, clock)
    }

    /// How urgent the next slice is.
    pub fn priority(&self, clock: Clock) -> Priority {
        self.tables.priority(clock)
    }

    /// Wipes and frees a slice; true while more is left.
    pub fn zeroize_slice(&mut self) -> bool {
        let keys = self.keys.days.iter_mut().any(|column| {
            zeroize_slice(&mut column.midstates, SHRED / 4)
                || zeroize_slice(&mut column.keys, SHRED)
        });
        keys || self.tables.zeroize_slice()
    }
}

impl DayKeys {
    pub const fn count(&self) -> usize {
        self.len
    }

    /// Adds a credential with its keys (not [`NO_KEY`]), each for another day.
    pub fn push(&mut self, keys: &[(Day, Key)]) {
        for (day, key) in keys {
            let len = self.len;
            let column = self.column_for(*day);
            column.keys.resize(len, NO_KEY);
            column.keys.push(key.0);
        }
        self.len += 1;
        for column in &mut self.days {
            column.keys.resize(self.len, NO_KEY);
        }
    }

    /// The days there are keys for.
    pub fn days(&self) -> impl Iterator<Item = Day> {
        self.days.iter().map(|column| column.day)
    }

    /// The credential's key for a day.
    pub fn key(&self, day: Day, credential: u32) -> Option<&[u8; 16]> {
        self.column(day)?.keys.get(credential as usize).filter(|key| **key != NO_KEY)
    }

    /// Wipes a credential's keys.
    pub fn remove(&mut self, credential: u32) {
        let at = credential as usize;
        for column in &mut self.days {
            if let Some(key) = column.keys.get_mut(at) {
                key.zeroize();
            }
            if let Some(midstates) = column.midstates.get_mut(at) {
                midstates.zeroize();
            }
        }
    }

    fn column(&self, day: Day) -> Option<&Column> {
        self.days.iter().find(|column| column.day == day)
    }

    fn column_for(&mut self, day: Day) -> &mut Column {
        let at = match self.days.binary_search_by_key(&day, |column| column.day) {
            Ok(at) => at,
            Err(at) => {
                let column = Column { day, keys: Vec::new(), midstates: Vec::new() };
                self.days.insert(at, column);
                at
            }
        };
        #[expect(clippy::indexing_slicing, reason = "found or inserted just now")]
        &mut self.days[at]
    }
}

impl Column {
    /// The token of one credential in the window of `message`.
    fn token(&mut self, at: usize, message: &Message) -> Option<[u8; 11]> {
        let key = self.keys.get(at).filter(|key| **key != NO_KEY);
        if self.keys.len() > KEEP_MIDSTATES {
            return key.map(|key| Midstates::new(key).token(message));
        }
        if at == self.midstates.len() {
            self.midstates.reserve_exact(self.keys.len() - at);
            self.midstates.push(Midstates::new(key.unwrap_or(&NO_KEY)));
        }
        key?;
        self.midstates.get(at).map(|midstates| midstates.token(message))
    }
}

/// The tokens of all customers in one window.
#[derive(Debug, Default)]
pub struct TokenTable {
    window: Window,
    credentials: CompactHashTable,
    /// How many credentials' tokens are in the table, and how many there will be.
    built: usize,
    len: usize,
}

impl Table for TokenTable {
    type Source = DayKeys;

    fn begin(&mut self, source: &DayKeys, window: Window, _: Clock) {
        self.window = window;
        self.built = 0;
        self.len = if source.column(day_of(window)).is_some() { source.len } else { 0 };
        self.credentials.begin(self.len);
    }

    fn build(&mut self, source: &mut DayKeys) {
        if !self.credentials.is_laid_out() {
            self.credentials.lay_out(LAY_OUT);
            return;
        }
        let day = day_of(self.window);
        let Some(column) = source.days.iter_mut().find(|column| column.day == day) else {
            self.len = self.built; // the keys went while the table was built
            return;
        };
        let message = Message::token(self.window);
        let until = self.len.min(self.built + SLICE);
        let token = |at| Some((u32::try_from(at).ok()?, column.token(at, &message)?));
        // One after the other, not interleaved, so that their memory accesses overlap.
        let tokens: Vec<_> = (self.built..until).filter_map(token).collect();
        for (credential, token) in tokens {
            self.credentials.insert(&token, credential);
        }
        self.built = until;
    }

    fn is_built(&self) -> bool {
        self.credentials.is_laid_out() && self.built == self.len
    }

    fn window(&self) -> Window {
        self.window
    }

    fn zeroize_slice(&mut self) -> bool {
        self.credentials.zeroize_slice(LAY_OUT)
    }
}
