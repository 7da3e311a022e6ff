//! Alerts reach staff: through a real mosquitto and the embedded broker, over kills, refusals,
//! a full disk and garbage.

mod disk;
mod embedded;
mod losses;
mod mosquitto;
mod notices;
mod secure;
mod shop;
mod wishes;
