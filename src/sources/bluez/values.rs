//! Reads D-Bus messages without copying values that are not needed.
//!
//! `dbus`'s own `PropMap` boxes every value of every advertisement; here a property is read in
//! place.

use dbus::arg::{ArgType, Iter};

/// The entries of the dictionary that `iter` points to; none where it points to something else.
pub fn entries(mut iter: Iter<'_>) -> impl Iterator<Item = Iter<'_>> {
    let mut inside = iter.recurse(ArgType::Array);
    std::iter::from_fn(move || {
        let at = inside.as_mut()?;
        let entry = at.recurse(ArgType::DictEntry);
        at.next();
        entry
    })
}

/// The properties (`a{sv}`) that `iter` points to: each name, and the value in its variant.
pub fn properties(iter: Iter<'_>) -> impl Iterator<Item = (&str, Iter<'_>)> {
    entries(iter).filter_map(|mut entry| {
        let name = entry.get::<&str>()?;
        entry.next();
        Some((name, entry.recurse(ArgType::Variant)?))
    })
}

/// The elements of type `T` in the array that `iter` points to.
pub fn elements<'m, T: dbus::arg::Get<'m> + 'm>(mut iter: Iter<'m>) -> impl Iterator<Item = T> {
    let mut inside = iter.recurse(ArgType::Array);
    std::iter::from_fn(move || {
        let at = inside.as_mut()?;
        let element = at.get::<T>()?;
        at.next();
        Some(element)
    })
}
