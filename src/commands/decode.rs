//! `grelot decode`: describes advertisements.

mod json;
mod text;

use std::io::{self, IsTerminal, Write};

use anyhow::Context;

use super::{Exit, Global};
use crate::lines::Lines;
use crate::pipeline::advert::describe;

/// The longest advertisement has 1,650 octets, which take five characters each as `0x02,`.
const LONGEST_LINE: usize = 64 * 1024;

/// Arguments of `grelot decode`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grelot decode 0201061aff4c000215426c7565436861726d426561636f6e730efe1355c5
  grelot decode --json 1e21f90f48f03c28dc866d41b62c99a0ea47011ae3d4576d362c08e9eb802c
  grelot decode < advertisements.txt

White space, colons, commas, hyphens and 0x between or before octets are ignored.
A line that is no hexadecimal is reported with its number; the others are still decoded.")]
pub struct Args {
    /// Advertisements: AD structures, as hexadecimal; without any, standard input, one a line
    #[arg(value_name = "HEX")]
    advertisements: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// Standard input cannot be read, or standard output cannot be written.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    let mut decoder = Decoder { out: io::stdout().lock(), json: global.json, ended: Exit::Done };
    let outcome = if args.advertisements.is_empty() {
        decode_lines(&mut decoder)
    } else {
        decode_arguments(&mut decoder, &args.advertisements)
    };
    match outcome {
        // The reader of standard output has closed it.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(decoder.ended),
        outcome => outcome.map(|()| decoder.ended).context("decoding"),
    }
}

fn decode_arguments<W: Write>(decoder: &mut Decoder<W>, arguments: &[String]) -> io::Result<()> {
    for (number, argument) in (1..).zip(arguments) {
        decoder.decode(argument.as_bytes(), &format_args!("argument {number}"))?;
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "a hint at a terminal")]
fn decode_lines<W: Write>(decoder: &mut Decoder<W>) -> io::Result<()> {
    let input = io::stdin().lock();
    if input.is_terminal() {
        eprintln!("grelot: reading advertisements as hexadecimal, one a line; Ctrl-D ends");
    }
    let mut lines = Lines::new(input, LONGEST_LINE);
    for number in 1_u64.. {
        let place = format_args!("line {number}");
        match lines.next()? {
            Some(Ok(line)) => decoder.decode(line, &place)?,
            Some(Err(problem)) => decoder.refuse(&place, &problem),
            None => break,
        }
    }
    Ok(())
}

/// Decodes one input after the other, and remembers whether one was bad.
struct Decoder<W> {
    out: W,
    json: bool,
    ended: Exit,
}

impl<W: Write> Decoder<W> {
    /// An empty input is an empty advertisement, so that there is an answer for each input.
    fn decode(&mut self, input: &[u8], place: &std::fmt::Arguments<'_>) -> io::Result<()> {
        match octets(input) {
            Ok(payload) => {
                let description = describe(&payload);
                if self.json {
                    json::write(&mut self.out, &payload, &description)
                } else {
                    text::write(&mut self.out, &payload, &description)
                }
            }
            Err(error) => {
                self.refuse(place, &error);
                Ok(())
            }
        }
    }

    #[expect(clippy::print_stderr, reason = "standard output is for the answers alone")]
    fn refuse(&mut self, place: &std::fmt::Arguments<'_>, problem: &dyn std::fmt::Display) {
        eprintln!("grelot: {place}: {problem}");
        self.ended = Exit::Failed;
    }
}

/// Why an input is no advertisement.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum NotHex {
    #[error("{0:?} is not a hexadecimal digit")]
    Digit(char),
    #[error("{0} hexadecimal digits are not whole octets")]
    Odd(usize),
}

/// The octets of hexadecimal as people paste it: `0201 06`, `02:01:06`, `0x02, 0x01, 0x06`.
fn octets(input: &[u8]) -> Result<Vec<u8>, NotHex> {
    let input = String::from_utf8_lossy(input);
    let mut digits = String::with_capacity(input.len());
    for word in input.split(|c: char| c.is_whitespace() || matches!(c, ':' | ',' | '-')) {
        let prefixed = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"));
        if let Some(odd) = prefixed.map(str::len).filter(|length| length % 2 == 1) {
            return Err(NotHex::Odd(odd));
        }
        digits.push_str(prefixed.unwrap_or(word));
    }
    match digits.chars().find(|c| !c.is_ascii_hexdigit()) {
        Some(stranger) => Err(NotHex::Digit(stranger)),
        None => hex::decode(&digits).map_err(|_| NotHex::Odd(digits.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_way_to_write_octets_is_read() {
        for pasted in
            ["020106", "02 01 06\r", "02:01:06", "0x020106", "0x02, 0X01,0x06", "02-01-06"]
        {
            assert_eq!(octets(pasted.as_bytes()), Ok(vec![2, 1, 6]), "{pasted}");
        }
        assert_eq!(octets(b""), Ok(vec![]));
    }

    #[test]
    fn the_reason_names_what_is_not_hexadecimal() {
        assert_eq!(octets(b"0201zz"), Err(NotHex::Digit('z')));
        assert_eq!(octets(b"02010"), Err(NotHex::Odd(5)));
        assert_eq!(octets(b"0x2 0x1"), Err(NotHex::Odd(1)));
        assert_eq!(octets(b"\xff"), Err(NotHex::Digit('\u{fffd}')));
    }
}
