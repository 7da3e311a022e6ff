//! How strongly a model of phone sends and receives.

use crate::pipeline::advert::Echo;
use crate::pipeline::units::Dbm;

/// The largest offset that a registry line may give, in dB. Published models differ by at most 20
/// dB from the average (Exposure Notification calibration, 2020).
pub const MOST_DB: i8 = 30;

/// A model of phone, relative to an average one; zero where nothing is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PhoneModel {
    /// By how much it is received louder, in dB.
    pub tx_db: i8,
    /// By how much it reports the shop's beacons louder, in dB.
    pub rx_db: i8,
}

impl PhoneModel {
    /// The RSSI that an average phone would have had in its place.
    pub fn average_rssi(self, rssi: Dbm) -> Dbm {
        less(rssi, self.tx_db)
    }

    /// The echo that an average phone would have reported in its place.
    pub fn average_echo(self, echo: Echo) -> Echo {
        match echo.rssi().filter(|_| self.rx_db != 0) {
            Some(rssi) => Echo::hearing(echo.zone, less(rssi, self.rx_db)),
            None => echo,
        }
    }
}

/// `rssi` less `db`; unchanged where that is no level a controller may report.
fn less(rssi: Dbm, db: i8) -> Dbm {
    Dbm::measured(i16::from(rssi.value()) - i16::from(db)).unwrap_or(rssi)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_become_those_of_an_average_phone() {
        let loud = PhoneModel { tx_db: 9, rx_db: -5 };
        let rssi = Dbm::measured(-50).expect("a level");
        assert_eq!(loud.average_rssi(rssi), Dbm::measured(-59).expect("a level"));
        let echo = Echo::hearing(2, Dbm::measured(-72).expect("a level"));
        assert_eq!(loud.average_echo(echo).zone, 2);
        assert_eq!(loud.average_echo(echo).rssi(), Dbm::measured(-68));
        assert_eq!(PhoneModel::default().average_echo(echo), echo);
    }

    #[test]
    fn a_level_stays_one_that_controllers_report() {
        let faint = Dbm::measured(-120).expect("a level");
        assert_eq!(PhoneModel { tx_db: 30, rx_db: 0 }.average_rssi(faint), faint);
        let unknown = Echo { zone: 3, level: 0 };
        assert_eq!(PhoneModel { tx_db: 0, rx_db: 9 }.average_echo(unknown), unknown);
    }
}
