//! Cuts a stream of octets into H4 packets.

/// H4 packet indicators (Core, Vol 4 Part A 2), each with the length of its header, and the place
/// and size in it of the length of what follows.
const KINDS: [(u8, usize, usize, usize); 5] =
    [(0x01, 4, 3, 1), (0x02, 5, 3, 2), (0x03, 4, 3, 1), (0x04, 3, 2, 1), (0x05, 5, 3, 2)];

/// ISO data packets write their length in 14 bits; ACL packets longer than this are not sent.
const LONGEST: usize = 0x3fff;

#[derive(Debug, Default)]
pub struct Frames {
    /// The beginning of a packet whose end has not come yet.
    begun: Vec<u8>,
    /// Octets that belonged to no packet.
    skipped: u64,
}

impl Frames {
    /// Passes every whole packet to `take`, indicator first. Octets that begin no packet are
    /// skipped one by one.
    pub fn feed(&mut self, octets: &[u8], mut take: impl FnMut(&[u8])) {
        let joined = std::mem::take(&mut self.begun);
        if joined.is_empty() {
            self.cut(octets, &mut take);
        } else {
            self.cut(&[&joined, octets].concat(), &mut take);
        }
    }

    /// Octets that were skipped since the start.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    fn cut(&mut self, mut rest: &[u8], take: &mut impl FnMut(&[u8])) {
        while !rest.is_empty() {
            match length(rest) {
                Length::Known(length) => {
                    let Some((packet, after)) = rest.split_at_checked(length) else { break };
                    take(packet);
                    rest = after;
                }
                Length::Unknown => break,
                Length::NoPacket => {
                    self.skipped += 1;
                    rest = rest.get(1..).unwrap_or_default();
                }
            }
        }
        self.begun.extend_from_slice(rest);
    }
}

enum Length {
    Known(usize),
    /// The header is not there yet.
    Unknown,
    NoPacket,
}

/// The length of the packet at the beginning of `octets`, with its indicator.
fn length(octets: &[u8]) -> Length {
    let Some(indicator) = octets.first() else { return Length::Unknown };
    let kind = KINDS.iter().find(|(kind, ..)| kind == indicator);
    let Some((_, header, at, size)) = kind else { return Length::NoPacket };
    let Some(written) = octets.get(*at..at + size) else { return Length::Unknown };
    let follows = written.iter().rev().fold(0, |length, octet| length << 8 | usize::from(*octet));
    if follows > LONGEST { Length::NoPacket } else { Length::Known(header + follows) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets() -> Vec<Vec<u8>> {
        vec![
            vec![0x01, 0x0c, 0x20, 2, 1, 0],
            vec![0x04, 0x3e, 3, 0x02, 0, 0],
            vec![0x02, 0x40, 0x20, 3, 0, 1, 2, 3],
            vec![0x04, 0x0e, 0],
        ]
    }

    fn cut(chunks: &[&[u8]]) -> (Vec<Vec<u8>>, u64) {
        let mut frames = Frames::default();
        let mut taken = Vec::new();
        for chunk in chunks {
            frames.feed(chunk, |packet| taken.push(packet.to_vec()));
        }
        (taken, frames.skipped())
    }

    #[test]
    fn packets_are_cut_the_same_wherever_the_stream_is_torn() {
        let stream = packets().concat();
        for tear in 0..=stream.len() {
            let (before, after) = stream.split_at(tear);
            assert_eq!(cut(&[before, after]), (packets(), 0), "torn at {tear}");
        }
    }

    #[test]
    fn garbage_is_skipped_up_to_the_next_packet() {
        let stream = [&b"\xff\x00\xee"[..], &packets().concat()].concat();
        assert_eq!(cut(&[&stream]), (packets(), 3));
    }
}
