//! Grelot's own recordings: one JSON object a line, a header first.
//!
//! Invariant: one line is held at a time, so memory does not grow with the file; a line that cannot
//! be read is an error of that line alone. Errors name lines and columns, never their content,
//! which may be a stranger's.

mod header;
mod line;
mod writer;

pub use header::Header;
pub use writer::{Output, Writer};

use std::io::BufRead;
use std::sync::Arc;
use std::time::Duration;

use super::{
    Advertisement, MAX_LENGTH, MAX_SILENCE, Record, RecordKind, ReplayError, ReplaySource,
};
use crate::lines::Lines;
use crate::pipeline::units::WallTime;
use header::MOST_GATEWAYS;
use line::{Line, LineContent};

/// The longest advertisement takes 3,300 hexadecimal digits.
const LONGEST_LINE: usize = 64 * 1024;

/// A recording as a replay source.
pub struct Recording {
    lines: Lines<Box<dyn BufRead + Send>>,
    header: Header,
    /// All gateway names so far, so that each is allocated once.
    gateways: Vec<Arc<str>>,
    last: Duration,
    /// The file could not be read further.
    over: bool,
}

impl std::fmt::Debug for Recording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recording({:?})", self.header)
    }
}

impl Recording {
    /// Reads the header.
    ///
    /// # Errors
    /// The first line is no header of this version, or the input cannot be read.
    pub fn open(input: impl BufRead + Send + 'static) -> Result<Self, ReplayError> {
        let mut lines = Lines::new(Box::new(input) as Box<dyn BufRead + Send>, LONGEST_LINE);
        let header = loop {
            match lines.next()? {
                Some(Ok(line)) if line.trim_ascii().is_empty() => {}
                Some(Ok(line)) => break line::header(line),
                Some(Err(problem)) => break Err(problem.to_string()),
                None => break Err("the file is empty".into()),
            }
        };
        let header = header.map_err(|problem| {
            ReplayError::NotARecording(format!("line {}: {problem}", lines.number().max(1)))
        })?;
        let gateways = header.gateways.clone();
        Ok(Self { lines, header, gateways, last: Duration::ZERO, over: false })
    }

    /// The next line as a record; `None` inside for lines without an advertisement or ground truth.
    fn read_line(&mut self) -> Option<Result<Option<Record>, ReplayError>> {
        if self.over {
            return None;
        }
        let read = match self.lines.next() {
            Ok(line) => line?,
            Err(error) => {
                self.over = true;
                return Some(Err(error.into()));
            }
        };
        let (gateways, last) = (&mut self.gateways, self.last);
        let record = match read {
            Ok(line) if line.trim_ascii().is_empty() => Ok(None),
            Ok(line) => Line::parse(line).and_then(|line| record(&line, last, gateways)),
            Err(problem) => Err(problem.to_string()),
        };
        let line = self.lines.number();
        Some(record.map_err(|problem| ReplayError::Line { line, problem }))
    }
}

impl Iterator for Recording {
    type Item = Result<Record, ReplayError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.read_line()? {
                Ok(None) => {}
                Ok(Some(record)) => {
                    self.last = record.at;
                    return Some(Ok(record));
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl ReplaySource for Recording {
    fn started_at(&self) -> WallTime {
        self.header.started_at
    }

    fn store(&self) -> Option<u16> {
        self.header.store
    }

    fn gateways(&self) -> &[Arc<str>] {
        &self.header.gateways
    }
}

fn record(
    line: &Line<'_>,
    last: Duration,
    gateways: &mut Vec<Arc<str>>,
) -> Result<Option<Record>, String> {
    let Some(content) = line.content()? else { return Ok(None) };
    let at = line.at()?;
    if at < last {
        let (t, last) = (at.as_secs_f64(), last.as_secs_f64());
        return Err(format!("t goes back from {last} to {t}"));
    }
    let silence = at.saturating_sub(last);
    if silence > MAX_SILENCE {
        let days = silence.as_secs() / 86_400;
        return Err(format!("t is {days} days after the line before"));
    }
    if at > MAX_LENGTH {
        return Err(format!("t is more than {} days", MAX_LENGTH.as_secs() / 86_400));
    }
    let what = match content {
        LineContent::GroundTruth(word, client) => RecordKind::GroundTruth { word, client },
        LineContent::Advertisement { gateway, address, rssi, payload } => {
            let gateway = gateway.map(|name| named(name, gateways)).transpose()?;
            RecordKind::Received(Advertisement { gateway, address, rssi, payload })
        }
    };
    Ok(Some(Record { at, what }))
}

fn named(name: &str, gateways: &mut Vec<Arc<str>>) -> Result<Arc<str>, String> {
    if let Some(known) = gateways.iter().find(|known| &***known == name) {
        return Ok(Arc::clone(known));
    }
    if gateways.len() == MOST_GATEWAYS {
        return Err(format!("more than {MOST_GATEWAYS} gateways"));
    }
    let new: Arc<str> = name.into();
    gateways.push(Arc::clone(&new));
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::units::Dbm;
    use crate::sources::GroundTruth;
    use std::io::Cursor;

    const HEADER: &str = r#"{"grelot":"recording","version":1,"started_at":"2026-01-05T09:00:00Z","store":42,"gateways":["door","till"]}"#;
    const HEARD: &str = r#"{"t":0.125,"gw":"door","addr":"5a:11:22:33:44:55","kind":"random","rssi":-71,"adv":"1e21f90f48f03c28dc866d41b62c99a0ea47011ae3d4576d362c08e9eb802c"}"#;

    fn read(lines: &[&str]) -> (Recording, Vec<Result<Record, ReplayError>>) {
        let mut recording = Recording::open(Cursor::new(lines.join("\n"))).unwrap();
        let records = recording.by_ref().collect();
        (recording, records)
    }

    fn problem(line: &str) -> String {
        let (_, mut records) = read(&[HEADER, HEARD, line]);
        records.remove(1).unwrap_err().to_string()
    }

    #[test]
    fn the_documented_recording_is_read() {
        let enter = r#"{"t":12.300,"truth":"enter","client":"c-7f3a"}"#;
        let (recording, records) = read(&[HEADER, HEARD, enter]);
        assert_eq!(recording.started_at().to_string(), "2026-01-05T09:00:00Z");
        assert_eq!(recording.store(), Some(42));
        assert_eq!(recording.gateways(), [Arc::from("door"), Arc::from("till")]);
        let [Ok(heard), Ok(truth)] = records.as_slice() else { panic!("{records:?}") };
        let RecordKind::Received(advert) = &heard.what else { panic!("{heard:?}") };
        assert_eq!(heard.at, Duration::from_millis(125));
        assert_eq!(advert.gateway.as_deref(), Some("door"));
        assert_eq!(advert.address.octets, [0x5a, 0x11, 0x22, 0x33, 0x44, 0x55]);
        assert_eq!(advert.rssi.map(Dbm::value), Some(-71));
        assert_eq!((advert.payload.len(), advert.payload[0]), (31, 0x1e));
        assert_eq!(truth.at, Duration::from_millis(12_300));
        assert_eq!(
            truth.what,
            RecordKind::GroundTruth { word: GroundTruth::Enter, client: "c-7f3a".into() }
        );
    }

    #[test]
    fn what_is_absent_unknown_or_not_ours_is_no_error() {
        let (_, records) = read(&[
            HEADER,
            r#"{"t":1,"addr":"5A:11:22:33:44:55","adv":"","battery":3}"#,
            r#"{"t":2,"addr":"5a:11:22:33:44:55","kind":"public","rssi":127,"adv":"0201060"}"#,
            r#"{"t":2,"addr":"5a:11:22:33:44:55","kind":"public","rssi":127,"adv":"020106"}"#,
            "",
            r#"{"t":3,"truth":"yawn","client":"c-7f3a"}"#,
            r#"{"note":"the door was open"}"#,
        ]);
        let [Ok(bare), Err(odd), Ok(without_rssi)] = records.as_slice() else {
            panic!("{records:?}")
        };
        assert_eq!(odd.to_string(), "line 3: adv is not hexadecimal");
        for record in [bare, without_rssi] {
            let RecordKind::Received(heard) = &record.what else { panic!("{record:?}") };
            assert_eq!((heard.rssi, &heard.gateway), (None, &None));
        }
    }

    #[test]
    fn a_bad_line_is_named_and_the_next_is_read() {
        let (_, records) =
            read(&[HEADER, HEARD, r#"{"t":0.1,"truth":"enter","client":"c"}"#, HEARD]);
        assert_eq!(records.len(), 3);
        let error = records[1].as_ref().unwrap_err().to_string();
        assert_eq!(error, "line 3: t goes back from 0.125 to 0.1");
        assert!(records[2].is_ok());
    }

    #[test]
    fn a_line_of_three_centuries_later_is_left_out_and_the_next_is_read() {
        let (_, records) = read(&[
            HEADER,
            HEARD,
            r#"{"t":1e10,"truth":"enter","client":"c"}"#,
            r#"{"t":604800,"truth":"leave","client":"c"}"#,
        ]);
        let [Ok(_), Err(wrong), Ok(_)] = records.as_slice() else { panic!("{records:?}") };
        assert_eq!(wrong.to_string(), "line 3: t is 115740 days after the line before");
    }

    #[test]
    fn problems_name_the_place_and_never_the_content() {
        let heard = |t: &str, addr: &str| format!(r#"{{"t":{t},"addr":{addr},"adv":"02"}}"#);
        let addr = r#""5a:11:22:33:44:55""#;
        assert_eq!(problem("{oops"), "line 3: not JSON from column 2 on");
        assert_eq!(problem("[1]"), "line 3: not an object");
        assert_eq!(problem(&heard("\"x\"", addr)), "line 3: of the wrong kind up to column 8");
        assert_eq!(problem(&heard("-1", addr)), "line 3: t is not a time");
        assert_eq!(problem(&heard("1e300", addr)), "line 3: t is not a time");
        assert_eq!(problem(r#"{"addr":"","adv":""}"#), "line 3: addr is not an address");
        assert_eq!(problem(&heard("1", "\"5a:11:22:33:44\"")), "line 3: addr is not an address");
        assert_eq!(problem(r#"{"t":1,"adv":""}"#), "line 3: no addr");
        assert_eq!(problem(r#"{"t":1,"truth":"enter"}"#), "line 3: no client");
        let long = format!(r#"{{"t":1,"note":"{}"}}"#, "x".repeat(LONGEST_LINE));
        assert_eq!(problem(&long), "line 3: longer than 65536 octets");
    }

    #[test]
    fn a_compressed_recording_cut_short_ends_in_one_error() {
        let lines: Vec<_> = (0..9999).map(|x| format!(r#"{{"t":{x},"x":{}}}"#, x * x)).collect();
        let text = format!("{HEADER}\n{HEARD}\n{}", lines.join("\n"));
        let whole = zstd::encode_all(text.as_bytes(), 3).unwrap();
        let replay = crate::sources::open_bytes(whole[..whole.len() - 4].to_vec()).unwrap();
        let read: Vec<_> = replay.take(9).collect();
        assert!(matches!(read.as_slice(), [Ok(_), Err(ReplayError::Io(_))]), "{read:?}");
    }

    #[test]
    fn what_is_no_recording_is_refused_with_the_reason() {
        let refused = |text: &'static str| {
            Recording::open(Cursor::new(text)).map(|_| ()).unwrap_err().to_string()
        };
        assert_eq!(refused(""), "line 1: the file is empty");
        assert_eq!(refused(HEARD), "line 1: no header: {\"grelot\":\"recording\",...}");
        let newer = r#"{"grelot":"recording","version":2,"started_at":"2026-01-05T09:00:00Z"}"#;
        assert_eq!(refused(newer), "line 1: recording version 2, this grelot reads 1");
        let undated = r#"{"grelot":"recording","version":1,"started_at":"yesterday"}"#;
        assert_eq!(refused(undated), "line 1: started_at is not a time (RFC 3339)");
    }
}
