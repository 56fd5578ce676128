//! Holds the documents to the tree: every relative link in a Markdown file names something that exists.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::workspace;

/// What is wrong, one line each.
pub fn check() -> Result<Vec<String>> {
    let root = workspace::root()?;
    let mut documents = Vec::new();
    collect(&root, &mut documents).context("cannot list the documents")?;
    documents.sort();
    let mut findings = Vec::new();
    for path in documents {
        let name = path.strip_prefix(&root).unwrap_or(&path).display();
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {name}"))?;
        let folder = path.parent().unwrap_or(&root);
        for (line, target) in targets(&text).filter(|(_, target)| is_missing(folder, target)) {
            findings.push(format!("{name}:{line}: links to {target}, which does not exist"));
        }
    }
    Ok(findings)
}

/// Markdown files under `folder`, those that a build made aside.
fn collect(folder: &Path, documents: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        if kind.is_dir() && !name.starts_with('.') && !["node_modules", "target"].contains(&name) {
            collect(&path, documents)?;
        } else if kind.is_file() && path.extension() == Some(OsStr::new("md")) {
            documents.push(path);
        }
    }
    Ok(())
}

/// Targets of inline links, `[text](target)`, outside fenced code, with their line numbers from 1.
fn targets(markdown: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    markdown
        .lines()
        .enumerate()
        .filter(move |(_, line)| {
            fenced ^= line.trim_start().starts_with("```");
            !fenced
        })
        .flat_map(|(index, line)| {
            line.split("](").skip(1).filter_map(move |rest| Some((index + 1, rest.split_once(')')?.0)))
        })
}

fn is_missing(folder: &Path, target: &str) -> bool {
    let file = target.split_once('#').map_or(target, |(file, _)| file);
    !file.is_empty() && !file.contains("://") && !file.starts_with("mailto:") && !folder.join(file).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_targets_with_their_lines_and_skips_code() {
        let text = "see [a](b.md) and [c](d.md#e)\n```\n[no](code.md)\n```\n[f](https://g.example)\n";
        let found: Vec<_> = targets(text).collect();
        assert_eq!(found, [(1, "b.md"), (1, "d.md#e"), (5, "https://g.example")]);
    }

    #[test]
    fn only_files_can_be_missing() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(is_missing(folder, "no-such-file.md"));
        for present in
            ["Cargo.toml", "src/main.rs#L1", "#anchor", "https://example.org/x", "mailto:a@example.org"]
        {
            assert!(!is_missing(folder, present), "{present}");
        }
    }
}
