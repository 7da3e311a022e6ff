//! Ruuvi RAWv2 (docs.ruuvi.com, "Data format 5"): manufacturer data of company 0x0499, big-endian.
//! A sensor for the shop: it is known by the address that it repeats in its data.
//!
//! Each field has a value for "not available".

use super::format::{BeaconHealth, Class, Described, Format, Section, Value};
use super::identity::{BeaconIdentity, IdentityFormat, Part};
use crate::pipeline::advert::structure::joined;

/// Company identifier of Ruuvi Innovations.
pub(super) const COMPANY: u16 = 0x0499;

/// The format's number, which begins the data.
const RAW_V2: u8 = 5;

/// A sensor is identified by the address in its data.
pub(super) const IDENTITY: IdentityFormat = IdentityFormat {
    number: 4,
    word: "ruuvi",
    key: "ruuvi",
    parts: &[("address", Part::Address)],
    advertisement: |&[a, b, c, d, e, f, ..]| {
        let address = [a, b, c, d, e, f];
        Ruuvi { address, ..Ruuvi::NOTHING_MEASURED }.advertisement().into()
    },
};

/// A sensor's reading; `None` for what it does not measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ruuvi {
    /// In 0.005 degrees Celsius.
    pub temperature: Option<i16>,
    /// Relative humidity, in 0.0025 %.
    pub humidity: Option<u16>,
    /// In pascals, less 50,000.
    pub pressure: Option<u16>,
    /// In thousandths of g.
    pub acceleration: [Option<i16>; 3],
    /// Of the battery.
    pub voltage_mv: Option<u16>,
    /// In dBm.
    pub tx_power: Option<i8>,
    /// Movements detected, modulo 255.
    pub movements: Option<u8>,
    /// Number of measurements, modulo 65,535.
    pub sequence: Option<u16>,
    pub address: [u8; 6],
}

impl Ruuvi {
    /// A sensor that measures nothing.
    pub const NOTHING_MEASURED: Self = Self {
        temperature: None,
        humidity: None,
        pressure: None,
        acceleration: [None; 3],
        voltage_mv: None,
        tx_power: None,
        movements: None,
        sequence: None,
        address: [0; 6],
    };

    /// AD structures of a whole advertisement, Flags included.
    pub fn advertisement(&self) -> [u8; 31] {
        let signed = |value: Option<i16>| value.unwrap_or(i16::MIN).to_be_bytes();
        let unsigned = |value: Option<u16>| value.unwrap_or(u16::MAX).to_be_bytes();
        let [x, y, z] = self.acceleration.map(signed);
        let voltage = self.voltage_mv.map_or(0x7ff, |voltage| voltage.saturating_sub(1600));
        let power = self.tx_power.map_or(0x1f, |power| (i16::from(power) + 40).unsigned_abs() / 2);
        joined(&[
            &[2, 0x01, 0x06, 27, 0xff, 0x99, 0x04, RAW_V2],
            &signed(self.temperature),
            &unsigned(self.humidity),
            &unsigned(self.pressure),
            &x,
            &y,
            &z,
            &(voltage << 5 | (power & 0x1f)).to_be_bytes(),
            &[self.movements.unwrap_or(u8::MAX)],
            &unsigned(self.sequence),
            &self.address,
        ])
    }

    fn temperature_c(&self) -> Option<f64> {
        self.temperature.map(|raw| f64::from(raw) * 0.005)
    }
}

impl Format<'_> for Ruuvi {
    const CLASS: Class = Class::Sensor;

    #[inline]
    #[expect(clippy::many_single_char_names, reason = "octets of fields, in their order")]
    fn read(section: Section<'_>) -> Option<Self> {
        let Section::Manufacturer(COMPANY, data) = section else { return None };
        let &[RAW_V2, a, b, c, d, e, f, g, h, i, j, k, l, m, n, movements, o, p, ref address @ ..] =
            data
        else {
            return None;
        };
        let signed =
            |high, low| Some(i16::from_be_bytes([high, low])).filter(|raw| *raw != i16::MIN);
        let unsigned =
            |high, low| Some(u16::from_be_bytes([high, low])).filter(|raw| *raw != u16::MAX);
        let power = u16::from_be_bytes([m, n]);
        let step = u8::try_from(power & 0x1f).ok().filter(|step| *step != 0x1f);
        Some(Self {
            temperature: signed(a, b),
            humidity: unsigned(c, d),
            pressure: unsigned(e, f),
            acceleration: [signed(g, h), signed(i, j), signed(k, l)],
            voltage_mv: Some(power >> 5).filter(|raw| *raw != 0x7ff).map(|raw| raw + 1600),
            tx_power: step.map(|step| step.cast_signed() * 2 - 40),
            movements: Some(movements).filter(|count| *count != u8::MAX),
            sequence: unsigned(o, p),
            address: *address.first_chunk()?,
        })
    }

    fn describe(&self) -> Described {
        fn or_absent<T>(value: Option<T>, shown: impl Fn(T) -> Value) -> Value {
            value.map_or(Value::Absent, shown)
        }
        let [x, y, z] = self
            .acceleration
            .map(|axis| or_absent(axis, |milli_g| Value::Measured(f64::from(milli_g), "mg")));
        let address = IDENTITY.write(&self.address).join(":");
        let fields = vec![
            ("address", Value::Text(address)),
            ("temperature_c", or_absent(self.temperature_c(), |raw| Value::Measured(raw, "°C"))),
            (
                "humidity_percent",
                or_absent(self.humidity, |raw| Value::Measured(f64::from(raw) * 0.0025, "%")),
            ),
            (
                "pressure_hpa",
                or_absent(self.pressure, |raw| {
                    Value::Measured((f64::from(raw) + 50_000.0) / 100.0, "hPa")
                }),
            ),
            ("acceleration_x_mg", x),
            ("acceleration_y_mg", y),
            ("acceleration_z_mg", z),
            ("voltage_mv", or_absent(self.voltage_mv, Value::Millivolts)),
            ("tx_power", or_absent(self.tx_power, Value::Dbm)),
            ("movements", or_absent(self.movements, |count| Value::Number(count.into()))),
            ("sequence", or_absent(self.sequence, |count| Value::Number(count.into()))),
        ];
        Described { kind: "ruuvi", name: "Ruuvi", fields }
    }

    #[inline]
    fn identity(&self) -> Option<BeaconIdentity> {
        Some(IDENTITY.identity(&[&self.address]))
    }

    #[inline]
    fn health(&self) -> Option<BeaconHealth> {
        let temperature_mc = self.temperature.map(|raw| i32::from(raw) * 5);
        Some(BeaconHealth { battery_mv: self.voltage_mv, temperature_mc })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::advert::{Beacon, describe};

    fn read(data: &str) -> Ruuvi {
        let payload = hex::decode(format!("1bff9904{data}")).unwrap();
        match describe(&payload).beacon {
            Some(Beacon::Ruuvi(ruuvi)) => ruuvi,
            other => panic!("{other:?}"),
        }
    }

    /// The three vectors of the format's specification.
    #[test]
    fn the_published_vectors_are_read() {
        let valid = read("0512fc5394c37c0004fffc040cac364200cdcbb8334c884f");
        assert_eq!(valid.temperature_c(), Some(24.3));
        assert_eq!(valid.humidity.map(|raw| f64::from(raw) * 0.0025), Some(53.49));
        assert_eq!(valid.pressure.map(|raw| u32::from(raw) + 50_000), Some(100_044));
        assert_eq!(valid.acceleration, [Some(4), Some(-4), Some(1036)]);
        assert_eq!((valid.voltage_mv, valid.tx_power), (Some(2977), Some(4)));
        assert_eq!((valid.movements, valid.sequence), (Some(66), Some(205)));
        assert_eq!(valid.address, [0xcb, 0xb8, 0x33, 0x4c, 0x88, 0x4f]);
        let greatest = read("057ffffffefffe7fff7fff7fffffdefefffecbb8334c884f");
        assert_eq!((greatest.voltage_mv, greatest.tx_power), (Some(3646), Some(20)));
        let absent = read("058000ffffffff800080008000ffffffffffcbb8334c884f");
        assert_eq!(absent, Ruuvi { address: valid.address, ..Ruuvi::NOTHING_MEASURED });
    }

    #[test]
    fn a_reading_survives_its_advertisement() {
        for data in [
            "0512fc5394c37c0004fffc040cac364200cdcbb8334c884f",
            "058000ffffffff800080008000ffffffffffcbb8334c884f",
        ] {
            let payload = read(data).advertisement();
            assert_eq!(hex::encode(&payload[7..]), data);
        }
    }
}
