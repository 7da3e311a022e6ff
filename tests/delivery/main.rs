//! Alerts reach staff: through a real mosquitto and the embedded broker, over kills, refusals,
//! a full disk and garbage.

mod losses;
mod mosquitto;
mod notices;
mod shop;
mod wishes;
