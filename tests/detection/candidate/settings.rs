//! As the product has them.
pub use grelot::pipeline::presence::settings::Settings;
