//! The first line of a recording.

use std::sync::Arc;

use crate::pipeline::units::WallTime;

/// The version of the format.
pub const VERSION: u64 = 1;

/// A gateway's index is one octet.
pub const MOST_GATEWAYS: usize = 255;

/// A recording's first line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Wall time at its start.
    pub started_at: WallTime,
    /// The store it was recorded in, if known.
    pub store: Option<u16>,
    /// The gateways it was recorded by, if known.
    pub gateways: Vec<Arc<str>>,
}
