//! Measures as Prometheus reads them. Names begin with `grelot_`, units are in the names, and no
//! label names a customer.

use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// The `Content-Type` of [`Measures::text`].
pub use prometheus_client::encoding::prometheus_text::CONTENT_TYPE;

/// Labels of one value among those of one name.
pub type Labels = Vec<(&'static str, String)>;

/// Measures at one moment.
#[derive(Debug)]
pub struct Measures(Registry);

impl Measures {
    /// None yet; all of them have these labels.
    pub fn new(labels: &[(&'static str, String)]) -> Self {
        let labels = labels.iter().map(|(name, value)| ((*name).into(), value.clone().into()));
        Self(Registry::with_prefix_and_labels("grelot", labels))
    }

    /// A value that goes up and down.
    pub fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.0.register(name, sentence(help), ConstGauge::new(value));
    }

    /// Whether something is so.
    pub fn flag(&mut self, name: &str, help: &str, is_so: bool) {
        self.gauge(name, help, f64::from(u8::from(is_so)));
    }

    /// A count since the start; `_total` is added to its name.
    pub fn count(&mut self, name: &str, help: &str, value: u64) {
        self.0.register(name, sentence(help), ConstCounter::new(value));
    }

    /// Values that go up and down, by their labels.
    pub fn gauges(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels, f64)>,
    ) {
        let family = Family::<Labels, Gauge<f64, std::sync::atomic::AtomicU64>>::default();
        for (labels, value) in values {
            family.get_or_create(&labels).set(value);
        }
        self.0.register(name, sentence(help), family);
    }

    /// Counts since the start, by their labels.
    pub fn counts(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels, u64)>,
    ) {
        let family = Family::<Labels, Counter>::default();
        for (labels, value) in values {
            family.get_or_create(&labels).inc_by(value);
        }
        self.0.register(name, sentence(help), family);
    }

    pub fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.0.register(name, sentence(help), histogram.clone());
    }

    /// In the text format, version 0.0.4.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // To memory: this cannot fail.
        let _ = prometheus_text::encode(&mut text, &self.0);
        text
    }
}

/// The library ends each help with a full stop.
fn sentence(help: &str) -> &str {
    help.trim_end_matches('.')
}
