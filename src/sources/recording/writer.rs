//! Writes recordings, plain or compressed.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::Serialize;

use super::header::{Header, VERSION};
use crate::pipeline::event::{Address, AddressKind};
use crate::pipeline::units::Dbm;
use crate::sources::{Advertisement, Record, RecordKind};

/// Writes one recording; [`Writer::finish`] completes it.
pub struct Writer<W: Write> {
    output: W,
}

impl<W: Write> std::fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Writer")
    }
}

impl Writer<Output> {
    /// Creates a recording at `path`, compressed where its name ends in `.zst`.
    ///
    /// # Errors
    /// The file cannot be created or written.
    pub fn create(path: &Path, header: &Header) -> io::Result<Self> {
        let file = File::create(path)?;
        let output = if path.extension().is_some_and(|extension| extension == "zst") {
            Output::Compressed(zstd::Encoder::new(file, zstd::DEFAULT_COMPRESSION_LEVEL)?)
        } else {
            Output::Plain(BufWriter::new(file))
        };
        Self::new(output, header)
    }

    /// Passes what was written to the system. Does nothing for a compressed recording, because each
    /// flush makes the compression worse.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        match &mut self.output {
            Output::Plain(file) => file.flush(),
            Output::Compressed(_) => Ok(()),
        }
    }

    /// Writes the rest and closes the file.
    ///
    /// # Errors
    /// The rest cannot be written.
    pub fn finish(self) -> io::Result<()> {
        match self.output {
            Output::Plain(mut file) => file.flush(),
            Output::Compressed(encoder) => encoder.finish().map(drop),
        }
    }
}

impl<W: Write> Writer<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// The header cannot be written.
    pub fn new(output: W, header: &Header) -> io::Result<Self> {
        let mut writer = Self { output };
        writer.line(&HeaderLine {
            grelot: "recording",
            version: VERSION,
            started_at: header.started_at.to_string(),
            store: header.store,
            gateways: &header.gateways,
        })?;
        Ok(writer)
    }

    /// Writes one record; the caller keeps them in the order of time.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn write(&mut self, record: &Record) -> io::Result<()> {
        let t = record.at.as_secs_f64();
        match &record.what {
            RecordKind::Received(heard) => self.line(&AdvertisementLine::new(t, heard)),
            RecordKind::GroundTruth { word, client } => {
                self.line(&TruthLine { t, truth: word.word(), client })
            }
        }
    }

    /// The output that was written to.
    pub fn into_inner(self) -> W {
        self.output
    }

    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.output, line)?;
        self.output.write_all(b"\n")
    }
}

/// A file, compressed or not.
#[expect(missing_debug_implementations, reason = "the encoder has none")]
pub enum Output {
    Plain(BufWriter<File>),
    /// With zstd.
    Compressed(zstd::Encoder<'static, File>),
}

impl Write for Output {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(octets),
            Self::Compressed(encoder) => encoder.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            Self::Compressed(encoder) => encoder.flush(),
        }
    }
}

#[derive(Serialize)]
struct HeaderLine<'a> {
    grelot: &'static str,
    version: u64,
    started_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<u16>,
    #[serde(serialize_with = "names")]
    gateways: &'a [std::sync::Arc<str>],
}

fn names<S: serde::Serializer>(names: &&[std::sync::Arc<str>], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(names.iter().map(|name| &**name))
}

#[derive(Serialize)]
struct AdvertisementLine<'a> {
    t: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    gw: Option<&'a str>,
    addr: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rssi: Option<i8>,
    adv: String,
}

impl<'a> AdvertisementLine<'a> {
    fn new(t: f64, heard: &'a Advertisement) -> Self {
        Self {
            t,
            gw: heard.gateway.as_deref(),
            addr: written(heard.address),
            kind: match heard.address.kind {
                AddressKind::Public => "public",
                AddressKind::Random => "random",
            },
            rssi: heard.rssi.map(Dbm::value),
            adv: hex::encode(&heard.payload),
        }
    }
}

fn written(address: Address) -> String {
    address.octets.map(|octet| hex::encode([octet])).join(":")
}

#[derive(Serialize)]
struct TruthLine<'a> {
    t: f64,
    truth: &'static str,
    client: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::units::WallTime;
    use crate::sources::{self, GroundTruth};
    use std::time::Duration;

    fn records() -> Vec<Record> {
        let address = Address { kind: AddressKind::Public, octets: [1, 2, 3, 4, 5, 0xff] };
        let heard = Advertisement {
            gateway: Some("door".into()),
            address,
            rssi: Dbm::measured(-71),
            payload: vec![2, 1, 6],
        };
        let bare = Advertisement { gateway: None, address, rssi: None, payload: Vec::new() };
        let truth =
            RecordKind::GroundTruth { word: GroundTruth::StepOut, client: "c-\"7\"".into() };
        [RecordKind::Received(heard), truth, RecordKind::Received(bare)]
            .into_iter()
            .zip([0, 12_345_678, 86_400_000_001])
            .map(|(what, micros)| Record { at: Duration::from_micros(micros), what })
            .collect()
    }

    #[test]
    fn what_is_written_is_read_again_plain_and_compressed() {
        let folder = tempfile::tempdir().unwrap();
        let header = Header {
            started_at: WallTime::from_unix_millis(1_767_603_614_250),
            store: Some(42),
            gateways: vec!["door".into()],
        };
        for name in ["plain.jsonl", "compressed.jsonl.zst"] {
            let path = folder.path().join(name);
            let mut writer = Writer::create(&path, &header).unwrap();
            for record in &records() {
                writer.write(record).unwrap();
            }
            writer.finish().unwrap();
            let replay = sources::open(&path).unwrap();
            assert_eq!(replay.started_at(), header.started_at);
            assert_eq!((replay.store(), replay.gateways()), (Some(42), &header.gateways[..]));
            let read: Vec<_> = replay.map(Result::unwrap).collect();
            assert_eq!(read, records(), "{name}");
        }
    }
}
