//! The published vectors and the vocabularies they were written in.

use std::fs;

use serde_json::{Value, json};

use grelot::pipeline::advert::apple::{OverflowMask, overflow_bit};
use grelot::sources::hci;

use crate::common;
use crate::decode::{decode, objects};

pub struct Vector {
    pub name: String,
    pub row: Value,
}

fn vectors() -> Vec<Vector> {
    let folder = common::shared_data("decoder_vectors");
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let mut vectors = Vec::new();
    for file in files {
        for line in fs::read_to_string(&file).unwrap().lines() {
            let row: Value = serde_json::from_str(line).unwrap();
            let name = format!("{} {}", row["source"].as_str().unwrap(), row["name"]);
            vectors.push(Vector { name, row });
        }
    }
    vectors
}

impl Vector {
    pub fn hex(&self, key: &str) -> Option<Vec<u8>> {
        self.row.get(key)?.as_str().map(|text| hex::decode(text).unwrap())
    }

    /// The advertisement, assembled where the source has only a structure's data.
    pub fn payload(&self) -> Vec<u8> {
        // Where a source names no company or service, one that belongs to no beacon.
        let head = |kind: u8, id: [u8; 2], data: Vec<u8>| {
            let length = u8::try_from(data.len() + 3).unwrap();
            [vec![length, kind, id[0], id[1]], data].concat()
        };
        if let Some(payload) = self.hex("adv_hex") {
            payload
        } else if let Some(data) = self.hex("mfr_hex") {
            let company = self.row["company"].as_u64().unwrap_or(0xffff);
            head(0xff, u16::try_from(company).unwrap().to_le_bytes(), data)
        } else if let Some(data) = self.hex("service_hex") {
            let uuid = self.row["service_uuid"].as_str().unwrap_or("fff0");
            head(0x16, u16::from_str_radix(uuid, 16).unwrap().to_le_bytes(), data)
        } else {
            // A link-layer PDU: header, address, then AD structures for types 0, 2, 4 and 6.
            let pdu = self.hex("ll_pdu_hex").unwrap();
            if matches!(pdu[0] & 0x0f, 0 | 2 | 4 | 6) { pdu[8..].to_vec() } else { Vec::new() }
        }
    }

    /// Everything in which `decoded` differs from what the vector expects.
    pub fn differences(&self, decoded: &Value) -> Vec<String> {
        let expect = &self.row["expect"];
        let mut differences = Vec::new();
        let mut check = |what: &str, expected: &Value, got: &Value| {
            if !alike(expected, got) {
                differences.push(format!("{}: {what}: expected {expected}, got {got}", self.name));
            }
        };
        if let Some(beacon) = self.expected_beacon() {
            check_beacon(&beacon, &decoded["beacon"], &mut check);
        }
        if let Some(apple) = expect.get("apple") {
            check("apple", apple, &decoded["apple"]);
        }
        match expect.get("ad") {
            Some(Value::Null) => {
                check("malformed", &json!(true), &json!(decoded["malformed"].is_string()));
            }
            Some(ad) => check_ad(ad, &decoded["ad"], &mut check),
            None => {}
        }
        if self.row["scope"] == "ad-structure" {
            check_advlib(&expect["advlib"], &decoded["ad"], &mut check);
        }
        differences
    }

    /// `None` where the vector says nothing of a beacon; `Null` where there must not be one.
    fn expected_beacon(&self) -> Option<Value> {
        let expect = &self.row["expect"];
        // These rows judge the PDU as a whole as if it were the payload: one of them holds an
        // Eddystone-URL that the same source expects elsewhere.
        if self.row.get("ll_pdu_hex").is_some() {
            return None;
        }
        let beacon = expect.get("beacon").or_else(|| expect.get("beacon_by_spec"))?;
        // Formats of other vendors that are described; they are no beacons to grelot.
        let foreign = self.row["scope"] == "foreign";
        Some(if foreign { Value::Null } else { beacon.clone() })
    }
}

/// Equal, numbers to within a thousandth.
fn alike(expected: &Value, got: &Value) -> bool {
    match (expected.as_f64(), got.as_f64()) {
        (Some(expected), Some(got)) => (expected - got).abs() < 1e-3,
        _ => expected == got,
    }
}

fn check_beacon(expected: &Value, got: &Value, check: &mut impl FnMut(&str, &Value, &Value)) {
    let Some(fields) = expected.as_object() else { return check("beacon", expected, got) };
    for (field, value) in fields {
        let field = if field == "metadata_hex" { "encrypted_metadata" } else { field };
        check(field, value, &got[field]);
    }
}

fn check_ad(expected: &Value, got: &Value, check: &mut impl FnMut(&str, &Value, &Value)) {
    for (field, value) in expected.as_object().unwrap() {
        match field.as_str() {
            "tx_power_all" => {
                let structures = got["structures"].as_array().unwrap();
                let of_type = structures.iter().filter(|structure| structure["type"] == 10);
                let level = |s: &Value| hex::decode(s["data_hex"].as_str().unwrap()).unwrap()[0];
                let all: Vec<_> = of_type.map(|s| level(s).cast_signed()).collect();
                check(field, value, &json!(all));
            }
            "manufacturer_data" => {
                for (company, data) in value.as_object().unwrap() {
                    let company = format!("{:04x}", company.parse::<u16>().unwrap());
                    check(field, data, &got[field][company]);
                }
            }
            _ => check(field, value, &got[field]),
        }
    }
}

/// The vocabulary of reelyactive/advlib.
fn check_advlib(expected: &Value, got: &Value, check: &mut impl FnMut(&str, &Value, &Value)) {
    let bare = |uuid: &str| json!(uuid.replace('-', ""));
    for (field, value) in expected.as_object().into_iter().flatten() {
        match field.as_str() {
            "flags" => {
                let flags = got["flags"].as_u64().unwrap();
                let bits: Vec<_> = (0..8).filter(|bit| flags >> bit & 1 == 1).collect();
                check(field, value, &json!(bits));
            }
            "name" => check(field, value, &got["local_name"]),
            "txPower" => check(field, value, &got["tx_power"]),
            "appearance" => check(field, value, &got["appearance"]),
            "uuids" => {
                let uuids = got["service_uuids"].as_array().unwrap().iter();
                let uuids: Vec<_> = uuids.map(|uuid| bare(uuid.as_str().unwrap())).collect();
                check(field, value, &json!(uuids));
            }
            "serviceData" => {
                let services = got["service_data"].as_object().unwrap().iter();
                let services: Vec<_> = services
                    .map(|(uuid, data)| json!({"uuid": bare(uuid), "data": data}))
                    .collect();
                check(field, value, &json!(services));
            }
            "manufacturerSpecificData" => {
                let companies = got["manufacturer_data"].as_object().unwrap().iter();
                let companies: Vec<_> = companies
                    .map(|(company, data)| {
                        let code = u16::from_str_radix(company, 16).unwrap();
                        json!({"companyCode": code, "data": data})
                    })
                    .collect();
                check(field, value, &json!(companies));
            }
            // A link to an encyclopedia of devices, but for the row whose payload has a URI.
            "uri" if !value.as_str().unwrap().contains("sniffypedia") => {
                check(field, value, &got["uri"]);
            }
            // Of the PDU round the payload.
            "uri" | "rxAdd" | "txAdd" | "type" | "length" | "advA" | "targetA" | "scanA"
            | "initA" => {}
            other => panic!("vectors have a new word: {other}"),
        }
    }
}

#[test]
fn every_published_vector_decodes_to_its_fields() {
    let vectors = vectors();
    assert!(vectors.len() >= 264, "{} vectors", vectors.len());
    let input: String = vectors.iter().map(|v| hex::encode(v.payload()) + "\n").collect();
    let output = decode(&["--json"], &input);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let decoded = objects(&output);
    assert_eq!(decoded.len(), vectors.len(), "one answer for each input");

    let differences: Vec<_> =
        vectors.iter().zip(&decoded).flat_map(|(vector, got)| vector.differences(got)).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    let beacons = decoded.iter().filter(|got| !got["beacon"].is_null()).count();
    assert!(beacons >= 50, "only {beacons} beacons: were the expectations read?");
}

#[test]
fn hci_events_of_the_vectors_carry_their_advertisements() {
    let vectors = vectors();
    let mut seen = 0;
    for vector in vectors.iter().filter(|vector| vector.row.get("hci_event_hex").is_some()) {
        let packet = vector.hex("hci_event_hex").unwrap();
        let report = hci::h4_reports(&packet).next().unwrap().unwrap();
        assert_eq!(report.payload, vector.payload(), "{}", vector.name);
        let address = report.address.octets.map(|octet| format!("{octet:02x}")).join(":");
        assert_eq!(vector.row["address"], json!(address), "{}", vector.name);
        assert_eq!(vector.row["rssi"], json!(report.rssi.unwrap().value()), "{}", vector.name);
        seen += 1;
    }
    assert!(seen >= 7);
}

#[test]
fn every_bit_of_the_overflow_area_is_where_it_was_observed() {
    let table = common::shared_data("apple_overflow_table/bit_position_of_uuid.csv");
    let table = fs::read_to_string(table).unwrap();
    let rows: Vec<_> = table.lines().skip(1).filter_map(|row| row.split_once(',')).collect();
    assert_eq!(rows.len(), 128);
    for (position, uuid) in rows {
        let uuid = uuid.trim().parse::<uuid::Uuid>().unwrap();
        // The table counts the bits of each octet from the most significant one.
        let bit = position.parse::<u8>().unwrap() ^ 7;
        assert_eq!(overflow_bit(uuid.as_bytes()), bit, "{uuid}");
    }
}

#[test]
fn overflow_areas_seen_on_the_air_show_their_services() {
    let path = "apple_overflow_table/on_air_observations.jsonl";
    let path = common::shared_data(path);
    for line in fs::read_to_string(path).unwrap().lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let shown = row["overflow_hex"].as_str().unwrap();
        let decoded = objects(&decode(&["--json", &format!("14ff4c0001{shown}")], ""));
        assert_eq!(decoded[0]["apple"], json!([{"type": 1, "overflow_hex": shown}]));
        if let Some(uuid) = row["service_uuid"].as_str() {
            let mask = OverflowMask::showing(&[uuid.parse::<uuid::Uuid>().unwrap().into_bytes()]);
            assert_eq!(hex::encode(mask.0), shown);
        }
    }
}
