//! Alerts reach staff: through a real mosquitto and the embedded broker, over kills, refusals,
//! a full disk and garbage.

mod disk;
mod embedded;
mod kills;
mod losses;
mod mosquitto;
mod notices;
mod scene;
mod secure;
mod shop;
mod wishes;
