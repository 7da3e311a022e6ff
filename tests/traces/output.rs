//! What every import writes: recordings, the one customer's registry, configurations.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use grelot::pipeline::advert::ibeacon::IBeacon;
use grelot::pipeline::event::{Address, AddressKind};
use grelot::pipeline::units::{Dbm, WallTime};
use grelot::sources::recording::{Header, Writer};
use grelot::sources::{Advertisement, GroundTruth, Record, RecordKind};

/// Who carries the transmitter.
const CLIENT: &str = "c-carrier";

/// The transmitter's identity, made up.
const CARD: IBeacon = IBeacon {
    uuid: 0x7c0a_44b7_6f2e_4d0f_8f0b_3a5d_9be1_60d2_u128.to_be_bytes(),
    major: 1,
    minor: 1,
    tx_power: -59,
};

const STORE: u16 = 42;

/// The traces have no date that matters: all begin here, 2026-01-05T09:00:00Z.
const STARTED_AT: WallTime = WallTime::from_unix_secs(1_767_603_600);

/// Recordings of one kind and how to replay them.
pub struct Set {
    pub config: PathBuf,
    /// The folder of the recordings that the configuration is to be judged on.
    pub folder: PathBuf,
}

/// A set's recordings: those its configuration was calibrated on apart from the others.
pub struct Folders {
    /// Levels were taken from these.
    calibrating: PathBuf,
    /// Nothing was taken from these.
    pub judging: PathBuf,
}

impl Folders {
    pub fn create(out: &Path, set: &str) -> anyhow::Result<Self> {
        let folders = Self {
            calibrating: out.join(set).join("calibrating"),
            judging: out.join(set).join("judging"),
        };
        fs::create_dir_all(&folders.calibrating)?;
        fs::create_dir_all(&folders.judging)?;
        Ok(folders)
    }

    /// Where a recording belongs.
    pub fn recording(&self, name: &str, calibrating: bool) -> PathBuf {
        let folder = if calibrating { &self.calibrating } else { &self.judging };
        folder.join(format!("{name}.jsonl.zst"))
    }
}

/// One moment of a trace.
#[derive(Clone)]
pub enum Moment {
    /// A receiver measures this RSSI in dBm.
    Measured(Arc<str>, i16),
    /// What is true from here on.
    True(GroundTruth),
}

/// Writes the moments of one trace, with their times in seconds, in order.
pub fn write_recording(
    path: &Path,
    gateways: &[Arc<str>],
    moments: impl IntoIterator<Item = (f64, Moment)>,
) -> anyhow::Result<()> {
    let header = Header { started_at: STARTED_AT, store: Some(STORE), gateways: gateways.to_vec() };
    let mut writer = Writer::create(path, &header)?;
    for (t, moment) in moments {
        let what = match moment {
            Moment::True(word) => RecordKind::GroundTruth { word, client: CLIENT.to_owned() },
            Moment::Measured(gateway, dbm) => RecordKind::Received(Advertisement {
                gateway: Some(gateway),
                address: Address { kind: AddressKind::Random, octets: [0xc0, 0, 0, 0, 0, 1] },
                rssi: Dbm::measured(dbm),
                payload: CARD.advertisement().to_vec(),
            }),
        };
        let at = Duration::try_from_secs_f64(t).context("a time that is none")?;
        writer.write(&Record { at, what })?;
    }
    Ok(writer.finish()?)
}

/// Writes the registry with the one customer.
pub fn write_registry(folder: &Path) -> anyhow::Result<()> {
    let IBeacon { uuid, major, minor, .. } = CARD;
    let uuid = uuid::Uuid::from_bytes(uuid).to_string();
    let line = serde_json::json!({
        "client": CLIENT, "tier": "gold", "scheme": "beacon",
        "ibeacon": { "uuid": uuid, "major": major, "minor": minor },
        "consent": { "given_at": "2026-01-01T00:00:00Z", "text": "traces",
                     "expires_at": "2036-01-01T00:00:00Z", "show_name": false },
        "quiet": null,
    });
    fs::write(folder.join("customers.jsonl"), format!("{line}\n"))?;
    Ok(())
}

/// A gateway as a configuration describes it.
pub struct Post {
    pub name: Arc<str>,
    /// `door`, `inside` or `outside`.
    pub place: &'static str,
    /// What it measured of the customer inside and outside on the calibrating traces, in dBm.
    pub levels: Option<(f64, f64)>,
}

/// Writes a configuration for `posts`; `note` says what it was calibrated on, `presence` holds
/// further keys.
pub fn write_config(
    path: &Path,
    note: &str,
    posts: &[Post],
    presence: &[(&str, f64)],
) -> anyhow::Result<()> {
    let Some(own) = posts.first() else { anyhow::bail!("no gateway") };
    let table = |value: &dyn Fn(&Post) -> Option<String>| {
        let entries = posts.iter().filter_map(|post| Some((&post.name, value(post)?)));
        let entries: Vec<_> = entries.map(|(name, value)| format!("{name} = {value}")).collect();
        format!("{{ {} }}", entries.join(", "))
    };
    let places = table(&|post| Some(format!("\"{}\"", post.place)));
    let inside = table(&|post| post.levels.map(|(inside, _)| format!("{inside:.1}")));
    let outside = table(&|post| post.levels.map(|(_, outside)| format!("{outside:.1}")));
    let mut text = format!(
        "# {note}\n[store]\nid = {STORE}\ngateways = {places}\n\n[gateway]\nname = \"{}\"\n\n\
        [registry]\npath = \"customers.jsonl\"\n\n[presence]\n",
        own.name
    );
    for (key, value) in presence {
        writeln!(text, "{key} = {value}")?;
    }
    if posts.iter().any(|post| post.levels.is_some()) {
        writeln!(text, "gateway_inside_dbm = {inside}\ngateway_outside_dbm = {outside}")?;
    }
    fs::write(path, text)?;
    Ok(())
}

/// Mean levels inside and outside, by gateway.
#[derive(Default)]
pub struct Levels(BTreeMap<Arc<str>, [(f64, u32); 2]>);

impl Levels {
    /// Takes in one measurement.
    pub fn measure(&mut self, gateway: &Arc<str>, inside: bool, dbm: i16) {
        let [of_inside, of_outside] = self.0.entry(Arc::clone(gateway)).or_default();
        let (sum, count) = if inside { of_inside } else { of_outside };
        *sum += f64::from(dbm);
        *count += 1;
    }

    /// Means inside and outside; `None` where one was never measured.
    pub fn of(&self, gateway: &str) -> Option<(f64, f64)> {
        let [inside, outside] = self.0.get(gateway)?;
        let mean = |(sum, count): &(f64, u32)| (*count > 0).then(|| sum / f64::from(*count));
        Some((mean(inside)?, mean(outside)?))
    }
}
