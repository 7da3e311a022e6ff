//! Reads fields of a binary layout, one after the other.

/// A layout promised more octets than there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cut short")]
pub struct CutShort;

/// Takes the next `N` octets off `rest`.
pub(super) fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], CutShort> {
    let (taken, left) = rest.split_first_chunk().ok_or(CutShort)?;
    *rest = left;
    Ok(*taken)
}

/// Takes the next `length` octets off `rest`.
pub(super) fn take_slice<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], CutShort> {
    let (taken, left) = rest.split_at_checked(length).ok_or(CutShort)?;
    *rest = left;
    Ok(taken)
}

/// Takes an address as it is sent, least significant octet first; returns it most significant octet
/// first.
pub(super) fn take_address(rest: &mut &[u8]) -> Result<[u8; 6], CutShort> {
    let mut octets = take(rest)?;
    octets.reverse();
    Ok(octets)
}
