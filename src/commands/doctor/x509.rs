//! A certificate's validity: the one field of X.509 that is needed here (RFC 5280, section 4.1),
//! read from DER without trusting it.

use crate::pipeline::units::WallTime;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) from: WallTime,
    pub(super) until: WallTime,
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// The version, where it is not the first one.
const VERSION: u8 = 0xa0;

/// Reads `Certificate.tbsCertificate.validity`.
pub(super) fn validity(der: &[u8]) -> Option<Validity> {
    let mut certificate = Der(der).sequence()?;
    let mut signed = certificate.sequence()?;
    if signed.0.first() == Some(&VERSION) {
        signed.next()?;
    }
    signed.next().filter(|(tag, _)| *tag == INTEGER)?;
    signed.sequence()?; // signature algorithm
    signed.sequence()?; // issuer
    let mut validity = signed.sequence()?;
    Some(Validity { from: validity.time()?, until: validity.time()? })
}

/// What is left of some DER.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next element: its tag and its content.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (tag, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(*first), rest),
            0x81..=0x83 => {
                let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (length.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, content))
    }

    fn sequence(&mut self) -> Option<Self> {
        self.next().filter(|(tag, _)| *tag == SEQUENCE).map(|(_, content)| Self(content))
    }

    /// `YYMMDDHHMMSSZ` up to 2049, `YYYYMMDDHHMMSSZ` after.
    fn time(&mut self) -> Option<WallTime> {
        let (tag, content) = self.next()?;
        let digits = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
        let full = match tag {
            UTC_TIME => {
                let century = if digits.get(..2)? < "50" { "20" } else { "19" };
                format!("{century}{digits}")
            }
            GENERALIZED_TIME => digits.to_owned(),
            _ => return None,
        };
        let civil = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", full).ok()?;
        let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(WallTime::from_unix_millis(zoned.timestamp().as_millisecond()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The head of a certificate as `openssl req -x509` writes it: version 3, serial 1,
    /// algorithm, issuer `CN=x`, validity.
    const HEAD: &str = "3054304ea003020102020101300a06082a8648ce3d040302300c310a3008060355040\
                        30c0178301e170d3236303130313030303030305a170d3335313233313233353935395a";

    #[test]
    fn dates_are_read_from_the_certificate() {
        let mut der = hex::decode(HEAD).unwrap();
        der.resize(0x54 + 2, 0);
        assert_eq!(
            validity(&der),
            Some(Validity {
                from: WallTime::parse("2026-01-01T00:00:00Z").unwrap(),
                until: WallTime::parse("2035-12-31T23:59:59Z").unwrap(),
            })
        );
    }

    #[test]
    fn what_is_cut_or_bent_is_no_certificate() {
        let mut der = hex::decode(HEAD).unwrap();
        der.resize(0x54 + 2, 0);
        for length in 0..der.len() {
            assert_eq!(validity(&der[..length]), None);
        }
        for position in 0..60 {
            for bit in 0..8 {
                let mut bent = der.clone();
                bent[position] ^= 1 << bit;
                let _ = validity(&bent);
            }
        }
    }
}
