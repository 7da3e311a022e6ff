//! Helpers of the integration tests: free ports, waiting, processes, brokers, daemons.
#![allow(dead_code, reason = "each integration test links its own copy and uses a part")]

pub mod certificates;
pub mod daemon;
pub mod mosquitto;
pub mod page;
pub mod postgres;
pub mod process;
pub mod waiting;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// A file or folder of the data that are not in the repository: in `$GRELOT_SHARED/data`, or in
/// `shared/data` beside the checkout (or beside the folder that work trees are in). The test fails if
/// it is missing.
pub fn shared_data(path: &str) -> PathBuf {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::env::var_os("GRELOT_SHARED")
        .map(PathBuf::from)
        .into_iter()
        .chain(checkout.ancestors().skip(1).take(2).map(|folder| folder.join("shared")))
        .map(|shared| shared.join("data").join(path))
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("no {path} in $GRELOT_SHARED/data or ../shared/data"))
}
