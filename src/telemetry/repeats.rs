//! Limits repeated log messages: the first is logged, then one at growing intervals with the
//! number of those in between.
//!
//! Every event of the program passes through here, so that no retry loop can fill an SD card,
//! and no loop needs a counter of its own. A message is the same when it comes from the same
//! place in the code and its texts are equal; numbers (counts, waits, line numbers) do not count.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The first interval; each next one is twice as long.
const FIRST_INTERVAL: Duration = Duration::from_secs(30);
const LONGEST_INTERVAL: Duration = Duration::from_hours(1);
/// A message that has not occurred for this long is new when it occurs again.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(15);
/// Changes of state may follow each other quickly: this many of a kind are logged one by one before
/// they count as repeated.
const FREE_CHANGES: u32 = 10;
/// Past this many different texts from one place in the code, its texts count as one message: a
/// stranger may choose them.
const TEXTS_PER_PLACE: usize = 16;
/// Stands for every further text of a place.
const ANY_TEXT: u64 = 0;
/// Messages remembered; past it the one that did not occur for the longest time is forgotten.
const CAPACITY: usize = 256;

/// The messages of the last minutes.
#[derive(Default)]
struct Repeats(Vec<Message>);

struct Message {
    place: Identifier,
    text: u64,
    last: Duration,
    /// Occurrences that are still logged one by one.
    free: u32,
    interval: Duration,
    next: Duration,
    unlogged: u64,
}

impl Repeats {
    /// Whether a message that occurs at `now` is logged: `Some` number of occurrences since it was
    /// last logged, or `None`.
    fn admit(&mut self, now: Duration, place: &Identifier, text: u64, level: Level) -> Option<u64> {
        self.0.retain(|message| now.saturating_sub(message.last) < FORGOTTEN_AFTER);
        let of_place = self.0.iter().filter(|message| message.place == *place);
        let full = of_place.clone().count() >= TEXTS_PER_PLACE;
        let is_new = !of_place.clone().any(|message| message.text == text);
        if full && is_new && level == Level::INFO {
            // Changes of state name visits and files: each is a message of its own.
            return Some(0);
        }
        let text = if full && is_new { ANY_TEXT } else { text };
        let same = |message: &&mut Message| message.place == *place && message.text == text;
        if let Some(message) = self.0.iter_mut().find(same) {
            return message.again(now);
        }
        self.remember(Message::new(now, place.clone(), text, level));
        Some(0)
    }

    fn remember(&mut self, message: Message) {
        if self.0.len() >= CAPACITY
            && let Some((oldest, _)) = self.0.iter().enumerate().min_by_key(|(_, m)| m.last)
        {
            self.0.swap_remove(oldest);
        }
        self.0.push(message);
    }
}

impl Message {
    fn new(now: Duration, place: Identifier, text: u64, level: Level) -> Self {
        let free = if level == Level::INFO { FREE_CHANGES } else { 0 };
        let next = now + FIRST_INTERVAL;
        Self { place, text, last: now, free, interval: FIRST_INTERVAL, next, unlogged: 0 }
    }

    fn again(&mut self, now: Duration) -> Option<u64> {
        self.last = now;
        if self.free > 0 {
            self.free -= 1;
            return Some(0);
        }
        if now < self.next {
            self.unlogged += 1;
            return None;
        }
        self.interval = (self.interval * 2).min(LONGEST_INTERVAL);
        self.next = now + self.interval;
        Some(std::mem::take(&mut self.unlogged))
    }
}

/// Formats the events that are logged with `F`, and leaves out the others.
pub struct Limited<F> {
    format: F,
    clock: Box<dyn Fn() -> Duration + Send + Sync>,
    repeats: Mutex<Repeats>,
}

impl<F> Limited<F> {
    /// Reads the machine's monotonic clock.
    #[expect(clippy::disallowed_methods, reason = "logging starts before the daemon's clocks")]
    pub fn new(format: F) -> Self {
        let start = std::time::Instant::now();
        Self::with_clock(format, move || start.elapsed())
    }

    fn with_clock(format: F, clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self { format, clock: Box::new(clock), repeats: Mutex::default() }
    }
}

impl<S, N, F> FormatEvent<S, N> for Limited<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let (place, level) = (event.metadata().callsite(), *event.metadata().level());
        if level > Level::INFO {
            // Somebody asked for every one of them.
            return self.format.format_event(context, writer, event);
        }
        let mut text = Text::default();
        event.record(&mut text);
        let admitted = self.repeats.lock().unwrap_or_else(PoisonError::into_inner).admit(
            (self.clock)(),
            &place,
            text.0.finish(),
            level,
        );
        match admitted {
            None => Ok(()),
            Some(0) => self.format.format_event(context, writer, event),
            Some(repeated) => {
                let mut line = String::new();
                self.format.format_event(context, Writer::new(&mut line), event)?;
                writeln!(writer, "{} repeated={repeated}", line.trim_end())
            }
        }
    }
}

/// What an event says, without its numbers.
#[derive(Default)]
struct Text(DefaultHasher);

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        field.name().hash(&mut self.0);
        // Hashing cannot fail, and a value that cannot be written is no text.
        let _ = fmt::write(self, format_args!("{value:?}"));
    }

    fn record_u64(&mut self, _: &Field, _: u64) {}
    fn record_i64(&mut self, _: &Field, _: i64) {}
    fn record_f64(&mut self, _: &Field, _: f64) {}
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use tracing_subscriber::fmt::format::Format;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    type Log = Arc<Mutex<Vec<u8>>>;

    struct Writes(Log);

    impl std::io::Write for Writes {
        fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The lines that `run` logs; it sets the clock, in seconds.
    fn logged(run: impl FnOnce(&AtomicU64)) -> Vec<String> {
        let (log, clock) = (Log::default(), Arc::new(AtomicU64::new(0)));
        let read = Arc::clone(&clock);
        let format = Format::default().without_time().with_ansi(false);
        let limited =
            Limited::with_clock(format, move || Duration::from_secs(read.load(Ordering::Relaxed)));
        let written = Arc::clone(&log);
        let layer = tracing_subscriber::fmt::layer()
            .event_format(limited)
            .with_writer(move || Writes(Arc::clone(&written)));
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || run(&clock));
        let log = String::from_utf8(log.lock().unwrap().clone()).unwrap();
        log.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_step_refused_every_two_seconds_writes_some_thirty_lines_a_day() {
        let lines = logged(|clock| {
            for second in (0..86_400).step_by(2) {
                clock.store(second, Ordering::Relaxed);
                tracing::warn!(attempt = second, error = "in progress", "radio step failed");
            }
        });
        assert!((20..40).contains(&lines.len()), "{}", lines.len());
        assert!(!lines[0].contains("repeated"), "{}", lines[0]);
        assert!(lines[1].ends_with("repeated=14"), "{}", lines[1]);
    }

    #[test]
    fn two_faults_that_alternate_are_limited_and_a_new_one_is_logged_at_once() {
        let lines = logged(|clock| {
            for second in 0..1_000 {
                clock.store(second, Ordering::Relaxed);
                let error = if second % 2 == 0 { "not ready" } else { "in progress" };
                tracing::warn!(error, "radio step failed");
            }
            tracing::warn!(error = "permission denied", "radio step failed");
        });
        assert!(lines.len() < 15, "{lines:#?}");
        assert!(lines.last().unwrap().contains("permission denied"), "{lines:#?}");
    }

    #[test]
    fn a_stranger_who_chooses_the_texts_cannot_fill_the_log() {
        let lines = logged(|_| {
            for n in 0..10_000 {
                tracing::warn!(client = format!("c{n}"), "login refused");
            }
        });
        assert!(lines.len() <= TEXTS_PER_PLACE + 1, "{}", lines.len());
    }

    #[test]
    fn a_fault_that_returns_after_a_quiet_hour_and_every_arrival_are_logged() {
        let lines = logged(|clock| {
            tracing::warn!("the gateway is blind");
            clock.store(3_600, Ordering::Relaxed);
            tracing::warn!("the gateway is blind");
            for visit in 0..100 {
                tracing::info!(visit = format!("v{visit}"), "a customer arrived");
            }
        });
        assert_eq!(lines.len(), 102);
    }

    #[test]
    fn steps_that_work_and_fail_in_turns_do_not_fill_the_log_either() {
        let lines = logged(|clock| {
            for second in (0..86_400).step_by(3) {
                clock.store(second, Ordering::Relaxed);
                tracing::info!(step = "scan", "radio step taken");
                tracing::warn!(step = "scan", "radio step failed");
            }
        });
        assert!(lines.len() < 80, "{}", lines.len());
    }
}
