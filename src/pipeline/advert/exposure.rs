//! Exposure Notification (Apple and Google, 2020): service data of UUID `fd6f`. Recognised so
//! that `decode` can say what it is; it identifies nobody.

/// The service UUID.
pub const UUID: u16 = 0xfd6f;

/// What an Exposure Notification says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExposureNotification {
    /// Rolling proximity identifier.
    pub identifier: [u8; 16],
    /// Associated encrypted metadata.
    pub encrypted_metadata: [u8; 4],
}

impl ExposureNotification {
    /// From service data after the UUID. Octets beyond the format are ignored.
    pub(super) fn from_service_data(data: &[u8]) -> Option<Self> {
        let (&identifier, rest) = data.split_first_chunk()?;
        let &encrypted_metadata = rest.first_chunk()?;
        Some(Self { identifier, encrypted_metadata })
    }
}
