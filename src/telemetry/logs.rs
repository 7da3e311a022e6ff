//! Events to standard error: for people on a terminal, for journald under systemd.
//!
//! Invariant: at every level, other crates say warnings and errors only. Radio and
//! MQTT libraries log addresses and payloads below that, and strangers leave no trace.

use std::io::{self, IsTerminal as _};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, Targets, filter_fn};
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::one_line::Stderr;
use super::repeats::Limited;

/// The environment variable that says how much is logged: a level, or `grelot::mqtt=debug,info`.
pub const VARIABLE: &str = "GRELOT_LOG";

/// Starts logging at `usual`, or as `GRELOT_LOG` says. Later calls change nothing.
pub fn start(usual: Level) {
    let (wanted, misread) = match std::env::var(VARIABLE) {
        Err(_) => (at(usual), None),
        Ok(text) => match wanted(&text) {
            Some(wanted) => (wanted, None),
            None => (at(usual), Some(text)),
        },
    };
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let ansi = !journal && io::stderr().is_terminal();
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(move || Stderr { colours: ansi })
        .with_ansi(ansi)
        .log_internal_errors(false);
    let started = if journal {
        let layer = layer.event_format(Limited::new(Journal(
            Format::default().without_time().with_level(false),
        )));
        tracing_subscriber::registry().with(layer.with_filter(only(wanted))).try_init()
    } else {
        let format = Format::default().with_ansi(ansi).with_target(false);
        let layer = layer.event_format(Limited::new(format));
        tracing_subscriber::registry().with(layer.with_filter(only(wanted))).try_init()
    };
    if let (Ok(()), Some(text)) = (started, misread) {
        tracing::warn!(variable = VARIABLE, text, "not a log level, taking the usual one");
    }
}

fn at(level: Level) -> Targets {
    Targets::new().with_default(level)
}

/// A level alone, or levels by module.
fn wanted(text: &str) -> Option<Targets> {
    match text.trim().parse::<LevelFilter>() {
        Ok(level) => Some(Targets::new().with_default(level)),
        Err(_) => text.parse().ok(),
    }
}

/// What was asked for, of grelot's own events; warnings and worse of all others, of mqtt5
/// nothing: it logs each refusal, as often as a client wants, and `mqtt::broker` reports them.
fn only<S: Subscriber>(wanted: Targets) -> impl tracing_subscriber::layer::Filter<S> {
    wanted.and(filter_fn(|event| {
        let is_of = |name: &str| {
            let path = event.target().strip_prefix(name);
            path.is_some_and(|path| path.is_empty() || path.starts_with("::"))
        };
        is_of("grelot")
            || *event.level() <= Level::WARN && !is_of("mqtt5") && !is_of("mqtt5_protocol")
    }))
}

/// journald has the time already, and reads the level from a prefix (`sd-daemon(3)`).
struct Journal(Format<Full, ()>);

impl<S, N> FormatEvent<S, N> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            _ => 7,
        };
        write!(writer, "<{priority}>")?;
        self.0.format_event(context, writer, event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_or_levels_by_module_can_be_asked_for() {
        assert!(wanted("debug").is_some_and(|t| t.would_enable("grelot::mqtt", &Level::DEBUG)));
        let some = wanted("grelot::mqtt=debug,warn").expect("read");
        assert!(some.would_enable("grelot::mqtt", &Level::DEBUG));
        assert!(!some.would_enable("grelot::store", &Level::INFO));
        assert!(wanted("grelot=loud").is_none());
    }
}
