//! Connected tablets: the open event streams and the MQTT connections of staff's devices.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::pairing::Tablet;
use crate::pipeline::units::WallTime;

/// Event streams and connections at the same time: 200 tablets, and some that reload.
const MOST_VIEWERS: usize = 256;

/// Of one paired tablet: its browser opens at most six connections.
const MOST_OF_TABLET: usize = 6;

#[derive(Debug)]
pub struct Viewers {
    open: Mutex<BTreeMap<ViewerId, Entry>>,
    count: watch::Sender<usize>,
}

/// The paired tablet, if tablets need pairing, and the id that its tab made up for itself: no
/// tablet can take over another's stream.
type ViewerId = (Option<String>, String);

#[derive(Debug)]
struct Entry {
    label: String,
    since: WallTime,
    taken_over: CancellationToken,
}

/// The place of one event stream or connection; free again when dropped.
#[derive(Debug)]
pub struct Viewer {
    viewers: Arc<Viewers>,
    id: ViewerId,
    taken_over: CancellationToken,
}

/// A connected tablet, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookingOn {
    /// The tablet's id in `grelot tablets list`; `None` where tablets need no pairing.
    pub id: Option<String>,
    /// The name that was given when it was paired.
    pub label: String,
    /// Since when, RFC 3339, UTC: the first of its tabs.
    pub since: String,
    /// Its tabs and connections.
    pub tabs: usize,
}

impl Default for Viewers {
    fn default() -> Self {
        Self { open: Mutex::default(), count: watch::Sender::new(0) }
    }
}

impl Viewers {
    /// The number of connected tablets, at each change.
    pub fn count(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    /// Takes a place for a tab, unless all places, or all of its tablet, are taken. A tab that
    /// reconnects takes over its own place.
    pub fn open(
        self: &Arc<Self>,
        tablet: Option<&Tablet>,
        tab: String,
        now: WallTime,
    ) -> Option<Viewer> {
        let mut open = self.lock();
        let id = (tablet.map(|tablet| tablet.id.clone()), tab);
        if !has_place(&open, &id) {
            return None;
        }
        let taken_over = CancellationToken::new();
        let label = tablet.map(|tablet| tablet.label.clone()).unwrap_or_default();
        let entry = Entry { label, since: now, taken_over: taken_over.clone() };
        if let Some(former) = open.insert(id.clone(), entry) {
            former.taken_over.cancel();
        }
        self.count.send_replace(open.len());
        Some(Viewer { viewers: Arc::clone(self), id, taken_over })
    }

    /// Whether a tab would get a place.
    pub fn has_place(&self, tablet: Option<&Tablet>, tab: &str) -> bool {
        has_place(&self.lock(), &(tablet.map(|tablet| tablet.id.clone()), tab.to_owned()))
    }

    /// The connected tablets, by id. Without pairing each tab is one.
    pub fn list(&self) -> Vec<LookingOn> {
        let mut list: Vec<LookingOn> = Vec::new();
        for ((id, _), entry) in &*self.lock() {
            let since = entry.since.to_string();
            match list.last_mut().filter(|one| id.is_some() && one.id == *id) {
                Some(one) => {
                    one.since = one.since.clone().min(since);
                    one.tabs += 1;
                }
                None => list.push(LookingOn {
                    id: id.clone(),
                    label: entry.label.clone(),
                    since,
                    tabs: 1,
                }),
            }
        }
        list
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ViewerId, Entry>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn has_place(open: &BTreeMap<ViewerId, Entry>, id: &ViewerId) -> bool {
    let of_tablet = open.keys().filter(|(tablet, _)| *tablet == id.0).count();
    let full = open.len() >= MOST_VIEWERS || (id.0.is_some() && of_tablet >= MOST_OF_TABLET);
    !full || open.contains_key(id)
}

impl Viewer {
    /// Resolves when the tab has taken its place again with another connection.
    pub async fn taken_over(&self) {
        self.taken_over.cancelled().await;
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        if !self.taken_over.is_cancelled() {
            let mut open = self.viewers.lock();
            open.remove(&self.id);
            self.viewers.count.send_replace(open.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: WallTime = WallTime::from_unix_secs(1_767_603_614);

    fn tablet(id: &str) -> Tablet {
        Tablet { id: id.to_owned(), label: format!("the {id} tablet"), paired_at: NOW }
    }

    fn open(viewers: &Arc<Viewers>, tab: &str) -> Option<Viewer> {
        viewers.open(None, tab.to_owned(), NOW)
    }

    #[test]
    fn a_tab_that_reconnects_takes_over_its_own_stream() {
        let viewers = Arc::new(Viewers::default());
        let former = open(&viewers, "a").unwrap();
        let present = open(&viewers, "a").unwrap();
        assert!(former.taken_over.is_cancelled());
        drop(former);
        assert!(!present.taken_over.is_cancelled());
        assert_eq!(*viewers.count.borrow(), 1, "the former's end frees nothing");
    }

    #[test]
    fn a_new_tab_is_refused_when_all_places_are_taken_until_one_is_free() {
        let viewers = Arc::new(Viewers::default());
        let mut places: Vec<_> =
            (0..MOST_VIEWERS).map(|tab| open(&viewers, &tab.to_string()).unwrap()).collect();
        assert!(open(&viewers, "late").is_none() && !viewers.has_place(None, "late"));
        assert!(viewers.has_place(None, "7"), "its own");
        places.pop();
        assert!(open(&viewers, "late").is_some());
    }

    #[test]
    fn one_paired_tablet_cannot_take_all_places_nor_anothers() {
        let viewers = Arc::new(Viewers::default());
        let other = viewers.open(Some(&tablet("other")), "a".into(), NOW).unwrap();
        let open = |tab: usize| viewers.open(Some(&tablet("greedy")), tab.to_string(), NOW);
        let greedy: Vec<_> = (0..MOST_VIEWERS).filter_map(open).collect();
        assert_eq!(greedy.len(), MOST_OF_TABLET);
        drop(greedy);
        let same_tab = viewers.open(Some(&tablet("greedy")), "a".into(), NOW).unwrap();
        assert!(!other.taken_over.is_cancelled() && !same_tab.taken_over.is_cancelled());
    }

    #[test]
    fn the_list_names_each_tablet_once_since_its_first_tab() {
        let viewers = Arc::new(Viewers::default());
        let later = NOW.plus(std::time::Duration::from_mins(1));
        let _places = [
            viewers.open(Some(&tablet("till")), "b".into(), later),
            viewers.open(Some(&tablet("till")), "c".into(), NOW),
            viewers.open(None, "a".into(), later),
        ];
        let list = viewers.list();
        assert_eq!(list.len(), 2);
        assert_eq!((list[0].id.as_deref(), list[0].tabs), (None, 1));
        assert_eq!((list[1].label.as_str(), list[1].tabs), ("the till tablet", 2));
        assert_eq!(list[1].since, NOW.to_string());
    }
}
