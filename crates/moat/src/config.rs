//! The configuration: file, then environment, then flags; the later overrules the earlier.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::arguments::{Arguments, Command, Driver, Runtime};
use crate::{Outcome, output};

/// Read where no other is named, and where it exists.
const DEFAULT_FILE: &str = "/etc/moat/config.yaml";

/// What the commands work with.
#[derive(Debug)]
pub struct Config {
    pub control: PathBuf,
    pub policies: PathBuf,
    pub state: PathBuf,
    /// Those whose sockets exist, where absent.
    pub runtime: Option<Runtime>,
    pub socket: Option<PathBuf>,
    pub driver: Driver,
    /// The usual ones, where absent.
    pub oci_runtime: Option<String>,
    /// `-` is standard output.
    pub events: PathBuf,
    /// Where each value comes from, by its key in the file.
    sources: BTreeMap<&'static str, Source>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Source {
    Default,
    File,
    Environment,
    Flag,
}

/// One source's values; also the configuration file's shape.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Layer {
    control: Option<PathBuf>,
    policies: Option<PathBuf>,
    state: Option<PathBuf>,
    runtime: Option<Runtime>,
    socket: Option<PathBuf>,
    driver: Option<Driver>,
    oci_runtime: Option<String>,
    events: Option<PathBuf>,
}

impl Config {
    pub fn load(arguments: &Arguments) -> anyhow::Result<Config> {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let named = arguments.config.clone().or_else(|| variable("MOAT_CONFIG").map(PathBuf::from));
        let file = match named {
            Some(path) => Layer::from_file(&path)?.with_context(|| {
                format!("{} is not there: create it, or name another file with `--config`", path.display())
            })?,
            None => Layer::from_file(Path::new(DEFAULT_FILE))?.unwrap_or_default(),
        };
        Ok(Config::merge(file, Layer::from_environment(variable)?, Layer::from_flags(arguments)))
    }

    fn merge(file: Layer, environment: Layer, flags: Layer) -> Config {
        let mut sources = BTreeMap::new();
        let mut pick = |key, file: Option<PathBuf>, environment: Option<PathBuf>, flag: Option<PathBuf>| {
            choose(&mut sources, key, file, environment, flag)
        };
        let control = pick("control", file.control, environment.control, flags.control);
        let policies = pick("policies", file.policies, environment.policies, flags.policies);
        let state = pick("state", file.state, environment.state, flags.state);
        let socket = pick("socket", file.socket, environment.socket, flags.socket);
        let events = pick("events", file.events, environment.events, flags.events);
        let runtime = choose(&mut sources, "runtime", file.runtime, environment.runtime, flags.runtime);
        let driver = choose(&mut sources, "driver", file.driver, environment.driver, flags.driver);
        let oci_runtime =
            choose(&mut sources, "ociRuntime", file.oci_runtime, environment.oci_runtime, flags.oci_runtime);
        Config {
            driver: driver.unwrap_or(Driver::Auto),
            oci_runtime,
            control: control.unwrap_or_else(|| PathBuf::from("/run/moat/control.sock")),
            policies: policies.unwrap_or_else(|| PathBuf::from("/etc/moat/policies")),
            state: state.unwrap_or_else(|| PathBuf::from("/var/lib/moat")),
            runtime,
            socket,
            events: events.unwrap_or_else(|| PathBuf::from("-")),
            sources,
        }
    }

    /// `moat config show`.
    pub fn show(&self, json: bool) -> anyhow::Result<Outcome> {
        let path = |path: &PathBuf| Some(path.display().to_string());
        let runtime =
            self.runtime.and_then(|runtime| Some(runtime.to_possible_value()?.get_name().to_owned()));
        let values = [
            ("control", path(&self.control)),
            ("policies", path(&self.policies)),
            ("state", path(&self.state)),
            ("runtime", runtime),
            ("socket", self.socket.as_ref().and_then(path)),
            ("driver", self.driver.to_possible_value().map(|value| value.get_name().to_owned())),
            ("ociRuntime", self.oci_runtime.clone()),
            ("events", path(&self.events)),
        ];
        if json {
            let values: BTreeMap<_, _> = values
                .iter()
                .map(|(key, value)| (*key, Shown { value: value.as_deref(), source: self.source(key) }))
                .collect();
            output::json(&values)?;
            return Ok(Outcome::Ok);
        }
        let mut rows = Vec::new();
        for (key, value) in values {
            // JSON's strings are YAML's: quoted, they survive any character.
            let value = value.map_or(Ok(String::from("null")), |value| moat_wire::json::line(&value))?;
            rows.push((format!("{key}: {value}"), self.source(key)));
        }
        let width = rows.iter().map(|(text, _)| text.len()).max().unwrap_or(0);
        let mut text = String::new();
        for (row, source) in rows {
            let source = match source {
                Source::Default => "default",
                Source::File => "file",
                Source::Environment => "environment",
                Source::Flag => "flag",
            };
            writeln!(text, "{row:width$}  # {source}")?;
        }
        output::text(&text)?;
        Ok(Outcome::Ok)
    }

    fn source(&self, key: &str) -> Source {
        self.sources.get(key).copied().unwrap_or(Source::Default)
    }
}

#[derive(Debug, Serialize)]
struct Shown<'a> {
    value: Option<&'a str>,
    source: Source,
}

fn choose<T>(
    sources: &mut BTreeMap<&'static str, Source>,
    key: &'static str,
    file: Option<T>,
    environment: Option<T>,
    flag: Option<T>,
) -> Option<T> {
    let (value, source) = [(flag, Source::Flag), (environment, Source::Environment), (file, Source::File)]
        .into_iter()
        .find_map(|(value, source)| Some((value?, source)))?;
    sources.insert(key, source);
    Some(value)
}

impl Layer {
    /// `None` where there is no such file.
    fn from_file(path: &Path) -> anyhow::Result<Option<Layer>> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
        };
        if text.trim().is_empty() {
            return Ok(Some(Layer::default()));
        }
        serde_saphyr::from_str(&text)
            .map(Some)
            .with_context(|| format!("{} is not a configuration of Moat", path.display()))
    }

    fn from_environment(variable: impl Fn(&str) -> Option<OsString>) -> anyhow::Result<Layer> {
        let path = |name| variable(name).map(PathBuf::from);
        let runtime = match variable("MOAT_RUNTIME") {
            None => None,
            Some(value) => match Runtime::from_str(&value.to_string_lossy(), false) {
                Ok(runtime) => Some(runtime),
                Err(_) => bail!(
                    "MOAT_RUNTIME is `{}`: set it to containerd, docker or crio",
                    moat_event::printable(&value.to_string_lossy())
                ),
            },
        };
        let driver = match variable("MOAT_DRIVER") {
            None => None,
            Some(value) => match Driver::from_str(&value.to_string_lossy(), false) {
                Ok(driver) => Some(driver),
                Err(_) => bail!(
                    "MOAT_DRIVER is `{}`: set it to auto, lsm or guard",
                    moat_event::printable(&value.to_string_lossy())
                ),
            },
        };
        Ok(Layer {
            control: path("MOAT_CONTROL"),
            policies: path("MOAT_POLICIES"),
            state: path("MOAT_STATE"),
            runtime,
            socket: path("MOAT_SOCKET"),
            driver,
            oci_runtime: variable("MOAT_OCI_RUNTIME").map(|name| name.to_string_lossy().into_owned()),
            events: path("MOAT_EVENTS"),
        })
    }

    fn from_flags(arguments: &Arguments) -> Layer {
        let control = arguments.control.clone();
        match &arguments.command {
            Command::Up(node) => Layer {
                control,
                policies: node.policies.clone(),
                state: node.state.state.clone(),
                runtime: node.runtime,
                socket: node.socket.clone(),
                driver: node.driver,
                oci_runtime: node.oci_runtime.clone(),
                events: node.events.clone(),
            },
            Command::Uninstall(state) => Layer { control, state: state.state.clone(), ..Layer::default() },
            _ => Layer { control, ..Layer::default() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_overrule_the_environment_and_that_the_file() {
        let layer = |names: &[&str], value: &str| {
            let value = |name| names.contains(&name).then(|| PathBuf::from(value));
            Layer {
                control: value("control"),
                state: value("state"),
                events: value("events"),
                ..Layer::default()
            }
        };
        let config = Config::merge(
            layer(&["control", "state", "events"], "/file"),
            layer(&["control", "state"], "/environment"),
            layer(&["control"], "/flag"),
        );
        assert_eq!((config.control.to_str(), config.source("control")), (Some("/flag"), Source::Flag));
        assert_eq!(
            (config.state.to_str(), config.source("state")),
            (Some("/environment"), Source::Environment)
        );
        assert_eq!((config.events.to_str(), config.source("events")), (Some("/file"), Source::File));
        assert_eq!(config.source("policies"), Source::Default);
    }

    #[test]
    fn a_file_is_read_and_its_mistakes_are_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read = |text: &str| {
            std::fs::write(file.path(), text).unwrap();
            Layer::from_file(file.path())
        };
        let layer = read("state: /var/lib/other\nruntime: docker\n").unwrap().unwrap();
        assert_eq!(layer.runtime, Some(Runtime::Docker));
        assert_eq!(layer.state, Some(PathBuf::from("/var/lib/other")));
        assert_eq!(read("\n").unwrap().unwrap(), Layer::default());
        let error = format!("{:#}", read("state: /a\nstat: /b\n").unwrap_err());
        assert!(error.contains("stat") && error.contains("line 2"), "{error}");
    }

    #[test]
    fn an_unknown_runtime_in_the_environment_is_refused() {
        let error =
            Layer::from_environment(|name| (name == "MOAT_RUNTIME").then(|| OsString::from("pod\nman")))
                .unwrap_err();
        assert_eq!(error.to_string(), r"MOAT_RUNTIME is `pod\nman`: set it to containerd, docker or crio");
    }
}
