//! New registries: watched, fetched or announced; all end in the same check and swap.
//!
//! Invariant: the registry in force serves until a new one is whole, checked and has its tables
//! built, on a thread of its own; a refused one changes nothing and is reported.

pub mod check;
pub mod https;
pub mod vault;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::clock::Clocks;
use crate::config::Config;
use crate::config::registry::line::Header;
use crate::config::registry::{Loaded, signature_of};
use crate::mqtt::tls::{self, TlsError};
use crate::payload::RegistryHealth;
use crate::pipeline::identity::{Registry, Report};
use crate::pipeline::units::{Clock, WallTime};
use crate::private;
use crate::tasks;
use check::{Refused, Rules, made_at};
use https::{Fetched, Remote};
use vault::Vault;

/// Interval of checks of the file: each is two system calls.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Interval of the reminder that the registry has expired.
const REMIND_EVERY: Duration = Duration::from_mins(10);
/// Random delay after an announcement, so that not all stores fetch at once.
const SPREAD_MS: u16 = 3_000;

/// A slow transfer continues with the next attempt.
const FETCH_WITHIN: Duration = Duration::from_mins(2);
/// Capacity of the queue of hints.
pub const HINTS: usize = 64;

/// Updates for the event loop.
#[derive(Debug)]
pub enum RegistryUpdate {
    /// A new registry, whole and checked.
    InForce(Box<Registry>, RegistryHealth),
    /// What is wrong, for people; `None` once it is right again.
    Trouble(Option<String>),
}

/// Hints from the event loop.
#[derive(Debug)]
pub enum Hint {
    /// Head office has a new registry.
    Announced,
    /// A customer withdrew: no registry brings them back.
    Withdrawn(String),
}

/// Looks for new registries.
#[derive(Debug)]
pub struct RegistryWatcher {
    rules: Rules,
    path: Option<PathBuf>,
    remote: Option<Remote>,
    check_every: Duration,
    clocks: Clocks,
    in_force: Option<Header>,
    /// The file as it was when it was last taken in or refused.
    seen: Option<Stamp>,
    /// The `ETag` of what was last taken in or refused.
    etag: Option<String>,
    /// Why the last one was refused.
    refused: Option<String>,
    /// Why none could be fetched.
    unreachable: Option<String>,
    /// The trouble that was last reported.
    reported: Option<String>,
    /// The clock that the registry in force was loaded by.
    loaded_by: Clock,
}

/// Why the watcher wakes up.
enum Due {
    Look,
    Fetch,
    Remind,
    Hint(Hint),
}

/// Why there is no watcher at all.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state folder, or the credential.
    #[error("{}: {source}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    /// `[tls]` cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A file that was replaced has another inode or another time; its signature as well.
type Stamp = [Option<(u64, u64, i64, i64)>; 2];

impl RegistryWatcher {
    /// With the registry to begin with: the newest that counts, or none. `withdrawn` are the
    /// customers that no registry brings back.
    ///
    /// # Errors
    /// Where the credential or `[tls]` cannot be used.
    pub fn begin(
        config: &Config,
        clocks: &Clocks,
        withdrawn: &[Arc<str>],
    ) -> Result<(Self, Registry, RegistryHealth), StartError> {
        let bundles = &config.bundles;
        let folder = config.state.join("registry");
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| StartError::Folder { path, source }
        };
        if !bundles.public_keys.is_empty()
            && let Err(error) = private::create_folder(&folder)
        {
            // A full disk: nothing is kept, and the registry that is there serves.
            tracing::error!(path = %folder.display(), %error, "no registry can be kept");
        }
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        let credential = credentials.as_deref().unwrap_or(&folder).join(vault::CREDENTIAL);
        let vault = Vault::from_credentials(credentials.as_deref()).map_err(failed(&credential))?;
        let remote = match &bundles.url {
            Some(url) => Some(Remote::new(url.clone(), tls::client(&config.tls)?)),
            None => None,
        };
        let mut rules =
            Rules::new(config.store.id, &bundles.public_keys, folder, vault).by(config.wall_clock);
        rules.withdrawn = withdrawn.iter().map(ToString::to_string).collect();
        let mut watcher = Self {
            rules,
            path: config.registry.clone(),
            remote,
            check_every: bundles.check_every,
            clocks: clocks.clone(),
            in_force: None,
            seen: None,
            etag: None,
            refused: None,
            unreachable: None,
            reported: None,
            loaded_by: clocks.now().clock,
        };
        let kept = if watcher.rules.vault.is_sealed() { "encrypted" } else { "in clear" };
        if !watcher.rules.keys.is_empty() {
            tracing::info!(kept, "only signed registries are accepted here");
        }
        let (registry, health) = watcher.first();
        Ok((watcher, registry, health))
    }

    /// The bundle that was in force, or the file where it is newer.
    fn first(&mut self) -> (Registry, RegistryHealth) {
        let clock = self.clocks.now().clock;
        let mut found = None;
        match self.rules.restore(clock) {
            Some(Ok(loaded)) => found = Some(self.takes_effect(loaded)),
            Some(Err(refused)) => self.is_refused(&refused),
            None => {}
        }
        // Where an earlier start broke off is not known any more.
        self.rules.discard_incoming();
        if found.is_some() {
            self.etag = self.rules.kept_etag();
        }
        if let Some(path) = self.path.clone() {
            let stamp = stamp(&path);
            self.seen = Some(stamp);
            let in_force = made_at(self.in_force.as_ref());
            // A file that was accepted may be removed: it may have been dropped on a tmpfs.
            let is_there = stamp[0].is_some() || in_force.is_none();
            self.loaded_by = clock;
            if is_there && self.rules.may_be_newer(&path, in_force) {
                match self.rules.take_in(&path, in_force, clock) {
                    Ok(loaded) => found = Some(self.takes_effect(loaded)),
                    Err(refused) => self.is_refused(&refused),
                }
            }
        } else if self.remote.is_none() {
            tracing::warn!("no registry is configured: no customer can be recognised");
        }
        let (registry, mut health) = found.unwrap_or_default();
        self.reported = self.trouble();
        if let Some(expired) = self.expired_at() {
            tracing::error!(%expired, "the registry has expired: no customer is recognised");
            health.customers = 0;
        }
        health.trouble.clone_from(&self.reported);
        (registry, health)
    }

    /// Checks for new registries until `stop`; an announcement of head office triggers a check at
    /// once.
    pub async fn run(
        mut self,
        news: mpsc::Sender<RegistryUpdate>,
        mut hints: mpsc::Receiver<Hint>,
        stop: CancellationToken,
    ) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        let mut fetch = tokio::time::interval(self.check_every.max(LOOK_EVERY));
        let mut remind = tokio::time::interval(REMIND_EVERY);
        loop {
            let due = tokio::select! {
                () = stop.cancelled() => return,
                _ = look.tick() => Due::Look,
                _ = fetch.tick() => Due::Fetch,
                _ = remind.tick() => Due::Remind,
                Some(hint) = hints.recv() => Due::Hint(hint),
            };
            let found = tokio::select! {
                () = stop.cancelled() => return,
                found = self.attend(due) => found,
            };
            if let Some(found) = self.unreported(found)
                && news.send(found).await.is_err()
            {
                return;
            }
        }
    }

    async fn attend(&mut self, due: Due) -> Option<(Registry, RegistryHealth)> {
        match due {
            Due::Look => self.look().await,
            Due::Fetch => self.fetch().await,
            Due::Hint(Hint::Announced) => {
                tokio::time::sleep(some_delay()).await;
                self.fetch().await
            }
            Due::Hint(Hint::Withdrawn(client)) => {
                self.rules.withdrawn.insert(client);
                None
            }
            Due::Remind => {
                if let Some(expired) = self.expired_at() {
                    tracing::error!(%expired, "the registry has expired: no customer is recognised");
                }
                None
            }
        }
    }

    /// The update that was not reported yet.
    fn unreported(&mut self, found: Option<(Registry, RegistryHealth)>) -> Option<RegistryUpdate> {
        let trouble = self.trouble();
        let before = std::mem::replace(&mut self.reported, trouble.clone());
        if let Some((registry, health)) = found {
            return Some(RegistryUpdate::InForce(
                Box::new(registry),
                RegistryHealth { trouble, ..health },
            ));
        }
        if trouble == before {
            return None;
        }
        if let Some(expired) = self.expired_at() {
            tracing::error!(%expired, "the registry has expired: no customer is recognised");
        }
        Some(RegistryUpdate::Trouble(trouble))
    }

    /// Takes the file in if it is another one than last time.
    async fn look(&mut self) -> Option<(Registry, RegistryHealth)> {
        let clock = self.clocks.now().clock;
        let before = std::mem::replace(&mut self.loaded_by, clock);
        if before.known().is_none() && clock.known().is_some() {
            // Days and consents were judged by a clock that did not count.
            if let Some(kept) = self.reload_kept().await {
                return Some(kept);
            }
            self.seen = None;
        }
        if self.in_force.is_some() && !self.rules.keys.is_empty() && !self.rules.keeps_accepted() {
            tracing::warn!("the kept registry was removed: the next valid one counts");
            (self.in_force, self.seen, self.etag) = (None, None, None);
        }
        let path = self.path.clone()?;
        let stamp = stamp(&path);
        // A file that vanished is on its way to be replaced.
        if self.seen == Some(stamp) || stamp[0].is_none() {
            return None;
        }
        self.seen = Some(stamp);
        let in_force = made_at(self.in_force.as_ref());
        let (rules, clock) = (self.rules.clone(), self.clocks.now().clock);
        let taken = apart(move || rules.take_in(&path, in_force, clock)).await?;
        self.settle(taken)
    }

    /// The bundle in force once more, by the clock as it is now.
    async fn reload_kept(&mut self) -> Option<(Registry, RegistryHealth)> {
        let (rules, clock) = (self.rules.clone(), self.clocks.now().clock);
        let restored = apart(move || rules.restore(clock)).await?;
        self.settle(restored?)
    }

    async fn fetch(&mut self) -> Option<(Registry, RegistryHealth)> {
        let remote = self.remote.as_mut()?;
        let place = PathBuf::from(remote.place());
        let fetching = remote.fetch(self.etag.as_deref(), &self.rules);
        match tokio::time::timeout(FETCH_WITHIN, fetching).await {
            Ok(Ok(fetched)) => {
                self.unreachable = None;
                let Fetched::New { signature, etag } = fetched else { return None };
                self.etag.clone_from(&etag);
                let in_force = made_at(self.in_force.as_ref());
                let (rules, clock) = (self.rules.clone(), self.clocks.now().clock);
                let taken = apart(move || {
                    let taken = rules.take_in_incoming(&signature, &place, in_force, clock)?;
                    rules.keep_etag(etag.as_deref());
                    Ok(taken)
                });
                let taken = taken.await?;
                self.settle(taken)
            }
            Ok(Err(error)) => self.cannot_fetch(&error.to_string()),
            Err(_) => {
                self.cannot_fetch("the download took too long; it continues with the next attempt")
            }
        }
    }

    fn cannot_fetch(&mut self, error: &str) -> Option<(Registry, RegistryHealth)> {
        tracing::warn!(error, "no registry could be fetched; the one in force stays");
        self.unreachable = Some(format!("no registry could be fetched: {error}"));
        None
    }

    fn settle(&mut self, taken: Result<Loaded, Refused>) -> Option<(Registry, RegistryHealth)> {
        match taken {
            Ok(loaded) => Some(self.takes_effect(loaded)),
            Err(refused) => {
                self.is_refused(&refused);
                None
            }
        }
    }

    fn takes_effect(&mut self, loaded: Loaded) -> (Registry, RegistryHealth) {
        let Loaded { registry, report, header } = loaded;
        for refusal in &report.refusals {
            tracing::warn!(line = refusal.line, because = %refusal.reason, "a registry line is refused");
        }
        for warning in report.warnings() {
            tracing::warn!(%warning, "the registry is accepted with a warning");
        }
        self.in_force = header;
        self.refused = None;
        (registry, health(&report, header.as_ref()))
    }

    fn is_refused(&mut self, refused: &Refused) {
        tracing::error!(because = %refused, "a registry is refused; nothing changes");
        self.refused = Some(refused.to_string());
    }

    /// What is wrong, the worst first.
    fn trouble(&self) -> Option<String> {
        let expired = self.expired_at();
        let expired =
            expired.map(|at| format!("the registry expired at {at}: no customer is recognised"));
        let ahead = self.in_force.map(|header| header.made_at);
        let ahead = ahead.filter(|at| self.rules.latest().is_some_and(|latest| *at > latest));
        let ahead = ahead.map(|at| {
            format!(
                "the registry in force was made at {at}, in the future: any valid one replaces it"
            )
        });
        let wrong = [expired, ahead, self.refused.clone(), self.unreachable.clone()];
        let wrong: Vec<_> = wrong.into_iter().flatten().collect();
        (!wrong.is_empty()).then(|| wrong.join("; "))
    }

    fn expired_at(&self) -> Option<WallTime> {
        let now = self.clocks.now().clock.reading();
        self.in_force.map(|header| header.expires_at).filter(|end| *end <= now)
    }
}

/// How a registry that was just loaded is.
pub fn health(report: &Report, header: Option<&Header>) -> RegistryHealth {
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    RegistryHealth {
        customers: count(report.loaded),
        refused_lines: count(report.refused),
        made_at: header.map(|header| header.made_at.to_string()),
        expires_at: header.map(|header| header.expires_at.to_string()),
        trouble: None,
    }
}

fn stamp(path: &Path) -> Stamp {
    let of = |path: &Path| {
        let found = fs::metadata(path).ok()?;
        Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
    };
    [of(path), of(&signature_of(path))]
}

/// Work that takes seconds, on a thread of its own; `None` if there is none to be had.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, result) = oneshot::channel();
    let thread = tasks::thread("registry", move || {
        // The receiver may have been dropped.
        let _ = done.send(work());
    });
    match thread {
        Ok(_) => result.await.ok(),
        Err(error) => {
            tracing::error!(%error, "no thread to load a registry on");
            None
        }
    }
}

fn some_delay() -> Duration {
    let mut random = [0; 2];
    // Without randomness all come at once, which the server survives.
    let _ = getrandom::fill(&mut random);
    Duration::from_millis(u64::from(u16::from_be_bytes(random) % SPREAD_MS))
}
