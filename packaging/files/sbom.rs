//! The bill of materials: `CycloneDX` 1.5 in JSON, with every crate that is compiled into the program.

use serde_json::{Value, json};

use super::linked::Linked;

/// The whole document.
pub fn document(linked: &[Linked]) -> Value {
    let own = format!("pkg:cargo/grelot@{}", env!("CARGO_PKG_VERSION"));
    let refs: Vec<String> = linked.iter().map(purl).collect();
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": "grelot",
                "version": env!("CARGO_PKG_VERSION"),
                "licenses": [{ "expression": "MIT OR Apache-2.0" }],
                "purl": own,
            },
        },
        "components": linked.iter().map(component).collect::<Vec<_>>(),
        "dependencies": [{ "ref": own, "dependsOn": refs }],
    })
}

fn component(one: &Linked) -> Value {
    let hashes = one.checksum.iter().map(|sum| json!({ "alg": "SHA-256", "content": sum }));
    json!({
        "type": "library",
        "bom-ref": purl(one),
        "name": one.name,
        "version": one.version,
        "scope": "required",
        "hashes": hashes.collect::<Vec<_>>(),
        "licenses": [{ "expression": one.license.replace('/', " OR ") }],
        "purl": purl(one),
    })
}

fn purl(one: &Linked) -> String {
    format!("pkg:cargo/{}@{}", one.name, one.version)
}
