//! Writes a simulated scene as a recording, with its registry and a configuration.
//!
//! `cargo run --release --example scene -- OUT_DIR [DEVICES [SECONDS [SEED]]]`: DEVICES
//! of strangers stay around (300) while customers come and go, for SECONDS (3600).

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use grelot::pipeline::Place;
use grelot::pipeline::units::WallTime;
use grelot::sources::recording::{Header, Writer};
use grelot::sources::simulated::{Scene, Shop};
use grelot::sources::{RecordKind, ReplaySource};

const CONFIG: &str = r#"# A simulated shop.
[store]
id = 42
gateways = { door = "door" }
zones = { 1 = "door", 2 = "inside" }

[gateway]
name = "door"

[registry]
path = "customers.jsonl"
"#;

/// 2026-01-05T09:00:00Z.
const STARTED_AT: WallTime = WallTime::from_unix_secs(1_767_603_600);

#[expect(clippy::print_stdout, reason = "says what was written")]
fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let out = arguments.next().context("usage: scene OUT_DIR [DEVICES [SECONDS [SEED]]]")?;
    let mut number = |otherwise| arguments.next().map_or(Ok(otherwise), |text| text.parse());
    let (devices, seconds, seed) = (number(300)?, number(3600)?, number(1)?);
    let zones = [None, Some(Place::Door), Some(Place::Inside)];
    let mut scene = Scene::daily(42, &[("door", Some(Place::Door))], &zones);
    scene.people.staying = u32::try_from(devices).context("too many devices")?;
    scene.lasts = Some(Duration::from_secs(seconds));
    let (heard, truths) = write(Shop::new(scene, seed, STARTED_AT), Path::new(&out))?;
    println!("{heard} advertisements, {truths} lines of truth");
    Ok(())
}

fn write(shop: Shop, out: &Path) -> anyhow::Result<(u64, u64)> {
    fs::create_dir_all(out)?;
    fs::write(out.join("grelot.toml"), CONFIG)?;
    let registry: Vec<_> = shop.registry_lines(2).collect();
    fs::write(out.join("customers.jsonl"), registry.join("\n"))?;
    let header = Header {
        started_at: shop.started_at(),
        store: shop.store(),
        gateways: shop.gateways().to_vec(),
    };
    let mut plain = Writer::create(&out.join("scene.jsonl"), &header)?;
    let mut compressed = Writer::create(&out.join("scene.jsonl.zst"), &header)?;
    let (mut heard, mut truths) = (0, 0);
    for record in shop {
        let record = record?;
        plain.write(&record)?;
        compressed.write(&record)?;
        match record.what {
            RecordKind::Received(_) => heard += 1,
            RecordKind::GroundTruth { .. } => truths += 1,
        }
    }
    plain.finish()?;
    compressed.finish()?;
    Ok((heard, truths))
}
