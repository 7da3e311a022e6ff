//! `grelot fleet serve --listen`: all stores on a page, and as measures for Prometheus. It only reads.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::database::{FleetError, Location};
use super::overview::{Condition, GatewayOverview};
use super::store::FleetStore;
use super::stores::StoreOverview;
use super::{measures, picture, tuning};
use crate::assets::{Assets, CSS, HTML, SCRIPT, SVG};
use crate::clock::Clocks;
use crate::pipeline::units::Tick;
use crate::telemetry::measures::CONTENT_TYPE;

/// The tablets' style, and that of this page alone.
const FILES: [(&str, &str, &[u8]); 5] = [
    ("/", HTML, include_bytes!("page/index.html")),
    ("/page/style.css", CSS, include_bytes!("../tablets/page/style.css")),
    ("/page/fleet.css", CSS, include_bytes!("page/fleet.css")),
    ("/page/fleet.js", SCRIPT, include_bytes!("page/fleet.js")),
    ("/page/bell.svg", SVG, include_bytes!("../tablets/page/bell.svg")),
];

/// Rows of one answer.
const MOST_ROWS: usize = 100;

/// How long one reading of the stores serves all requests.
const FRESH: Duration = Duration::from_secs(2);

/// How long the page on tuning is as it is: it counts a month.
const TUNING_FRESH: Duration = Duration::from_secs(10);

/// How far a store's history goes back.
const STORY_HOURS: i64 = 7 * 24;

/// Reports of visits in a history.
const STORY_REPORTS: u32 = 50;

/// When the stores were read, and what was read.
type Reading = (Tick, Arc<Vec<StoreOverview>>);

/// The database, read again where what is known of it is not fresh.
#[derive(Clone)]
struct Fleet {
    location: Location,
    /// Open, while no request uses it.
    open: Arc<Mutex<Option<FleetStore>>>,
    clocks: Clocks,
    seen: Arc<Mutex<Option<Reading>>>,
    /// The page on tuning, and when it was made.
    tuning: Arc<Mutex<Option<(Tick, Bytes)>>>,
}

/// Why there is no answer.
enum Unanswered {
    Database(FleetError),
    Ended,
    Unknown,
}

impl From<FleetError> for Unanswered {
    fn from(error: FleetError) -> Self {
        Self::Database(error)
    }
}

impl IntoResponse for Unanswered {
    fn into_response(self) -> Response {
        match self {
            // The task that writes into it says so, once.
            Self::Database(error) if error.may_pass() => {
                StatusCode::SERVICE_UNAVAILABLE.into_response()
            }
            Self::Database(error) => {
                tracing::error!(%error, "the page cannot read head office's database");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
            Self::Ended => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            Self::Unknown => StatusCode::NOT_FOUND.into_response(),
        }
    }
}

/// All routes, over head office's database.
pub fn routes(location: Location, clocks: Clocks) -> Router {
    let files = FILES.map(|(path, kind, content)| (path, kind, Bytes::from_static(content)));
    Router::new()
        .merge(Assets::new(files).routes(|| StatusCode::NOT_FOUND.into_response()))
        .route("/stores.json", get(stores))
        .route("/stores/{store}", get(story))
        .route("/map.svg", get(map))
        .route("/tuning", get(tuning))
        .route("/metrics", get(metrics))
        .layer(middleware::map_response(protect))
        .with_state(Fleet {
            location,
            open: Arc::default(),
            clocks,
            seen: Arc::default(),
            tuning: Arc::default(),
        })
}

/// The page loads nothing from elsewhere, and is shown in no other page.
async fn protect(mut response: Response) -> Response {
    let headers = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

impl Fleet {
    /// Reads the database on a thread of its own.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Self, &mut FleetStore) -> Result<T, Unanswered> + Send + 'static,
    ) -> Result<T, Unanswered> {
        let this = self.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let kept = || this.open.lock().unwrap_or_else(PoisonError::into_inner);
            let open = kept().take();
            let mut store = match open {
                Some(store) => store,
                None => FleetStore::open(this.location.clone())?,
            };
            let answer = read(&this, &mut store)?;
            *kept() = Some(store);
            Ok(answer)
        });
        reading.await.map_err(|_| Unanswered::Ended)?
    }

    /// All stores, read a moment ago at most.
    async fn stores(&self) -> Result<Arc<Vec<StoreOverview>>, Unanswered> {
        if let Some(stores) = self.fresh() {
            return Ok(stores);
        }
        self.read(|this, store| {
            // Others may have waited for the same.
            let mut seen = this.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let now = this.clocks.now();
            if let Some((at, stores)) = &*seen
                && now.tick.since(*at) < FRESH
            {
                return Ok(Arc::clone(stores));
            }
            let stores = Arc::new(store.stores(now.clock.reading())?);
            *seen = Some((now.tick, Arc::clone(&stores)));
            Ok(stores)
        })
        .await
    }

    fn fresh(&self) -> Option<Arc<Vec<StoreOverview>>> {
        let seen = self.seen.try_lock().ok()?;
        let (at, stores) = seen.as_ref()?;
        (self.clocks.now().tick.since(*at) < FRESH).then(|| Arc::clone(stores))
    }
}

/// Which stores, in which order.
#[derive(Deserialize)]
#[serde(default)]
struct Asked {
    condition: Option<String>,
    attention: bool,
    search: String,
    sort: Sort,
    down: bool,
    offset: usize,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            condition: None,
            attention: false,
            search: String::new(),
            sort: Sort::Condition,
            down: false,
            offset: 0,
        }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Sort {
    Condition,
    Store,
    Arrivals,
    Alerts,
    Claimed,
    False,
    Heard,
    Settings,
    Seen,
}

#[derive(Serialize)]
struct Shown<'a> {
    now: String,
    all: usize,
    attention: usize,
    conditions: Vec<(Condition, usize)>,
    matching: usize,
    stores: Vec<&'a StoreOverview>,
}

async fn stores(
    State(fleet): State<Fleet>,
    Query(asked): Query<Asked>,
) -> Result<Response, Unanswered> {
    let stores = fleet.stores().await?;
    let mut matching: Vec<&StoreOverview> =
        stores.iter().filter(|store| asked.wants(store)).collect();
    asked.order(&mut matching);
    let count = |condition| stores.iter().filter(|store| store.condition == condition).count();
    let shown = Shown {
        now: fleet.clocks.now().clock.reading().to_string(),
        all: stores.len(),
        attention: stores.iter().filter(|store| store.attention).count(),
        conditions: Condition::ALL.map(|condition| (condition, count(condition))).to_vec(),
        matching: matching.len(),
        stores: matching.into_iter().skip(asked.offset).take(MOST_ROWS).collect(),
    };
    Ok(Json(shown).into_response())
}

impl Asked {
    fn wants(&self, store: &StoreOverview) -> bool {
        let search = self.search.trim().to_lowercase();
        let found = |text: &str| text.to_lowercase().contains(&search);
        self.condition.as_deref().is_none_or(|word| word == store.condition.word())
            && (!self.attention || store.attention)
            && (search.is_empty()
                || store.store.to_string().starts_with(&search)
                || store.troubles.iter().any(|trouble| found(trouble)))
    }

    /// Unknown figures come last.
    fn order(&self, stores: &mut [&StoreOverview]) {
        let unknown = if self.down { f64::NEG_INFINITY } else { f64::INFINITY };
        let by = |key: fn(&StoreOverview) -> Option<f64>, stores: &mut [&StoreOverview]| {
            stores.sort_by(|a, b| key(a).unwrap_or(unknown).total_cmp(&key(b).unwrap_or(unknown)));
        };
        match self.sort {
            Sort::Condition => stores.sort_by_key(|store| (!store.attention, store.condition)),
            Sort::Store => {}
            Sort::Arrivals => stores.sort_by_key(|store| store.figures.arrivals),
            Sort::Alerts => stores.sort_by_key(|store| store.figures.alerts),
            Sort::Claimed => by(|store| store.claimed_after_s, stores),
            // Orders by what is certainly bad, not by what was judged once.
            Sort::False => by(|store| Some(store.false_alerts.low), stores),
            Sort::Heard => by(|store| store.heard, stores),
            Sort::Settings => stores.sort_by_key(|store| {
                store.documents.iter().filter_map(|document| document.serial).max()
            }),
            Sort::Seen => stores.sort_by(|a, b| a.seen_at.cmp(&b.seen_at)),
        }
        if self.down {
            stores.reverse();
        }
    }
}

/// Everything known of one store, as JSON.
async fn story(
    State(fleet): State<Fleet>,
    Path(number): Path<u16>,
) -> Result<Json<Value>, Unanswered> {
    let now = fleet.clocks.now().clock.reading();
    let all = fleet.stores().await?;
    let known = all.iter().find(|store| store.store == number).ok_or(Unanswered::Unknown)?.clone();
    fleet
        .read(move |_, store| {
            let gateways: Vec<GatewayOverview> = store.gateways_of(number, now)?;
            let until = (now.unix_millis() / 1000).div_euclid(3600) + 1;
            let since = until - STORY_HOURS;
            let hours = store.hours(number, since)?;
            let reports = store.latest_reports(number, STORY_REPORTS)?;
            Ok(Json(json!({
                "store": known,
                "gateways": gateways,
                "hours": picture::hours(&hours, since, until),
                "most": hours.iter().map(|hour| hour.arrivals).max(),
                "reports": reports,
            })))
        })
        .await
}

async fn map(State(fleet): State<Fleet>) -> Result<Response, Unanswered> {
    let stores = fleet.stores().await?;
    Ok(([(header::CONTENT_TYPE, SVG)], picture::map(&stores)).into_response())
}

/// What staff say, what is proposed, and how far it has come, as HTML without a script.
async fn tuning(State(fleet): State<Fleet>) -> Result<Response, Unanswered> {
    let made = fleet
        .read(|this, store| {
            // Others may have waited for the same.
            let mut made = this.tuning.lock().unwrap_or_else(PoisonError::into_inner);
            let now = this.clocks.now();
            if let Some((at, page)) = &*made
                && now.tick.since(*at) < TUNING_FRESH
            {
                return Ok(page.clone());
            }
            let page = Bytes::from(tuning::page(store, now.clock.reading())?);
            *made = Some((now.tick, page.clone()));
            Ok(page)
        })
        .await?;
    Ok(([(header::CONTENT_TYPE, HTML)], made).into_response())
}

async fn metrics(State(fleet): State<Fleet>) -> Result<Response, Unanswered> {
    let now = fleet.clocks.now().clock.reading();
    let text = fleet
        .read(move |_, store| {
            let gateways = store.overview(now)?;
            Ok(measures::of(&gateways, &store.stores_of(&gateways, now)?).text())
        })
        .await?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}
