//! The roles of the embedded broker's logins.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a login of the embedded broker is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Another gateway of the store; the login's name is the gateway's.
    Gateway,
    /// A client that staff see and tap on.
    Tablet,
    /// Pushes configuration, withdraws consent, announces registries.
    HeadOffice,
    /// Reads everything of the store and writes nothing.
    Reader,
}

impl Role {
    /// All of them, as the command line lists them.
    pub const ALL: [Self; 4] = [Self::Gateway, Self::Tablet, Self::HeadOffice, Self::Reader];

    /// On the command line and in the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Tablet => "tablet",
            Self::HeadOffice => "head-office",
            Self::Reader => "reader",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|role| role.word() == word);
        found.ok_or_else(|| format!("the roles are {}", Self::ALL.map(Self::word).join(", ")))
    }
}
