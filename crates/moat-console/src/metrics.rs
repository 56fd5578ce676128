//! What `/metrics` tells, in the text format of Prometheus.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// A request by its route's pattern: never by its path, which callers choose.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: u16,
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    requests: Family<RequestLabels, Counter>,
    seconds: Histogram,
    pub streams: Gauge,
    pub stream_gaps: Counter,
    pub sign_ins_refused: Counter,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let mut registry = Registry::with_prefix("moat_console");
        let requests = Family::default();
        registry.register("http_requests", "Requests answered", requests.clone());
        let seconds = Histogram::new([0.001, 0.005, 0.01, 0.05, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0]);
        registry.register("http_request_seconds", "Time until the answer began", seconds.clone());
        let streams = Gauge::default();
        registry.register("event_streams", "Open streams of live events", streams.clone());
        let stream_gaps = Counter::default();
        registry.register(
            "event_stream_gaps",
            "Times that a stream's reader was too slow",
            stream_gaps.clone(),
        );
        let sign_ins_refused = Counter::default();
        registry.register("sign_ins_refused", "Sign-ins that were refused", sign_ins_refused.clone());
        Metrics { registry: Arc::new(registry), requests, seconds, streams, stream_gaps, sign_ins_refused }
    }
}

impl Metrics {
    pub fn answered(&self, method: &str, route: &str, status: u16, time: Duration) {
        let labels = RequestLabels { method: method.to_owned(), route: route.to_owned(), status };
        self.requests.get_or_create(&labels).inc();
        self.seconds.observe(time.as_secs_f64());
    }

    pub fn render(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
