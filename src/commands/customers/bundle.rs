//! `grelot customers bundle`: customers with their long-term keys to signed registries.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use minisign::SecretKey;
use serde_json::json;

use super::super::{Exit, Global, complain, print};
use super::customer_list::{self, Prepared};
use super::secret::{self, Replacement};
use crate::clock::Clocks;
use crate::config::registry::{BUNDLE, LIFETIME, signature_of};
use crate::pipeline::identity::Consent;
use crate::pipeline::identity::key::Message;
use crate::pipeline::identity::window::Day;
use crate::pipeline::units::WallTime;

/// Compression: higher levels gain 2 % on keys, which are random, and take ten times as long.
const LEVEL: i32 = 3;
/// Window of the compression, 2^19 octets: a gateway holds as much while it reads a bundle, and
/// keys, which are random, repeat nothing.
const WINDOW_LOG: u32 = 19;
/// Number of mistakes that are printed.
const MOST_SHOWN: usize = 20;

/// Arguments of `grelot customers bundle`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grelot customers bundle --from book.jsonl --store 42 --key keys/grelot.key --out www
  grelot customers bundle --from book.jsonl --stores-file stores.txt --day 2026-01-06 \\
      --key keys/grelot.key --password-file password.txt --out www

Writes <out>/<store>/customers.jsonl.zst and its signature, customers.jsonl.zst.minisig. Gateways
take no bundle that is older than the one they have, of another store, older than 48 hours, or
dated in the future; --supersede says that the one they have is a mistake.
Lines of the customer list that no gateway could read are reported and left out; then the exit
code is 1.")]
pub struct Args {
    /// The customer list: customers with their long-term keys
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// A store to bundle for; may be repeated
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..),
          required_unless_present = "stores_file")]
    store: Vec<u16>,
    /// Stores to bundle for, one number a line
    #[arg(long, value_name = "FILE")]
    stores_file: Option<PathBuf>,
    /// The epoch of the stores' beacons
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(..4096))]
    epoch: u16,
    /// The first day, UTC; today, if not given
    #[arg(long, value_name = "DATE")]
    day: Option<jiff::civil::Date>,
    /// How many days: 2 are as much as a stolen gateway should be worth
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=7))]
    days: u32,
    /// The secret key of `keygen`
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The first line of this file unlocks the key; without, a locked key's password is asked for
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The folder that gets a folder for each store
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Replaces bundles that were made up to this time (RFC 3339), although this one is older: for
    /// gateways that have one from a machine whose clock was ahead
    #[arg(long, value_name = "TIME", value_parser = time)]
    supersede: Option<WallTime>,
    /// How many stores to work on at a time; as many as there are processors, if not given
    #[arg(long, value_name = "NUMBER")]
    jobs: Option<usize>,
}

fn time(text: &str) -> Result<WallTime, String> {
    WallTime::parse(text).ok_or_else(|| "an RFC 3339 time is needed".to_owned())
}

/// Runs the command.
///
/// # Errors
/// Where the customer list or the key cannot be read, or a bundle cannot be written.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    let stores = stores(args)?;
    let plan = Plan::new(args)?;
    let key = secret::signing_key(&args.key, args.password_file.as_deref())?;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = args.jobs.unwrap_or(processors).clamp(1, stores.len());
    let shares = stores.chunks(stores.len().div_ceil(jobs));
    let outcomes: Vec<anyhow::Result<Outcome>> = std::thread::scope(|scope| {
        let workers: Vec<_> =
            shares.map(|share| scope.spawn(|| bundle(args, &plan, &key, share))).collect();
        let panicked = |_| Err(anyhow!("a worker ended early"));
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(panicked)).collect()
    });
    let mut mistakes = Vec::new();
    for outcome in outcomes {
        let Outcome { stores, mistakes: of_book } = outcome?;
        mistakes = of_book;
        for store in stores {
            print(&if global.json { store.json(&plan) } else { store.text() })?;
        }
    }
    for (line, reason) in mistakes.iter().take(MOST_SHOWN) {
        complain(&format!("{}:{line}: {reason}", args.from.display()));
    }
    if mistakes.len() > MOST_SHOWN {
        complain(&format!("and {} more lines", mistakes.len() - MOST_SHOWN));
    }
    Ok(if mistakes.is_empty() { Exit::Done } else { Exit::Failed })
}

/// What is the same for every store.
struct Plan {
    days: Vec<Day>,
    epoch: u16,
    made_at: WallTime,
    expires_at: WallTime,
    supersedes: Option<WallTime>,
}

impl Plan {
    fn new(args: &Args) -> anyhow::Result<Self> {
        let made_at = Clocks::machine().now().clock.reading();
        let first = match args.day {
            Some(date) => WallTime::parse(&format!("{date}T00:00:00Z"))
                .with_context(|| format!("{date} is no day"))?,
            None => made_at,
        };
        let day = u32::try_from(first.unix_secs().div_euclid(86_400)).context("before 1970")?;
        let expires_at = made_at.max(first).plus(LIFETIME);
        let days = (day..day + args.days).collect();
        Ok(Self { days, epoch: args.epoch, made_at, expires_at, supersedes: args.supersede })
    }
}

fn stores(args: &Args) -> anyhow::Result<Vec<u16>> {
    let mut stores: BTreeSet<u16> = args.store.iter().copied().collect();
    if let Some(file) = &args.stores_file {
        let text =
            fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            let store = line.trim().parse().ok().filter(|store| *store > 0);
            let store = store.with_context(|| format!("{}:{number}: no store", file.display()))?;
            stores.insert(store);
        }
    }
    if stores.is_empty() {
        bail!("no store is named");
    }
    Ok(stores.into_iter().collect())
}

/// The result for some stores.
struct Outcome {
    stores: Vec<Bundled>,
    mistakes: Vec<(u32, String)>,
}

/// Reads the customer list once and writes the bundles of all `stores`.
fn bundle(args: &Args, plan: &Plan, key: &SecretKey, stores: &[u16]) -> anyhow::Result<Outcome> {
    let mut open = Vec::with_capacity(stores.len());
    for store in stores {
        open.push(Bundle::begin(&args.out, *store, plan)?);
    }
    let mut mistakes = Vec::new();
    customer_list::read(&args.from, |line, object| {
        match customer_list::prepare(object, &plan.days) {
            Ok(customer) => open.iter_mut().try_for_each(|bundle| bundle.add(&customer, plan))?,
            Err(reason) => mistakes.push((line, reason)),
        }
        Ok(())
    })?;
    let stores = open.into_iter().map(|bundle| bundle.finish(key)).collect::<Result<_, _>>()?;
    Ok(Outcome { stores, mistakes })
}

/// One store's bundle while it is written.
struct Bundle {
    bundled: Bundled,
    message: Message,
    path: PathBuf,
    file: Replacement,
    encoder: zstd::Encoder<'static, BufWriter<File>>,
    line: Vec<u8>,
    comment: String,
}

/// The result for one store.
struct Bundled {
    store: u16,
    path: PathBuf,
    customers: usize,
    left_out: usize,
}

impl Bundle {
    fn begin(out: &Path, store: u16, plan: &Plan) -> anyhow::Result<Self> {
        let folder = out.join(store.to_string());
        fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        let path = folder.join(BUNDLE);
        let mut file =
            Replacement::of(&path).with_context(|| format!("writing {}", path.display()))?;
        let written = BufWriter::with_capacity(1 << 16, file.file().try_clone()?);
        let mut encoder = zstd::Encoder::new(written, LEVEL)?;
        encoder.window_log(WINDOW_LOG)?;
        let (made_at, expires_at) = (plan.made_at.to_string(), plan.expires_at.to_string());
        let mut header = json!({
            "grelot": "registry", "version": 1, "store": store, "epoch": plan.epoch,
            "first_day": plan.days.first(), "last_day": plan.days.last(), "made_at": made_at, "expires_at": expires_at,
        });
        if let (Some(until), Some(header)) = (plan.supersedes, header.as_object_mut()) {
            header.insert("supersedes".to_owned(), until.to_string().into());
        }
        writeln!(encoder, "{header}")?;
        let comment =
            format!("grelot registry of store {store}, made {made_at}, expires {expires_at}");
        let bundled = Bundled { store, path: path.clone(), customers: 0, left_out: 0 };
        let message = Message::store(store, plan.epoch);
        Ok(Self { bundled, message, path, file, encoder, line: Vec::new(), comment })
    }

    fn add(&mut self, customer: &Prepared, plan: &Plan) -> anyhow::Result<()> {
        let may = |consent: &Consent| {
            let here =
                consent.stores.as_ref().is_none_or(|stores| stores.contains(&self.bundled.store));
            !consent.withdrawn && consent.expires_at > plan.made_at && here
        };
        if !customer.enrolment.consent.as_ref().is_some_and(may) {
            self.bundled.left_out += 1;
            return Ok(());
        }
        customer.line(&self.message, &mut self.line);
        self.encoder
            .write_all(&self.line)
            .with_context(|| format!("writing {}", self.path.display()))?;
        self.bundled.customers += 1;
        Ok(())
    }

    /// The signature takes its place first: a gateway that reads in between finds that the two do
    /// not fit, changes nothing, and reads again.
    fn finish(mut self, key: &SecretKey) -> anyhow::Result<Bundled> {
        self.encoder.finish()?.flush()?;
        let file = self.file.file();
        file.seek(SeekFrom::Start(0))?;
        let signature = minisign::sign(None, key, file, Some(&self.comment), None)?;
        let path = signature_of(&self.path);
        let mut signed = Replacement::of(&path)?;
        signed.file().write_all(&signature.to_bytes())?;
        signed.done_in_public().with_context(|| format!("writing {}", path.display()))?;
        self.file.done().with_context(|| format!("writing {}", self.path.display()))?;
        Ok(self.bundled)
    }
}

impl Bundled {
    fn text(&self) -> String {
        let Self { store, path, customers, left_out } = self;
        format!(
            "store {store}: {customers} customers, {left_out} without consent there: {}",
            path.display()
        )
    }

    fn json(&self, plan: &Plan) -> String {
        json!({
            "store": self.store, "file": self.path.display().to_string(),
            "customers": self.customers, "left_out": self.left_out,
            "made_at": plan.made_at.to_string(), "expires_at": plan.expires_at.to_string(),
        })
        .to_string()
    }
}
