//! `grelot customers`: from a CRM's export to a signed registry that a gateway recognises.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use grelot::config::registry;
use grelot::pipeline::units::{Clock, WallTime};
use serde_json::Value;

const CSV: &str = "\
Nr;Name;Stufe;Einwilligung bis;Läden;Vermerk;Zeigen
c-0001;\"Dupont; Léa\";gold;2028-11-02;42 43;Order 1182 is ready;true
c-0002;Hans;silver;2028-11-02;43;;false
c-0003;Ann;gold;;42;;true
c-0004;Bob;gold;2020-01-01;42;;true
";

struct Office {
    folder: tempfile::TempDir,
}

impl Office {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("crm.csv"), CSV).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn grelot(&self, arguments: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_grelot"))
            .current_dir(self.folder.path())
            .arg("customers")
            .args(arguments.split_whitespace().map(|word| word.replace('·', " ")))
            .output()
            .unwrap()
    }

    fn done(&self, arguments: &str) -> String {
        let output = self.grelot(arguments);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments}: {complaint}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn import(&self) -> String {
        self.done(
            "import crm.csv --into book.jsonl --separator ; --new-keys \
             --map client=Nr,name=Name,tier=Stufe,expires_at=Einwilligung·bis,stores=Läden,note=Vermerk,show_name=Zeigen",
        )
    }

    fn book(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("book.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn lines(bundle: &Path) -> Vec<Value> {
    let text = zstd::decode_all(fs::File::open(bundle).unwrap()).unwrap();
    let text = String::from_utf8(text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn from_a_crms_export_to_a_bundle_that_a_gateway_loads() {
    let office = Office::new();
    assert_eq!(office.import(), "4 added, 0 updated, 0 kept as they were, 0 refused\n");
    assert!(office.done("keygen --out keys --no-password").contains("public_keys = [\"RW"));
    let report = office.done(
        "bundle --from book.jsonl --store 42 --store 43 --day 2026-01-05 --key keys/grelot.key --out www --json",
    );
    let report: Vec<Value> =
        report.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let counts = |at: usize| {
        let of = |name: &str| report[at][name].as_u64().unwrap();
        (of("store"), of("customers"), of("left_out"))
    };
    // c-0003 never consented, c-0004's consent has run out.
    assert_eq!((counts(0), counts(1)), ((42, 1, 3), (43, 2, 2)));

    let bundle = office.path("www/42/customers.jsonl.zst");
    let lines = lines(&bundle);
    assert_eq!(lines[0]["store"], 42);
    assert_eq!((&lines[0]["first_day"], &lines[0]["last_day"]), (&20458.into(), &20459.into()));
    let customer = &lines[1];
    assert_eq!(customer["client"], "c-0001");
    assert_eq!(customer["card"]["name"], "Dupont; Léa");
    assert_eq!(customer["days"].as_object().unwrap().len(), 2);
    assert_eq!(customer.get("ck"), None);
    assert_eq!(customer["consent"].get("stores"), None);
    let elsewhere = self::lines(&office.path("www/43/customers.jsonl.zst"));
    assert_ne!(elsewhere[1]["days"], customer["days"]);
    assert_eq!(elsewhere[2].get("card"), None, "a name that must not be shown is not shipped");

    let clock = Clock::Set(WallTime::parse("2026-01-05T12:00:00Z").unwrap());
    let (registry, report) = registry::load(&bundle, 42, clock).unwrap();
    assert_eq!((registry.len(), report.refused, report.outdated), (1, 0, 0));
}

#[test]
fn minisign_itself_verifies_a_bundle() {
    let office = Office::new();
    office.import();
    office.done("keygen --out keys --no-password");
    office.done("bundle --from book.jsonl --store 42 --key keys/grelot.key --out www");
    let key = minisign_verify::PublicKey::from_file(office.path("keys/grelot.pub")).unwrap();
    let bundle = office.path("www/42/customers.jsonl.zst");
    let signature = minisign_verify::Signature::from_file(registry::signature_of(&bundle)).unwrap();
    assert!(signature.trusted_comment().starts_with("grelot registry of store 42, made 20"));
    let mut content = fs::read(&bundle).unwrap();
    key.verify(&content, &signature, false).unwrap();
    content[20] ^= 1;
    assert!(key.verify(&content, &signature, false).is_err());
}

#[test]
fn a_locked_key_opens_with_its_password_and_no_other() {
    let office = Office::new();
    office.import();
    fs::write(office.path("right.txt"), "correct horse\n").unwrap();
    fs::write(office.path("wrong.txt"), "battery staple\n").unwrap();
    office.done("keygen --out keys --password-file right.txt");
    let bundle = "bundle --from book.jsonl --store 42 --key keys/grelot.key --out www";
    office.done(&format!("{bundle} --password-file right.txt"));
    let refused = office.grelot(&format!("{bundle} --password-file wrong.txt"));
    assert_eq!(refused.status.code(), Some(1));
    let again = office.grelot("keygen --out keys --no-password");
    assert!(String::from_utf8_lossy(&again.stderr).contains("keys are never replaced"));
}

#[test]
fn key_files_are_readable_by_their_owner_alone_and_keys_are_never_shown() {
    let office = Office::new();
    office.import();
    office.done("keygen --out keys --no-password");
    for file in ["book.jsonl", "keys/grelot.key"] {
        let mode = fs::metadata(office.path(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let ck = office.book()[0]["ck"].as_str().unwrap().to_owned();
    assert_eq!(ck.len(), 64);
    for command in ["list book.jsonl", "list book.jsonl --json", "show c-0001 --file book.jsonl"] {
        let output = office.grelot(command);
        let report = [output.stdout, output.stderr].concat();
        let report = String::from_utf8(report).unwrap();
        assert!(report.contains("c-0001") && !report.contains(&ck), "{report}");
    }
    let refused = office.grelot("import crm.csv --into book.jsonl --set ck=00");
    assert_eq!(refused.status.code(), Some(2), "a key is no argument");
}

#[test]
fn a_second_import_updates_customers_and_keeps_their_keys() {
    let office = Office::new();
    office.import();
    let before = office.book();
    fs::write(office.path("crm.csv"), CSV.replace("Hans;silver", "Hans;platinum")).unwrap();
    assert_eq!(office.import(), "0 added, 4 updated, 0 kept as they were, 0 refused\n");
    let after = office.book();
    assert_eq!(after[1]["tier"], "platinum");
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before["ck"], after["ck"]);
    }
}

#[test]
fn a_customer_withdrawn_in_the_book_is_in_no_further_bundle() {
    let office = Office::new();
    office.import();
    office.done("keygen --out keys --no-password");
    office.done("withdraw c-0001 --book book.jsonl --no-broker");
    let report =
        office.done("bundle --from book.jsonl --store 42 --key keys/grelot.key --out www --json");
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!((report["customers"].as_u64(), report["left_out"].as_u64()), (Some(0), Some(4)));
    // A later import says nothing about the withdrawal, and must not undo it.
    office.import();
    let report =
        office.done("bundle --from book.jsonl --store 42 --key keys/grelot.key --out www --json");
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["customers"].as_u64(), Some(0));
}

#[test]
fn the_books_mistakes_are_reported_before_a_bundle_is_made() {
    let office = Office::new();
    office.import();
    let mut book = fs::read_to_string(office.path("book.jsonl")).unwrap();
    book = book.replacen("\"ck\":\"", "\"ck\":\"zz", 1);
    book.push_str(
        "{\"client\":\"a/b\",\"tier\":\"gold\",\"scheme\":\"beacon\",\"altbeacon\":\"00\"}\n",
    );
    fs::write(office.path("book.jsonl"), book).unwrap();
    office.done("keygen --out keys --no-password");
    let output =
        office.grelot("bundle --from book.jsonl --store 43 --key keys/grelot.key --out www");
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("book.jsonl:1: ck: 64 hex digits are needed"), "{complaint}");
    assert!(complaint.contains("book.jsonl:5: client: 1 to 64 visible"), "{complaint}");
    assert_eq!(
        lines(&office.path("www/43/customers.jsonl.zst")).len(),
        2,
        "the others are shipped"
    );
}

#[test]
fn a_cards_temporary_keys_cover_its_days_and_no_more() {
    let office = Office::new();
    fs::write(
        office.path("book.jsonl"),
        r#"{"client":"card","tier":"gold","scheme":"eid","k":10,"offset_s":-1767160064,"ik":"00112233445566778899aabbccddeeff","consent":{"expires_at":"2028-11-02T00:00:00Z"}}"#,
    )
    .unwrap();
    office.done("keygen --out keys --no-password");
    office.done(
        "bundle --from book.jsonl --store 42 --day 2026-01-01 --key keys/grelot.key --out www",
    );
    let lines = lines(&office.path("www/42/customers.jsonl.zst"));
    assert_eq!(lines[1].get("ik"), None);
    let keys: Vec<_> = lines[1]["tks"].as_object().unwrap().keys().cloned().collect();
    // The card's clock shows 65,536 at the first midnight and 238,336 at the last.
    assert_eq!(keys, ["0", "1", "2", "3"]);
    assert_eq!(lines[1]["tks"]["1"], "0f5bab6cc9c94d4fd1ddb62a44460f14");
}
