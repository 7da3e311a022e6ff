//! Bundles over HTTPS: fetched when they changed, resumed where they broke off, announced.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use grelot::config::HttpsUrl;
use grelot::daemon::registry::check::Rules;
use grelot::daemon::registry::https::{Fetched, Remote};
use grelot::daemon::registry::vault::Vault;
use grelot::mqtt::tls;
use grelot::pipeline::units::{Clock, WallTime};
use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::gateway::{Shop, eventually, signature};

/// A server that serves one file and its signature, understands `ETag` and Range, and may hang up
/// in the middle.
#[derive(Clone)]
struct Server {
    port: u16,
    state: Arc<Mutex<ServerState>>,
}

#[derive(Default)]
struct ServerState {
    bundle: Vec<u8>,
    signature: Vec<u8>,
    /// Close the connection after this many octets, once.
    hang_up_after: Option<usize>,
    /// The requests' paths and ranges.
    asked: Vec<String>,
    served: usize,
    /// Hang up at once.
    closed: bool,
}

impl Server {
    /// Starts on a free port; its certificate is in `dir/ca.pem`.
    async fn start(dir: &Path) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(dir.join("ca.pem"), certificate.pem()).unwrap();
        let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            state: Arc::new(Mutex::new(ServerState::default())),
        };
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, serving) = (acceptor.clone(), serving.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serving.serve(stream).await;
                    }
                });
            }
        });
        server
    }

    async fn serve(&self, mut stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>) {
        let mut request = Vec::new();
        let mut octet = [0; 1];
        while stream.read_exact(&mut octet).await.is_ok() {
            request.push(octet[0]);
            if request.ends_with(b"\r\n\r\n") {
                let text = String::from_utf8(std::mem::take(&mut request)).unwrap();
                let (answer, hang_up) = self.answer(&text.to_lowercase());
                if self.state.lock().unwrap().closed {
                    return;
                }
                if stream.write_all(&answer).await.is_err() || hang_up {
                    let _ = stream.flush().await;
                    return;
                }
            }
        }
    }

    fn answer(&self, request: &str) -> (Vec<u8>, bool) {
        let header = |name: &str| {
            request
                .lines()
                .find_map(|line| line.strip_prefix(&format!("{name}: ")))
                .map(str::to_owned)
        };
        let path = request.split(' ').nth(1).unwrap().to_owned();
        let mut state = self.state.lock().unwrap();
        let range = header("range");
        state.asked.push(format!("{path} {}", range.clone().unwrap_or_default()));
        let mut body = state.bundle.clone();
        if path.ends_with(".minisig") {
            body.clone_from(&state.signature);
        }
        let etag =
            format!("\"{}-{}\"", body.len(), body.iter().map(|o| u64::from(*o)).sum::<u64>());
        if header("if-none-match").as_deref() == Some(etag.as_str()) {
            return (b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec(), false);
        }
        state.served += usize::from(!path.ends_with(".minisig"));
        let from = range.filter(|_| header("if-range").as_deref() == Some(etag.as_str()));
        let from: Option<usize> =
            from.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        let (status, range) = match from {
            Some(from) => {
                let all = body.len();
                body.drain(..from);
                (
                    "206 Partial Content",
                    format!("Content-Range: bytes {from}-{}/{all}\r\n", all - 1),
                )
            }
            None => ("200 OK", String::new()),
        };
        let length = body.len();
        let hang_up = state.hang_up_after.take().filter(|_| !path.ends_with(".minisig"));
        body.truncate(hang_up.unwrap_or(usize::MAX));
        let head =
            format!("HTTP/1.1 {status}\r\nETag: {etag}\r\n{range}Content-Length: {length}\r\n\r\n");
        ([head.into_bytes(), body].concat(), hang_up.is_some())
    }

    fn serve_bundle(&self, bundle: &Path) {
        let mut state = self.state.lock().unwrap();
        state.bundle = fs::read(bundle).unwrap();
        state.signature = fs::read(signature(bundle)).unwrap();
    }

    fn url(&self) -> HttpsUrl {
        HttpsUrl { host: "127.0.0.1".to_owned(), port: self.port, path: "/42/c.zst".to_owned() }
    }
}

fn remote(dir: &Path, server: &Server) -> Remote {
    let tls = grelot::config::Tls { ca: Some(dir.join("ca.pem")), certificate: None, key: None };
    Remote::new(server.url(), tls::client(&tls).unwrap())
}

fn clock() -> Clock {
    Clock::Set(WallTime::parse("2026-01-05T09:00:00Z").unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_is_fetched_once_and_resumed_where_it_broke_off() {
    let shop = Shop::new();
    // Customers whose keys do not compress, so that the bundle has several chunks.
    let line = |n: u32| {
        let ck = format!(
            "{:064x}",
            u128::from(n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
        );
        format!(
            r#"{{"client":"c-{n}","tier":"gold","scheme":"token","ck":"{ck}","consent":{{"expires_at":"2099-11-02T00:00:00Z"}}}}"#
        )
    };
    let book: Vec<_> = (0..6_000).map(line).collect();
    fs::write(shop.path("book.jsonl"), book.join("\n")).unwrap();
    shop.office("bundle --from book.jsonl --store 42 --key keys/grelot.key --out www");
    let bundle = shop.path("www/42/customers.jsonl.zst");
    assert!(fs::metadata(&bundle).unwrap().len() > 200_000);
    let server = Server::start(&shop.path("")).await;
    server.serve_bundle(&bundle);

    for vault in [Vault::default(), Vault::with_secret(vec![7; 32]).unwrap()] {
        let folder = tempfile::tempdir().unwrap();
        let rules = Rules::new(42, &[shop.public_key()], folder.path().to_owned(), vault);
        let mut remote = remote(&shop.path(""), &server);
        server.state.lock().unwrap().hang_up_after = Some(150_000);
        server.state.lock().unwrap().asked.clear();
        assert!(remote.fetch(None, &rules).await.is_err(), "it broke off");
        let fetched = remote.fetch(None, &rules).await.unwrap();
        let asked = server.state.lock().unwrap().asked.clone();
        let from: u64 = asked[1]
            .strip_prefix("/42/c.zst bytes=")
            .unwrap()
            .trim_end_matches('-')
            .parse()
            .unwrap();
        assert!((65_536..=150_000).contains(&from), "{asked:?}");
        let Fetched::New { signature, etag } = fetched else { panic!("unchanged") };
        let place = Path::new("https://127.0.0.1");
        let loaded = rules.take_in_incoming(&signature, place, None, clock()).unwrap();
        assert_eq!(loaded.registry.len(), 6_000);
        let kept = fs::read(rules.accepted()).unwrap();
        assert_eq!(kept == fs::read(&bundle).unwrap(), !rules.vault.is_sealed());
        assert_eq!(remote.fetch(etag.as_deref(), &rules).await.unwrap(), Fetched::Unchanged);
        assert_eq!(rules.restore(clock()).unwrap().unwrap().registry.len(), 6_000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_head_office_did_not_sign_for_is_of_no_use() {
    let shop = Shop::new();
    shop.bundle(1, 42, "other", "bundle.zst");
    let server = Server::start(&shop.path("")).await;
    server.serve_bundle(&shop.path("bundle.zst"));
    let folder = tempfile::tempdir().unwrap();
    let rules = Rules::new(42, &[shop.public_key()], folder.path().to_owned(), Vault::default());
    let mut remote = remote(&shop.path(""), &server);
    let Fetched::New { signature, .. } = remote.fetch(None, &rules).await.unwrap() else {
        panic!("unchanged")
    };
    let refused = rules.take_in_incoming(&signature, Path::new("x"), None, clock()).unwrap_err();
    assert!(refused.to_string().contains("not pinned"), "{refused}");
    assert!(!rules.accepted().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_signature_is_not_read_and_its_bundle_does_not_stay_on_the_disk() {
    let shop = Shop::new();
    shop.bundle(1, 42, "keys", "bundle.zst");
    let server = Server::start(&shop.path("")).await;
    server.serve_bundle(&shop.path("bundle.zst"));
    server.state.lock().unwrap().signature = vec![b'a'; 8 << 20];
    let folder = tempfile::tempdir().unwrap();
    let rules = Rules::new(42, &[shop.public_key()], folder.path().to_owned(), Vault::default());
    let mut remote = remote(&shop.path(""), &server);
    let error = remote.fetch(None, &rules).await.unwrap_err();
    assert!(error.to_string().ends_with("sends more than 4096 octets"), "{error}");
    assert!(!rules.incoming().exists());
}

#[test]
fn a_password_in_an_address_is_in_no_message() {
    let secret = HttpsUrl { path: "/c.zst?token=hunter2".to_owned(), ..url("head.example") };
    assert_eq!(secret.to_string(), "https://head.example:443/c.zst?…");
}

fn url(host: &str) -> HttpsUrl {
    HttpsUrl { host: host.to_owned(), port: 443, path: "/c.zst".to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_is_announced_over_mqtt_is_fetched_at_once() {
    let shop = Shop::new();
    let server = Server::start(&shop.path("")).await;
    shop.bundle(1, 42, "keys", "bundle.zst");
    server.serve_bundle(&shop.path("bundle.zst"));
    let (key, port) = (shop.public_key(), server.port);
    shop.configure(&format!(
        "url = \"https://127.0.0.1:{port}/42/c.zst\"\npublic_keys = [\"{key}\"]\ncheck_secs = 86400\n\
         [tls]\nca = \"ca.pem\""
    ));
    tokio::task::spawn_blocking(move || {
        let grelot = shop.run();
        eventually("the first bundle is fetched", || shop.customers() == 1);
        shop.bundle(4, 42, "keys", "bundle.zst");
        server.serve_bundle(&shop.path("bundle.zst"));
        let announce = || shop.say("grelot/v1/42/registry", "{\"v\":1}", &[]);
        announce();
        eventually("the announced bundle is in force", || shop.customers() == 4);

        // What was changed on the server, or on the way, is refused as in a file.
        server.state.lock().unwrap().bundle.pop();
        announce();
        eventually("the damaged one is reported", || shop.trouble().contains("does not fit"));
        assert_eq!(shop.customers(), 4);
        shop.bundle(5, 42, "keys", "bundle.zst");
        server.serve_bundle(&shop.path("bundle.zst"));
        announce();
        eventually("the good one is in force", || shop.customers() == 5);
        assert_eq!(shop.trouble(), "");

        // Known from before the restart, so it need not come again.
        drop(grelot);
        let forget = |state: &mut ServerState| (state.asked.clear(), state.served = 0);
        forget(&mut server.state.lock().unwrap());
        let grelot = shop.run();
        assert_eq!(shop.customers(), 5);
        eventually("it is asked for", || !server.state.lock().unwrap().asked.is_empty());
        assert_eq!(server.state.lock().unwrap().served, 0, "not sent again");

        // No server: reported, and the registry in force stays.
        server.state.lock().unwrap().closed = true;
        announce();
        eventually("that is reported", || shop.trouble().contains("could be fetched"));
        assert_eq!(shop.customers(), 5);
        server.state.lock().unwrap().closed = false;
        announce();
        eventually("that is over", || shop.trouble().is_empty());
        drop(grelot);
    })
    .await
    .unwrap();
}
