//! Stands in front of the OCI runtime (`moat-enforcer oci-runtime`): adds to the specification of a container, before
//! it is made, the seccomp filter that policies ask for, and becomes the runtime.
//!
//! Nothing but the runtime can set it: a filter is inherited and added by the process itself, so that neither the
//! agent nor an OCI hook can give one to somebody else. A container that no policy selects is left as it is.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use moat_wire::control::{Client, NewContainer};
use serde_json::{Value, json};

#[derive(Debug, Args)]
pub struct Settings {
    /// The agent's control socket.
    #[arg(long, value_name = "PATH", env = "MOAT_CONTROL", default_value = "/run/moat/control.sock")]
    control: PathBuf,

    /// The runtime that makes the containers.
    #[arg(long, value_name = "PROGRAM", default_value = "runc")]
    runtime: PathBuf,

    /// What becomes of a container when no agent says what its filter has to refuse.
    #[arg(long, value_enum, default_value = "start")]
    without_agent: WithoutAgent,

    /// What the runtime is told.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WithoutAgent {
    /// It starts without a filter; once an agent runs, its rules are said to be `Degraded`.
    Start,
    /// It is not made.
    Refuse,
}

/// Becomes the runtime; returns only with an error.
pub fn run(settings: &Settings) -> anyhow::Result<()> {
    let invocation = Invocation::read(&settings.arguments);
    if let Some(creation) = &invocation.creation
        && let Err(error) = add_filter(settings, creation)
    {
        // What is said on standard error goes to the container's.
        invocation.complain(&error);
        return Err(error);
    }
    let error = Command::new(&settings.runtime).args(&settings.arguments).exec();
    Err(error).with_context(|| format!("cannot start {}", settings.runtime.display()))
}

fn add_filter(settings: &Settings, creation: &Creation) -> anyhow::Result<()> {
    let calls = match ask(&settings.control, creation.container()) {
        Ok(calls) => calls,
        Err(_) if settings.without_agent == WithoutAgent::Start => return Ok(()),
        Err(error) => {
            return Err(
                error.context("moat: no agent says what the container's seccomp filter has to refuse")
            );
        }
    };
    if calls.is_empty() {
        return Ok(());
    }
    let file = creation.bundle.join("config.json");
    let about = || format!("moat: cannot add the seccomp filter to {}", file.display());
    let text = fs::read(&file).with_context(about)?;
    let mut specification = serde_json::from_slice(&text).with_context(about)?;
    refuse(&mut specification, &calls).with_context(about)?;
    let temporary = file.with_extension("json.moat");
    fs::copy(&file, &temporary).with_context(about)?;
    fs::write(&temporary, serde_json::to_vec(&specification)?).with_context(about)?;
    fs::rename(&temporary, &file).with_context(about)
}

fn ask(control: &Path, container: NewContainer) -> anyhow::Result<BTreeSet<String>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let calls = runtime.block_on(async { Client::connect(control).await?.filter(container).await })?;
    Ok(calls.into_iter().collect())
}

/// How the runtime was called (runc's command line, which others follow).
#[derive(Debug, Default, PartialEq)]
struct Invocation {
    /// Where the caller looks for messages.
    log: Option<PathBuf>,
    /// Set where a container is to be made.
    creation: Option<Creation>,
}

#[derive(Debug, PartialEq)]
struct Creation {
    bundle: PathBuf,
    id: String,
}

/// Options of the runtime itself that take a value.
const OPTIONS: [&str; 5] = ["--log", "--log-format", "--root", "--criu", "--rootless"];

impl Invocation {
    fn read(arguments: &[OsString]) -> Invocation {
        let mut words = arguments.iter().map(|word| word.to_string_lossy());
        let mut invocation = Invocation::default();
        let command = loop {
            let Some(word) = words.next() else { return invocation };
            if let Some(log) = word.strip_prefix("--log=") {
                invocation.log = Some(log.into());
            } else if OPTIONS.contains(&&*word) {
                let value = words.next();
                if word == "--log" {
                    invocation.log = value.map(|log| PathBuf::from(&*log));
                }
            } else if !word.starts_with('-') {
                break word;
            }
        };
        if command != "create" && command != "run" {
            return invocation;
        }
        let mut bundle = PathBuf::from(".");
        let mut id = None;
        while let Some(word) = words.next() {
            if let Some(folder) = word.strip_prefix("--bundle=").or_else(|| word.strip_prefix("-b=")) {
                bundle = folder.into();
            } else if word == "--bundle" || word == "-b" {
                bundle = words.next().unwrap_or_default().as_ref().into();
            } else {
                id = Some(word);
            }
        }
        invocation.creation = id.map(|id| Creation { bundle, id: id.into_owned() });
        invocation
    }

    /// As runc does, so that its caller shows why.
    fn complain(&self, error: &anyhow::Error) {
        let Some(log) = &self.log else { return };
        let line =
            json!({ "level": "error", "msg": format!("{error:#}"), "time": Timestamp::now().to_string() });
        if let Ok(mut log) = OpenOptions::new().append(true).create(true).open(log) {
            // Nobody is left to be told of a failure.
            let _ = writeln!(log, "{line}");
        }
    }
}

impl Creation {
    /// containerd keeps bundles in a folder for each of its namespaces.
    fn container(&self) -> NewContainer {
        let namespace = self.bundle.parent().and_then(Path::file_name).unwrap_or_default();
        NewContainer { namespace: namespace.to_string_lossy().into_owned(), id: self.id.clone() }
    }
}

/// Architectures whose programs the container's kernel runs: a filter that does not name one kills its programs.
const ARCHITECTURES: &[&str] = if cfg!(target_arch = "x86_64") {
    &["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
} else {
    &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]
};

/// Makes the specification's filter refuse these calls with EPERM, and everything else as before.
fn refuse(specification: &mut Value, calls: &BTreeSet<String>) -> anyhow::Result<()> {
    let linux =
        specification.as_object_mut().context("no object")?.entry("linux").or_insert_with(|| json!({}));
    let seccomp =
        linux.as_object_mut().context("linux is no object")?.entry("seccomp").or_insert(Value::Null);
    if seccomp.is_null() {
        *seccomp = json!({ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ARCHITECTURES });
    }
    let seccomp = seccomp.as_object_mut().context("linux.seccomp is no object")?;
    let refuses = seccomp.get("defaultAction").and_then(Value::as_str).is_some_and(|action| {
        ["SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP"]
            .contains(&action)
    });
    let Value::Array(rules) = seccomp.entry("syscalls").or_insert_with(|| json!([])) else {
        bail!("linux.seccomp.syscalls is no list");
    };
    // libseccomp takes no two rules about one call.
    for rule in rules.iter_mut() {
        let names = rule.get_mut("names").and_then(Value::as_array_mut).context("a rule without names")?;
        names.retain(|name| !name.as_str().is_some_and(|name| calls.contains(name)));
    }
    rules.retain(|rule| rule.get("names").and_then(Value::as_array).is_some_and(|names| !names.is_empty()));
    if !refuses {
        rules.push(json!({ "names": calls, "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &str) -> Vec<OsString> {
        words.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn creations_are_told_from_other_commands() {
        let shim = "--root /run/containerd/runc/k8s.io --log /b/k8s.io/a/log.json --log-format json create --bundle \
                    /b/k8s.io/a --pid-file /b/k8s.io/a/init.pid --console-socket /tmp/pty.sock a";
        let invocation = Invocation::read(&words(shim));
        assert_eq!(invocation.log, Some(PathBuf::from("/b/k8s.io/a/log.json")));
        let creation = invocation.creation.unwrap();
        assert_eq!(
            creation.container(),
            NewContainer { namespace: String::from("k8s.io"), id: String::from("a") }
        );
        let short = Invocation::read(&words("--log=/l run -d -b=/x/y id"));
        let creation = Some(Creation { bundle: PathBuf::from("/x/y"), id: String::from("id") });
        assert_eq!(short, Invocation { log: Some(PathBuf::from("/l")), creation });
        for other in ["--version", "--root create start id", "exec --process run.json id", "kill create 9"] {
            assert_eq!(Invocation::read(&words(other)).creation, None, "{other}");
        }
    }

    fn refused(mut specification: Value) -> Value {
        let calls = BTreeSet::from([String::from("mknod"), String::from("personality")]);
        refuse(&mut specification, &calls).unwrap();
        specification
    }

    #[test]
    fn a_container_without_a_filter_gets_one_for_these_calls_alone() {
        let all = refused(json!({ "ociVersion": "1.0.2", "linux": {} }));
        assert_eq!(all.pointer("/linux/seccomp/defaultAction"), Some(&json!("SCMP_ACT_ALLOW")));
        assert_eq!(
            all.pointer("/linux/seccomp/syscalls"),
            Some(&json!([{ "names": ["mknod", "personality"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }]))
        );
        assert_eq!(
            refused(json!({ "linux": { "seccomp": null } })).pointer("/linux/seccomp"),
            all.pointer("/linux/seccomp")
        );
    }

    #[test]
    fn what_a_filter_allows_is_taken_out_of_it() {
        let rules = json!([
            { "names": ["mknod", "read"], "action": "SCMP_ACT_ALLOW" },
            { "names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 0, "op": "SCMP_CMP_EQ" }] },
        ]);
        let filter =
            |action: &str| json!({ "linux": { "seccomp": { "defaultAction": action, "syscalls": rules } } });
        let left = json!({ "names": ["read"], "action": "SCMP_ACT_ALLOW" });
        let added = json!({ "names": ["mknod", "personality"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 });
        let denying = refused(filter("SCMP_ACT_ERRNO"));
        assert_eq!(denying.pointer("/linux/seccomp/syscalls"), Some(&json!([left])));
        let allowing = refused(filter("SCMP_ACT_LOG"));
        assert_eq!(allowing.pointer("/linux/seccomp/syscalls"), Some(&json!([left, added])));
    }

    #[test]
    fn what_is_no_specification_is_refused() {
        let calls = BTreeSet::from([String::from("mknod")]);
        for wrong in [json!([]), json!({ "linux": 1 }), json!({ "linux": { "seccomp": { "syscalls": 1 } } })]
        {
            assert!(refuse(&mut wrong.clone(), &calls).is_err(), "{wrong}");
        }
    }
}
