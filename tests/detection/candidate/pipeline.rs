//! The candidate presence filter in the place of the product's, beside the rest of the product's
//! pipeline.

pub use grelot::pipeline::{advert, gateway, identity, settings, start, units, visit};

#[path = "mod.rs"]
pub mod presence;
