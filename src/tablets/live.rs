//! Event streams to the tablets: the whole board at each change, and a heartbeat between changes, by
//! which both ends notice a dead connection.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use futures::Stream;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::board_state::BoardState;
use super::viewers::{Viewer, Viewers};
use crate::clock::Clocks;

/// A page that receives nothing for two of these is disconnected.
const HEARTBEAT: Duration = Duration::from_secs(8);

/// Changes within this time are sent as one event.
const COALESCE: Duration = Duration::from_millis(50);

/// Everything that one event stream needs.
pub struct Subscription {
    pub board_state: Arc<BoardState>,
    pub clocks: Clocks,
    /// Its entry among the connected tablets.
    pub viewer: Viewer,
    /// All streams, for their number.
    pub viewers: Arc<Viewers>,
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
        let Subscription { board_state, clocks, viewer, viewers, admitted, stop } =
            &self.subscription;
        let beat = || beat(clocks, *viewers.count().borrow());
        tokio::select! {
            () = stop.cancelled() => None,
            () = viewer.taken_over() => None,
            changed = self.changes.changed() => {
                changed.ok()?;
                tokio::time::sleep(COALESCE).await;
                self.changes.mark_unchanged();
                let (version, board) = board_state.json(clocks.now().clock.reading());
                Some(event(version, &beat(), &board))
            }
            _ = self.heartbeat.tick() => {
                board_state.tidy(clocks.now().clock.reading());
                admitted().then(|| Bytes::from(beat()))
            }
        }
    }
}

/// The page computes "2 min ago" with the server's clock: a tablet's may be wrong.
fn beat(clocks: &Clocks, looking_on: usize) -> String {
    let now = clocks.now().clock.reading();
    format!("event: beat\ndata: {{\"now\":\"{now}\",\"looking_on\":{looking_on}}}\n\n")
}

fn event(version: u64, beat: &str, board: &[u8]) -> Bytes {
    let head = format!("{beat}retry: 2000\nid: {version}\nevent: board\ndata: ");
    Bytes::from([head.as_bytes(), board, b"\n\n"].concat())
}
