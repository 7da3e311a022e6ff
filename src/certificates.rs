//! A small certificate authority for one gateway, and the certificate that its page shows.
//!
//! The authority is for machines of a local network only: its certificate is constrained to private
//! addresses, `.local` names and the names that it was made for, so that a tablet that trusts it need
//! not fear for the rest of the web.

use std::fs;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{addresses, state_file};

/// Its name in the state folder.
const FOLDER: &str = "tls";

const AUTHORITY: &str = "ca.pem";
const AUTHORITY_KEY: &str = "ca.key";
const CERTIFICATE: &str = "gateway.pem";
const KEY: &str = "gateway.key";
const RECORD: &str = "certificate.json";

/// Browsers refuse certificates of more than 825 days.
const VALID_DAYS: i64 = 365;

/// A certificate is renewed this long before it ends.
const RENEWED_DAYS: i64 = 60;

/// Tablets trust the authority once, for all certificates.
const AUTHORITY_VALID_DAYS: i64 = 3_650;

const DAY_SECS: i64 = 86_400;

/// The networks that the authority may certify besides its names: private, link-local, loopback.
const NETWORKS: [(&str, u8); 8] = [
    ("10.0.0.0", 8),
    ("172.16.0.0", 12),
    ("192.168.0.0", 16),
    ("169.254.0.0", 16),
    ("127.0.0.0", 8),
    ("fc00::", 7),
    ("fe80::", 10),
    ("::1", 128),
];

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file or folder cannot be read or written.
    #[error("{}: {source}", path.display())]
    Storage { path: PathBuf, source: io::Error },
    /// A key or a name cannot be used.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

/// The authority and certificate of a state folder.
#[derive(Debug, Clone)]
pub struct Certificates {
    folder: PathBuf,
}

/// What the certificate was made for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    v: u8,
    /// Names and addresses that IT gave, which every renewal keeps.
    pub given: Vec<String>,
    /// Names that the authority is constrained to.
    constrained_to: Vec<String>,
    /// What the certificate is for.
    pub names: Vec<String>,
    /// Seconds since the Unix epoch.
    expires_at: i64,
    /// First day of the authority, in days since the Unix epoch: needed to rebuild it for signing.
    authority_since: i64,
    /// Common name of the authority.
    common_name: String,
}

impl Certificates {
    /// The certificates in the state folder `state`.
    pub fn new(state: &Path) -> Self {
        Self { folder: state.join(FOLDER) }
    }

    /// The certificate chain, PEM.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join(CERTIFICATE)
    }

    /// The certificate's private key, PEM.
    pub fn key(&self) -> PathBuf {
        self.folder.join(KEY)
    }

    /// The authority's certificate, PEM: what tablets trust.
    pub fn authority(&self) -> PathBuf {
        self.folder.join(AUTHORITY)
    }

    /// What the certificate was made for; `None` where none was made.
    pub fn record(&self) -> Option<Record> {
        state_file::read(&self.folder.join(RECORD), "run `grelot tls init`").ok().flatten()
    }

    /// Makes an authority, unless there is one, and a certificate for `given` and this machine's
    /// own `names` at the time `now` in seconds since the Unix epoch.
    ///
    /// A name that an existing authority may not certify makes a new authority necessary, which
    /// tablets must trust again.
    ///
    /// # Errors
    /// The folder cannot be written, or a name is not valid.
    pub fn init(
        &self,
        given: &[String],
        names: &[String],
        common_name: &str,
        now: i64,
    ) -> Result<Record, CertificateError> {
        let before = self.record().filter(|_| self.folder.join(AUTHORITY_KEY).is_file());
        let mut record = before.unwrap_or_else(|| Record {
            v: 1,
            constrained_to: constraints(given, names),
            authority_since: now / DAY_SECS,
            common_name: common_name.to_owned(),
            ..Record::default()
        });
        if given.iter().any(|name| !vouches_for(&record.constrained_to, name)) {
            record.constrained_to = constraints(given, names);
            record.authority_since = now / DAY_SECS;
            self.remove_authority()?;
        }
        record.given = given.to_vec();
        self.issue(record, names, now)
    }

    /// Makes the certificate again if it ends soon, or this machine has a name or address that it
    /// lacks. Returns whether it did.
    ///
    /// # Errors
    /// As [`Self::init`].
    pub fn renew(&self, names: &[String], now: i64) -> Result<bool, CertificateError> {
        let Some(record) = self.record() else { return Ok(false) };
        let ends_soon = record.expires_at - now < RENEWED_DAYS * DAY_SECS;
        let lacks = |name: &&String| {
            vouches_for(&record.constrained_to, name) && !record.names.contains(name)
        };
        if !ends_soon && !names.iter().any(|name| lacks(&name)) {
            return Ok(false);
        }
        self.issue(record, names, now).map(|_| true)
    }

    fn issue(
        &self,
        mut record: Record,
        names: &[String],
        now: i64,
    ) -> Result<Record, CertificateError> {
        let mut all: Vec<String> = record.given.iter().chain(names).cloned().collect();
        all.retain(|name| vouches_for(&record.constrained_to, name));
        all.sort();
        all.dedup();
        let authority = self.open_authority(&record)?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(all.clone())?;
        params.distinguished_name = named(&record.common_name);
        set_validity(&mut params, now / DAY_SECS - 1, now / DAY_SECS + VALID_DAYS);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &authority)?;
        let authority = self.read(AUTHORITY)?;
        // The key first: a server that finds a new certificate must find its key too.
        self.write(KEY, key.serialize_pem().as_bytes())?;
        self.write(CERTIFICATE, format!("{}{authority}", certificate.pem()).as_bytes())?;
        (record.names, record.expires_at) = (all, now + VALID_DAYS * DAY_SECS);
        let path = self.folder.join(RECORD);
        state_file::write(&path, &record)
            .map_err(|source| CertificateError::Storage { path, source })?;
        Ok(record)
    }

    /// The authority; a new one where there is none.
    fn open_authority(
        &self,
        record: &Record,
    ) -> Result<Issuer<'static, KeyPair>, CertificateError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(&format!("{} (authority)", record.common_name));
        let since = record.authority_since;
        set_validity(&mut params, since - 1, since + AUTHORITY_VALID_DAYS);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.name_constraints = Some(name_constraints(&record.constrained_to));
        if let Ok(key) = self.read(AUTHORITY_KEY) {
            return Ok(Issuer::new(params, KeyPair::from_pem(&key)?));
        }
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        self.write(AUTHORITY_KEY, key.serialize_pem().as_bytes())?;
        self.write(AUTHORITY, certificate.pem().as_bytes())?;
        Ok(Issuer::new(params, key))
    }

    fn remove_authority(&self) -> Result<(), CertificateError> {
        let path = self.folder.join(AUTHORITY_KEY);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(CertificateError::Storage { path, source })
            }
            _ => Ok(()),
        }
    }

    fn read(&self, name: &str) -> Result<String, CertificateError> {
        let path = self.folder.join(name);
        fs::read_to_string(&path).map_err(|source| CertificateError::Storage { path, source })
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), CertificateError> {
        let path = self.folder.join(name);
        self.replace(&path, content).map_err(|source| CertificateError::Storage { path, source })
    }

    /// Replaces a file as a whole. Mode 0600; a file that root writes gets the state folder's owner.
    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let state = fs::metadata(self.folder.parent().unwrap_or(&self.folder))?;
        crate::private::create_folder(&self.folder)?;
        let owned = |path: &Path| -> io::Result<()> {
            if fs::metadata(path)?.uid() == state.uid() {
                return Ok(());
            }
            std::os::unix::fs::chown(path, Some(state.uid()), Some(state.gid()))
        };
        owned(&self.folder)?;
        let draft = path.with_extension("new");
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(content)?;
        file.sync_all()?;
        owned(&draft)?;
        fs::rename(draft, path)
    }
}

/// The names and addresses at which this machine is reached, by itself too.
pub fn own_names() -> Vec<String> {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim().to_ascii_lowercase();
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    if !host.is_empty() && host.chars().all(is_name) {
        names.extend(host.split('.').next().map(|short| format!("{short}.local")));
        names.push(host);
    }
    names.extend(addresses::of_this_machine().iter().map(ToString::to_string));
    names.sort();
    names.dedup();
    names
}

/// SHA-256 of a certificate in DER, as devices show it.
pub fn fingerprint(der: &[u8]) -> String {
    let octets = Sha256::digest(der);
    octets.iter().map(|octet| format!("{octet:02X}")).collect::<Vec<_>>().join(":")
}

fn constraints(given: &[String], names: &[String]) -> Vec<String> {
    let mut constrained: Vec<String> = given.iter().chain(names).cloned().collect();
    constrained.push("local".to_owned());
    constrained.sort();
    constrained.dedup();
    constrained
}

/// Whether an authority that is constrained to these names, and to [`NETWORKS`], may certify
/// `name`.
fn vouches_for(constrained_to: &[String], name: &str) -> bool {
    if let Ok(address) = name.parse::<IpAddr>() {
        let private = NETWORKS.iter().any(|(network, prefix)| is_in(address, network, *prefix));
        return private || constrained_to.iter().any(|known| known == name);
    }
    constrained_to.iter().any(|known| {
        name == known || name.strip_suffix(known.as_str()).is_some_and(|rest| rest.ends_with('.'))
    })
}

fn is_in(address: IpAddr, network: &str, prefix: u8) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    };
    let Ok(network) = network.parse::<IpAddr>() else { return false };
    let shift = 128 - u32::from(prefix);
    address.is_ipv4() == network.is_ipv4()
        && bits(address).checked_shr(shift) == bits(network).checked_shr(shift)
}

fn name_constraints(constrained_to: &[String]) -> NameConstraints {
    let network = |address: IpAddr, prefix| {
        GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, prefix))
    };
    let networks = NETWORKS.iter().filter_map(|(text, prefix)| Some((text.parse().ok()?, *prefix)));
    let mut permitted: Vec<GeneralSubtree> =
        networks.map(|(address, prefix)| network(address, prefix)).collect();
    for name in constrained_to {
        permitted.push(match name.parse::<IpAddr>() {
            Ok(address) => network(address, if address.is_ipv4() { 32 } else { 128 }),
            Err(_) => GeneralSubtree::DnsName(name.clone()),
        });
    }
    NameConstraints { permitted_subtrees: permitted, excluded_subtrees: Vec::new() }
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

/// The first and the last day of a certificate, as days since the Unix epoch.
fn set_validity(params: &mut CertificateParams, from: i64, until: i64) {
    let date = |days: i64| {
        let time = jiff::Timestamp::from_second(days * DAY_SECS).unwrap_or_default();
        let date = time.to_zoned(jiff::tz::TimeZone::UTC).date();
        (i32::from(date.year()), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    let ((year, month, day), last) = (date(from), date(until));
    params.not_before = rcgen::date_time_ymd(year, month, day);
    params.not_after = rcgen::date_time_ymd(last.0, last.1, last.2);
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_767_603_600;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_authority_stays_and_the_certificate_is_renewed_in_time_or_for_a_new_address() {
        let state = tempfile::tempdir().unwrap();
        let certificates = Certificates::new(state.path());
        let own = names(&["door", "192.168.1.20"]);
        let first = certificates.init(&[], &own, "Paris Rivoli", NOW).unwrap();
        assert_eq!(first.names, names(&["192.168.1.20", "door"]));
        let authority = fs::read(certificates.authority()).unwrap();
        assert!(!certificates.renew(&own, NOW).unwrap());
        assert!(!certificates.renew(&own, NOW + 300 * DAY_SECS).unwrap());
        assert!(certificates.renew(&own, NOW + 310 * DAY_SECS).unwrap());
        let moved = names(&["door", "192.168.1.99"]);
        assert!(certificates.renew(&moved, NOW + 311 * DAY_SECS).unwrap());
        assert!(!certificates.renew(&moved, NOW + 312 * DAY_SECS).unwrap());
        let foreign = names(&["door", "192.168.1.99", "198.51.100.7"]);
        assert!(!certificates.renew(&foreign, NOW + 312 * DAY_SECS).unwrap(), "not private");
        assert_eq!(fs::read(certificates.authority()).unwrap(), authority);

        let given = names(&["grelot.rivoli.example"]);
        let named = certificates.init(&given, &own, "Paris Rivoli", NOW).unwrap();
        assert!(named.names.contains(&given[0]));
        assert_ne!(
            fs::read(certificates.authority()).unwrap(),
            authority,
            "it may not vouch so far"
        );
    }

    #[test]
    fn an_authority_vouches_for_the_local_network_and_its_own_names_only() {
        let own = names(&["door", "local"]);
        for name in ["door", "till.local", "10.1.2.3", "172.31.0.1", "192.168.0.1", "fd00::1"] {
            assert!(vouches_for(&own, name), "{name}");
        }
        for name in ["bank.example", "backdoor", "8.8.8.8", "172.32.0.1", "2001:db8::1"] {
            assert!(!vouches_for(&own, name), "{name}");
        }
    }
}
