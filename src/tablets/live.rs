//! The live stream to a tablet: server-sent events, the whole board at each change, a heartbeat
//! between changes so that a dead connection is noticed.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use futures::Stream;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::hub::Hub;
use crate::daemon::clock::Clocks;

/// A page that has heard nothing for two of these knows that it is cut off.
const HEARTBEAT: Duration = Duration::from_secs(8);

/// What changes within this reaches a tablet at once: half a blink.
const COALESCE: Duration = Duration::from_millis(50);

/// Tablets, desks and phones that look on at the same time.
const MOST_SEATS: usize = 64;

/// Who looks on, by the id that each tab made up for itself.
#[derive(Debug)]
pub struct Seats {
    taken: Mutex<BTreeMap<String, CancellationToken>>,
    audience: watch::Sender<usize>,
}

/// A place in the audience, free again when dropped.
#[derive(Debug)]
pub struct Seat {
    seats: Arc<Seats>,
    tab: String,
    taken_over: CancellationToken,
}

impl Default for Seats {
    fn default() -> Self {
        Self { taken: Mutex::default(), audience: watch::Sender::new(0) }
    }
}

impl Seats {
    /// How many are taken, at each change.
    pub fn audience(&self) -> watch::Receiver<usize> {
        self.audience.subscribe()
    }

    /// Takes a seat for a tab, unless all are taken. A tab that comes back from a lost connection
    /// takes over its own, so that it cannot crowd itself out.
    pub fn take(self: &Arc<Self>, tab: String) -> Option<Seat> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.len() >= MOST_SEATS && !taken.contains_key(&tab) {
            return None;
        }
        let taken_over = CancellationToken::new();
        if let Some(former) = taken.insert(tab.clone(), taken_over.clone()) {
            former.cancel();
        }
        self.audience.send_replace(taken.len());
        Some(Seat { seats: Arc::clone(self), tab, taken_over })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if !self.taken_over.is_cancelled() {
            let mut taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
            taken.remove(&self.tab);
            self.seats.audience.send_replace(taken.len());
        }
    }
}

/// Everything that one tablet's stream needs.
pub struct Audience {
    /// Where the board is.
    pub hub: Arc<Hub>,
    /// What time it is.
    pub clocks: Clocks,
    /// Its place.
    pub seat: Seat,
    /// Whether the tablet is still paired.
    pub admitted: Box<dyn Fn() -> bool + Send + Sync>,
    /// When the server stops.
    pub stop: CancellationToken,
}

/// The stream's text, until the server stops, the tab comes back elsewhere or the tablet is
/// revoked.
pub fn stream(audience: Audience) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let mut changes = audience.hub.changes();
    changes.mark_changed();
    let mut heartbeat = interval(HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    futures::stream::unfold(Listening { audience, changes, heartbeat }, async |mut listening| {
        Some((Ok(listening.next().await?), listening))
    })
}

struct Listening {
    audience: Audience,
    changes: watch::Receiver<u64>,
    heartbeat: Interval,
}

impl Listening {
    async fn next(&mut self) -> Option<Bytes> {
        let Audience { hub, clocks, seat, admitted, stop } = &self.audience;
        tokio::select! {
            () = stop.cancelled() => None,
            () = seat.taken_over.cancelled() => None,
            changed = self.changes.changed() => {
                changed.ok()?;
                tokio::time::sleep(COALESCE).await;
                self.changes.mark_unchanged();
                let (version, board) = hub.json();
                Some(event(version, &beat(clocks), &board))
            }
            _ = self.heartbeat.tick() => {
                hub.tidy(clocks.now().clock.reading());
                admitted().then(|| Bytes::from(beat(clocks)))
            }
        }
    }
}

/// The page tells "2 min ago" by the server's clock: a tablet's own may be wrong.
fn beat(clocks: &Clocks) -> String {
    format!("event: beat\ndata: {{\"now\":\"{}\"}}\n\n", clocks.now().clock.reading())
}

fn event(version: u64, beat: &str, board: &[u8]) -> Bytes {
    let head = format!("{beat}retry: 2000\nid: {version}\nevent: board\ndata: ");
    Bytes::from([head.as_bytes(), board, b"\n\n"].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tab_that_reconnects_takes_over_its_own_seat() {
        let seats = Arc::new(Seats::default());
        let former = seats.take("a".into()).unwrap();
        let present = seats.take("a".into()).unwrap();
        assert!(former.taken_over.is_cancelled());
        drop(former);
        assert!(!present.taken_over.is_cancelled());
        assert_eq!(*seats.audience.borrow(), 1, "the former's end frees nothing");
    }

    #[test]
    fn a_full_house_turns_new_tabs_away_until_one_leaves() {
        let seats = Arc::new(Seats::default());
        let mut taken: Vec<_> =
            (0..MOST_SEATS).map(|tab| seats.take(tab.to_string()).unwrap()).collect();
        assert!(seats.take("late".into()).is_none());
        taken.pop();
        assert!(seats.take("late".into()).is_some());
    }
}
