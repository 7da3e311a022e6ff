//! The names of adapters.

use std::fmt;
use std::str::FromStr;

/// The kernel's number of an adapter: `hci0` is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hci(pub u16);

impl Hci {
    /// `None` where it is not `hci` and a number.
    pub fn named(name: &str) -> Option<Self> {
        name.strip_prefix("hci")?.parse().ok().map(Self)
    }
}

impl fmt::Display for Hci {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hci{}", self.0)
    }
}

/// The adapter that `source.adapter` or `--adapter` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// By the kernel's name, which depends on the order of plugging in.
    Name(Hci),
    /// By its own address, in capitals, as `BlueZ` writes it.
    Address(String),
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let octet = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
        if let Some(hci) = Hci::named(text) {
            Ok(Self::Name(hci))
        } else if text.split(':').count() == 6 && text.split(':').all(octet) {
            Ok(Self::Address(text.to_ascii_uppercase()))
        } else {
            Err("an adapter is called hci0, hci1, … or by its address, such as 00:1A:7D:DA:71:13"
                .to_owned())
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(hci) => hci.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}
