//! Where a notifier sends events to, as people configure it, and the secrets that go with it.
//!
//! Secrets are a structure of their own: what the API shows is a [`Destination`], which has none.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One kind of receiver and how to reach it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "NotifierDestination")]
pub enum Destination {
    Syslog(Syslog),
    Splunk(Splunk),
    Elasticsearch(Elasticsearch),
    Webhook(Webhook),
    Slack(Slack),
    Otlp(Otlp),
    File(File),
}

/// Syslog messages (RFC 5424) over UDP (RFC 5426), TCP with octet counting (RFC 6587) or TLS (RFC 5425).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "SyslogDestination")]
pub struct Syslog {
    /// `HOST:PORT`.
    pub address: String,
    pub transport: Transport,
    #[serde(default)]
    pub format: SyslogFormat,
    /// RFC 5424 table 1; 16 is `local0`.
    #[serde(default = "local0")]
    pub facility: u8,
    /// Longest message in bytes; what does not fit is left out, and the message says so. 2048 over UDP and 8192
    /// otherwise, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u32>,
    /// Certificates in PEM that the receiver's must descend from; the system's, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "SyslogTransport")]
pub enum Transport {
    Udp,
    Tcp,
    Tls,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum SyslogFormat {
    /// Fields as structured data.
    #[default]
    Rfc5424,
    /// `ArcSight` Common Event Format, as the message of an RFC 5424 header.
    Cef,
}

/// Splunk's HTTP Event Collector. Secret: `token`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "SplunkDestination")]
pub struct Splunk {
    /// `https://splunk.example.org:8088`.
    pub url: String,
    /// The token's own, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// Lets the secret travel over `http`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plaintext: bool,
}

/// The bulk interface of Elasticsearch and OpenSearch. Secrets: `token` (an API key), or `password` of `user`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ElasticsearchDestination")]
pub struct Elasticsearch {
    pub url: String,
    /// An index, an alias or a data stream.
    pub index: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plaintext: bool,
}

/// A POST of JSON, signed as <https://www.standardwebhooks.com> says. Secrets: `signingKey` (`whsec_` and base64),
/// and `authorization`, the header's value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "WebhookDestination")]
pub struct Webhook {
    pub url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plaintext: bool,
}

/// An incoming webhook of Slack, or of Mattermost, Rocket.Chat and others that take the same messages. Its URL is
/// the secret `url`: who knows it can write to the channel.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "SlackDestination")]
pub struct Slack {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub plaintext: bool,
}

/// OpenTelemetry logs as JSON over HTTP. Secret, if it needs one: `authorization`, the header's value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "OtlpDestination")]
pub struct Otlp {
    /// Of the collector; `/v1/logs` is added.
    pub url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plaintext: bool,
}

/// A file of JSON lines in the console's folder for such files. Rotated by renaming it: it is made anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "FileDestination")]
pub struct File {
    /// A file's name without folders.
    pub name: String,
}

/// What only the console may know. Written, never shown.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "NotifierSecrets")]
pub struct Secrets {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

impl Secrets {
    fn fields(&self) -> [(&'static str, &Option<String>); 5] {
        [
            ("token", &self.token),
            ("password", &self.password),
            ("signingKey", &self.signing_key),
            ("authorization", &self.authorization),
            ("url", &self.url),
        ]
    }

    /// Which there are.
    pub fn names(&self) -> Vec<&'static str> {
        self.fields().into_iter().filter(|(_, value)| value.is_some()).map(|(name, _)| name).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.names().is_empty()
    }
}

impl Destination {
    /// The name of its kind, as in the configuration.
    pub fn kind(&self) -> &'static str {
        match self {
            Destination::Syslog(_) => "syslog",
            Destination::Splunk(_) => "splunk",
            Destination::Elasticsearch(_) => "elasticsearch",
            Destination::Webhook(_) => "webhook",
            Destination::Slack(_) => "slack",
            Destination::Otlp(_) => "otlp",
            Destination::File(_) => "file",
        }
    }

    /// Where secrets would travel to: they are sealed for this address, so that whoever changes it must know them.
    pub fn address(&self) -> &str {
        match self {
            Destination::Syslog(syslog) => &syslog.address,
            Destination::Splunk(splunk) => &splunk.url,
            Destination::Elasticsearch(elasticsearch) => &elasticsearch.url,
            Destination::Webhook(webhook) => &webhook.url,
            Destination::Otlp(otlp) => &otlp.url,
            Destination::Slack(_) | Destination::File(_) => "",
        }
    }

    /// The secrets that this kind uses.
    pub fn secrets(&self) -> &'static [&'static str] {
        match self {
            Destination::Splunk(_) => &["token"],
            Destination::Elasticsearch(_) => &["token", "password"],
            Destination::Webhook(_) => &["signingKey", "authorization"],
            Destination::Slack(_) => &["url"],
            Destination::Otlp(_) => &["authorization"],
            Destination::Syslog(_) | Destination::File(_) => &[],
        }
    }
}

fn local0() -> u8 {
    16
}
