//! The two ways in which an adapter's advertisements reach this process.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CapturePath {
    Dbus,
    /// The kernel's HCI monitor channel.
    Monitor,
}

impl CapturePath {
    /// The word for it in status, health and on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Dbus => "dbus",
            Self::Monitor => "monitor",
        }
    }
}
