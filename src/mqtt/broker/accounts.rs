//! The logins that the embedded broker accepts.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::Secret;
use crate::mqtt::login::Login;
use crate::mqtt::logins::Logins;
use crate::mqtt::topics::Topics;

#[derive(Debug)]
pub struct Accounts {
    pub(super) topics: Topics,
    pub(super) state: PathBuf,
    /// This process's own connections; made at each start, kept nowhere.
    pub(super) internal: Login,
    /// This process's connections on behalf of staff devices, whose ids follow the username.
    pub(super) bridge: Login,
    /// IT's: from the configuration, or made at the first start.
    pub(super) shared: Login,
    pub(super) shared_was_chosen: bool,
    pub(super) logins: Logins,
}

impl Accounts {
    /// The accounts of a store: `chosen` is the configuration's username and password, `state`
    /// the folder with all others.
    ///
    /// # Errors
    /// The state folder cannot be read, or the system has no randomness.
    pub fn new(
        store: u16,
        chosen: Option<(String, Option<Secret>)>,
        state: &Path,
    ) -> io::Result<Self> {
        let shared_was_chosen = chosen.is_some();
        let shared = match chosen {
            Some((username, password)) => {
                Login { username, password: password.unwrap_or_else(|| Secret(String::new())) }
            }
            None => Login::kept_in(state)?,
        };
        let logins = Logins::new(state);
        // A damaged file is reported at the start, not when the first tablet comes.
        if let Err(error) = logins.list() {
            tracing::error!(%error, "the embedded broker's logins cannot be read");
        }
        Ok(Self {
            topics: Topics::of(store),
            state: state.to_owned(),
            internal: Login::random("grelot/internal")?,
            bridge: Login::random("grelot/tablet/")?,
            shared,
            shared_was_chosen,
            logins,
        })
    }

    /// This process's own login.
    pub const fn internal(&self) -> &Login {
        &self.internal
    }

    /// The login that IT may use for everything.
    pub const fn shared(&self) -> &Login {
        &self.shared
    }
}
