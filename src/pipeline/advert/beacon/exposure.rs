//! Exposure Notification (Apple and Google, 2020): service data of UUID `fd6f`. Recognised so
//! that `decode` can name it; it identifies no customer.

use super::format::{Described, Format, Section, Value};

pub(super) const UUID: u16 = 0xfd6f;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExposureNotification {
    /// Rolling proximity identifier, which changes with the device's address.
    pub identifier: [u8; 16],
    pub encrypted_metadata: [u8; 4],
}

impl Format<'_> for ExposureNotification {
    /// Octets beyond the format are ignored.
    #[inline]
    fn read(section: Section<'_>) -> Option<Self> {
        let Section::Service(UUID, data) = section else { return None };
        let (&identifier, rest) = data.split_first_chunk()?;
        let &encrypted_metadata = rest.first_chunk()?;
        Some(Self { identifier, encrypted_metadata })
    }

    fn describe(&self) -> Described {
        let fields = vec![
            ("identifier", Value::hex(&self.identifier)),
            ("encrypted_metadata", Value::hex(&self.encrypted_metadata)),
        ];
        Described { kind: "exposure_notification", name: "Exposure Notification", fields }
    }
}
