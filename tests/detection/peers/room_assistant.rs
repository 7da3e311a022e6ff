//! room-assistant: a Kalman filter smooths each instance's RSSI, the filtered level becomes a
//! distance, and the nearest instance within its greatest distance has the device until it is
//! silent for the time-out.
//!
//! Source: github.com/mKeRix/room-assistant,
//! `src/integrations/bluetooth-low-energy/bluetooth-low-energy.service.ts`
//! (`KalmanFilterable(Object, 0.8, 15)`: process and measurement noise, "determined
//! experimentally") and `src/integrations/room-presence` (nearest wins). Left out: the protocol
//! between instances; they are assumed to agree at once.

use super::{Near, Rule, metres, nearest};
use crate::tape::Contact;

pub struct RoomAssistant {
    process: f64,
    measurement: f64,
    levels: Vec<Option<Level>>,
    metres: Vec<Option<(f64, f64)>>,
}

/// A filtered level and its variance.
#[derive(Clone, Copy)]
struct Level {
    dbm: f64,
    variance: f64,
}

impl RoomAssistant {
    pub fn new(gateways: usize, process: f64, measurement: f64) -> Self {
        Self { process, measurement, levels: vec![None; gateways], metres: vec![None; gateways] }
    }
}

impl Rule for RoomAssistant {
    fn hear(&mut self, contact: Contact) -> Option<Near> {
        let (gateway, now_s) = (usize::from(contact.gateway), contact.at_s());
        let level = self.levels.get_mut(gateway)?;
        let next = match *level {
            None => Level { dbm: contact.dbm(), variance: self.measurement },
            Some(Level { dbm, variance }) => {
                let variance = variance + self.process;
                let gain = variance / (variance + self.measurement);
                Level { dbm: dbm + gain * (contact.dbm() - dbm), variance: variance * (1.0 - gain) }
            }
        };
        *level = Some(next);
        *self.metres.get_mut(gateway)? = Some((now_s, metres(next.dbm)));
        nearest(&self.metres, now_s, 5.0)
    }
}
