//! Holds the crates to the table in `crates/README.md`: who may use whom, which are pure, who may be unsafe.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::workspace;

/// Crates that reach out of the process. A crate that the table calls pure uses none of them.
const EDGES: [&str; 11] = [
    "hyper",
    "libbpf-rs",
    "libbpf-sys",
    "libc",
    "notify",
    "rustix",
    "tempfile",
    "tokio",
    "tonic",
    "tracing-subscriber",
    "uuid",
];

/// The only crate that may contain unsafe code.
const UNSAFE: &str = "moat-kernel";

/// What the table says about one crate.
#[derive(Debug, PartialEq, Eq)]
struct Promise {
    pure: bool,
    /// Crates of the workspace, by full name.
    uses: BTreeSet<String>,
}

/// What a crate's manifest says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Manifest {
    /// Direct dependencies, tests' aside.
    dependencies: BTreeSet<String>,
}

/// What is wrong, one line each.
pub fn check() -> Result<Vec<String>> {
    let root = workspace::root()?;
    let table = fs::read_to_string(root.join("crates/README.md")).context("cannot read crates/README.md")?;
    let metadata = workspace::output("cargo", &["metadata", "--format-version=1", "--no-deps", "--locked"])?;
    let promises = read_table(&table);
    let manifests = read_metadata(&serde_json::from_str(&metadata).context("cargo metadata is not JSON")?);

    let mut findings = compare(&promises, &manifests);
    for name in manifests.keys().filter(|name| *name != UNSAFE) {
        let source = root.join("crates").join(name).join("src");
        for file in ["lib.rs", "main.rs"] {
            let Ok(text) = fs::read_to_string(source.join(file)) else { continue };
            if !text.contains("#![forbid(unsafe_code)]") {
                findings.push(format!("crates/{name}/src/{file}: lacks #![forbid(unsafe_code)]"));
            }
        }
    }
    Ok(findings)
}

/// Reads rows of the form `` | `moat-kernel` | what it is | event, policy | ``.
fn read_table(markdown: &str) -> BTreeMap<String, Promise> {
    let mut promises = BTreeMap::new();
    for line in markdown.lines() {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        let [name, summary, uses] = cells.as_slice() else { continue };
        let Some(name) = name.strip_prefix('`').and_then(|name| name.strip_suffix('`')) else { continue };
        let uses = uses.split(',').map(str::trim).filter(|used| !used.is_empty());
        let promise = Promise {
            pure: summary.ends_with("; pure"),
            uses: uses.map(|used| format!("moat-{used}")).collect(),
        };
        promises.insert(name.to_owned(), promise);
    }
    promises
}

/// Reads the packages under `crates/` out of `cargo metadata`.
fn read_metadata(metadata: &Value) -> BTreeMap<String, Manifest> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    list(&metadata["packages"])
        .iter()
        .filter(|package| text(&package["manifest_path"]).contains("/crates/"))
        .map(|package| {
            let dependencies = list(&package["dependencies"])
                .iter()
                .filter(|dependency| dependency["kind"] != "dev")
                .map(|dependency| text(&dependency["name"]))
                .collect();
            (text(&package["name"]), Manifest { dependencies })
        })
        .collect()
}

fn compare(promises: &BTreeMap<String, Promise>, manifests: &BTreeMap<String, Manifest>) -> Vec<String> {
    let mut findings = Vec::new();
    for name in promises.keys().filter(|name| !manifests.contains_key(*name)) {
        findings.push(format!("crates/README.md: lists {name}, which is not a crate of the workspace"));
    }
    for (name, manifest) in manifests {
        let Some(promise) = promises.get(name) else {
            findings.push(format!("crates/README.md: {name} is missing; add its row"));
            continue;
        };
        let uses: BTreeSet<String> =
            manifest.dependencies.iter().filter(|used| manifests.contains_key(*used)).cloned().collect();
        for used in uses.difference(&promise.uses) {
            findings.push(format!(
                "crates/{name}/Cargo.toml: depends on {used}, an arrow that crates/README.md does not have"
            ));
        }
        for used in promise.uses.difference(&uses) {
            findings.push(format!("crates/README.md: says that {name} uses {used}, but it does not"));
        }
        for edge in EDGES.iter().filter(|edge| promise.pure && manifest.dependencies.contains(**edge)) {
            findings.push(format!(
                "crates/{name}/Cargo.toml: depends on {edge}, but crates/README.md calls the crate pure"
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TABLE: &str = "\
| crate | what it is | uses |
| --- | --- | --- |
| `moat-event` | the vocabulary; pure | |
| `moat-kernel` | the kernel edge | event |
";

    fn metadata(event_uses: &[&str], kernel_uses: &[&str]) -> BTreeMap<String, Manifest> {
        let package = |name: &str, uses: &[&str]| {
            let dependencies: Vec<Value> =
                uses.iter().map(|used| json!({ "name": used, "kind": null })).collect();
            json!({ "name": name, "manifest_path": format!("/r/crates/{name}/Cargo.toml"), "dependencies": dependencies })
        };
        read_metadata(&json!({ "packages": [
            package("moat-event", event_uses),
            package("moat-kernel", kernel_uses),
            { "name": "xtask", "manifest_path": "/r/xtask/Cargo.toml", "dependencies": [{ "name": "tokio" }] },
        ] }))
    }

    #[test]
    fn agreement_finds_nothing() {
        assert_eq!(compare(&read_table(TABLE), &metadata(&["serde"], &["moat-event", "libc"])), [""; 0]);
    }

    #[test]
    fn an_arrow_upwards_is_found() {
        let findings = compare(&read_table(TABLE), &metadata(&["moat-kernel"], &["moat-event"]));
        assert_eq!(
            findings,
            [
                "crates/moat-event/Cargo.toml: depends on moat-kernel, an arrow that crates/README.md does not have"
            ]
        );
    }

    #[test]
    fn an_arrow_that_is_gone_is_found() {
        let findings = compare(&read_table(TABLE), &metadata(&[], &[]));
        assert_eq!(findings, ["crates/README.md: says that moat-kernel uses moat-event, but it does not"]);
    }

    #[test]
    fn a_pure_crate_that_reaches_out_is_found() {
        let findings = compare(&read_table(TABLE), &metadata(&["tokio"], &["moat-event"]));
        assert_eq!(
            findings,
            ["crates/moat-event/Cargo.toml: depends on tokio, but crates/README.md calls the crate pure"]
        );
    }

    #[test]
    fn a_test_may_use_anything() {
        let mut manifests = read_metadata(&json!({ "packages": [{
            "name": "moat-event",
            "manifest_path": "/r/crates/moat-event/Cargo.toml",
            "dependencies": [{ "name": "tempfile", "kind": "dev" }],
        }] }));
        manifests.insert(
            String::from("moat-kernel"),
            Manifest { dependencies: [String::from("moat-event")].into() },
        );
        assert_eq!(compare(&read_table(TABLE), &manifests), [""; 0]);
    }

    #[test]
    fn crates_missing_on_either_side_are_found() {
        let mut manifests = metadata(&[], &["moat-event"]);
        manifests.insert(String::from("moat-new"), Manifest::default());
        manifests.remove("moat-kernel");
        assert_eq!(
            compare(&read_table(TABLE), &manifests),
            [
                "crates/README.md: lists moat-kernel, which is not a crate of the workspace",
                "crates/README.md: moat-new is missing; add its row",
            ]
        );
    }
}
