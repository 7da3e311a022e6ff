//! Event streams to the tablets: the whole board at each change, and a heartbeat between changes, by
//! which both ends notice a dead connection.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use futures::Stream;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::board_state::BoardState;
use crate::clock::Clocks;

/// A page that receives nothing for two of these is disconnected.
const HEARTBEAT: Duration = Duration::from_secs(8);

/// Changes within this time are sent as one event.
const COALESCE: Duration = Duration::from_millis(50);

/// Event streams at the same time.
const MOST_CLIENTS: usize = 64;

/// Event streams of one paired tablet: its browser opens at most six connections.
const MOST_OF_TABLET: usize = 6;

/// The open event streams.
#[derive(Debug)]
pub struct SseClients {
    open: Mutex<BTreeMap<ClientId, CancellationToken>>,
    count: watch::Sender<usize>,
}

/// The paired tablet, if tablets need pairing, and the id that its tab made up for itself: no
/// tablet can take over another's stream.
type ClientId = (Option<String>, String);

/// One event stream; it frees its place when dropped.
#[derive(Debug)]
pub struct SseClient {
    clients: Arc<SseClients>,
    id: ClientId,
    taken_over: CancellationToken,
}

impl Default for SseClients {
    fn default() -> Self {
        Self { open: Mutex::default(), count: watch::Sender::new(0) }
    }
}

impl SseClients {
    /// How many streams are open, at each change.
    pub fn count(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    /// Takes a place for a tab, unless all places, or all of its tablet, are taken. A tab that
    /// reconnects takes over its own place.
    pub fn open(self: &Arc<Self>, tablet: Option<String>, tab: String) -> Option<SseClient> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let id = (tablet, tab);
        let of_tablet = open.keys().filter(|(tablet, _)| *tablet == id.0).count();
        let full = open.len() >= MOST_CLIENTS || (id.0.is_some() && of_tablet >= MOST_OF_TABLET);
        if full && !open.contains_key(&id) {
            return None;
        }
        let taken_over = CancellationToken::new();
        if let Some(former) = open.insert(id.clone(), taken_over.clone()) {
            former.cancel();
        }
        self.count.send_replace(open.len());
        Some(SseClient { clients: Arc::clone(self), id, taken_over })
    }
}

impl Drop for SseClient {
    fn drop(&mut self) {
        if !self.taken_over.is_cancelled() {
            let mut open = self.clients.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.remove(&self.id);
            self.clients.count.send_replace(open.len());
        }
    }
}

/// Everything that one event stream needs.
pub struct Subscription {
    /// The board.
    pub board_state: Arc<BoardState>,
    /// The machine's clocks.
    pub clocks: Clocks,
    /// Its place.
    pub client: SseClient,
    /// Whether the tablet is still paired.
    pub admitted: Box<dyn Fn() -> bool + Send + Sync>,
    /// Cancelled when the server stops.
    pub stop: CancellationToken,
}

/// The stream's text, until the server stops, the tab reconnects or the tablet is revoked.
pub fn stream(subscription: Subscription) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let mut changes = subscription.board_state.changes();
    changes.mark_changed();
    let mut heartbeat = interval(HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    futures::stream::unfold(EventStream { subscription, changes, heartbeat }, async |mut stream| {
        Some((Ok(stream.next().await?), stream))
    })
}

struct EventStream {
    subscription: Subscription,
    changes: watch::Receiver<u64>,
    heartbeat: Interval,
}

impl EventStream {
    async fn next(&mut self) -> Option<Bytes> {
        let Subscription { board_state, clocks, client, admitted, stop } = &self.subscription;
        tokio::select! {
            () = stop.cancelled() => None,
            () = client.taken_over.cancelled() => None,
            changed = self.changes.changed() => {
                changed.ok()?;
                tokio::time::sleep(COALESCE).await;
                self.changes.mark_unchanged();
                let (version, board) = board_state.json();
                Some(event(version, &beat(clocks), &board))
            }
            _ = self.heartbeat.tick() => {
                board_state.tidy(clocks.now().clock.reading());
                admitted().then(|| Bytes::from(beat(clocks)))
            }
        }
    }
}

/// The page computes "2 min ago" with the server's clock: a tablet's may be wrong.
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
    fn a_tab_that_reconnects_takes_over_its_own_stream() {
        let clients = Arc::new(SseClients::default());
        let former = clients.open(None, "a".into()).unwrap();
        let present = clients.open(None, "a".into()).unwrap();
        assert!(former.taken_over.is_cancelled());
        drop(former);
        assert!(!present.taken_over.is_cancelled());
        assert_eq!(*clients.count.borrow(), 1, "the former's end frees nothing");
    }

    #[test]
    fn a_new_tab_is_refused_when_all_places_are_taken_until_one_is_free() {
        let clients = Arc::new(SseClients::default());
        let mut open: Vec<_> =
            (0..MOST_CLIENTS).map(|tab| clients.open(None, tab.to_string()).unwrap()).collect();
        assert!(clients.open(None, "late".into()).is_none());
        open.pop();
        assert!(clients.open(None, "late".into()).is_some());
    }

    #[test]
    fn one_paired_tablet_cannot_take_all_places_nor_anothers() {
        let clients = Arc::new(SseClients::default());
        let other = clients.open(Some("other".into()), "a".into()).unwrap();
        let open = |tab: usize| clients.open(Some("greedy".into()), tab.to_string());
        let greedy: Vec<_> = (0..MOST_CLIENTS).filter_map(open).collect();
        assert_eq!(greedy.len(), MOST_OF_TABLET);
        drop(greedy);
        let same_tab = clients.open(Some("greedy".into()), "a".into()).unwrap();
        assert!(!other.taken_over.is_cancelled() && !same_tab.taken_over.is_cancelled());
    }
}
