//! The questions, to a person at a terminal: each with what is configured, or what is proposed.

use std::io::{self, BufRead as _, Write as _};

use super::answers::Answers;
use super::document::Document;

/// Asks for everything that no flag has answered.
///
/// # Errors
/// The terminal cannot be read or written.
pub fn ask(answers: &mut Answers, document: &Document) -> io::Result<()> {
    let of = |table, key| document.shown(table, key);
    let store = of("store", "id").and_then(|number| number.parse().ok());
    while answers.store.is_none() {
        let said = question("The store's number, 1 to 65535", store.map(|id: u16| id.to_string()))?;
        answers.store = said.and_then(|said| said.parse().ok()).filter(|id| *id > 0);
    }
    let texts = [
        (&mut answers.store_name, "The store as staff call it", of("store", "name")),
        (&mut answers.time_zone, "Its time zone, such as Europe/Paris", time_zone(document)),
        (
            &mut answers.gateway,
            "This gateway's name",
            of("gateway", "name").or(Some("door".into())),
        ),
    ];
    for (answer, text, proposed) in texts {
        if answer.is_none() {
            *answer = question(text, proposed)?;
        }
    }
    if answers.place.is_none() {
        let place = place_of(answers, document);
        answers.place = question("Where it stands: door, inside or outside", place)?;
    }
    if answers.broker.is_empty() {
        let broker = of("broker", "urls").map(|urls| urls.trim_matches(['[', ']', '"']).to_owned());
        let broker = broker.or(Some("embedded".into()));
        let said = question("The broker: embedded, or mqtts://host:8883", broker)?;
        answers.broker = said.into_iter().flat_map(|urls| split(&urls)).collect();
    }
    if answers.tablets.is_none() {
        let listen = of("tablets", "listen").or(Some("0.0.0.0:8080".into()));
        answers.tablets = question("Where tablets find the page", listen)?;
    }
    if answers.registry_url.is_none() && of("registry", "path").is_none() {
        let url =
            question("Head office's bundle for this store, https://…", of("registry", "url"))?;
        answers.registry_url = url;
        if answers.registry_url.is_some() && answers.public_key.is_empty() {
            let key = question("Head office's public key, RW…", of("registry", "public_keys"))?;
            answers.public_key = key.into_iter().filter(|key| !key.starts_with('[')).collect();
        }
    }
    Ok(())
}

/// As configured, else as this machine has it.
fn time_zone(document: &Document) -> Option<String> {
    let machine = || Some(jiff::tz::TimeZone::system().iana_name()?.to_owned());
    document.shown("store", "time_zone").or_else(machine)
}

fn place_of(answers: &Answers, document: &Document) -> Option<String> {
    let gateway = answers.gateway.as_deref().unwrap_or("gateway");
    document.place(gateway).or(Some("door".into()))
}

/// `mqtts://a:8883", "mqtts://b:8883` or with spaces, as a person types it.
fn split(urls: &str) -> Vec<String> {
    let parts = urls.split([',', ' ', '"']).map(str::trim).filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

/// One line from the terminal; the proposal where it is empty.
fn question(text: &str, proposed: Option<String>) -> io::Result<Option<String>> {
    let mut out = io::stdout().lock();
    match &proposed {
        Some(proposed) => write!(out, "{text} [{proposed}]: ")?,
        None => write!(out, "{text} [none]: ")?,
    }
    out.flush()?;
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line)? == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "no answer"));
    }
    let line = line.trim();
    Ok(if line.is_empty() { proposed } else { Some(line.to_owned()) })
}
