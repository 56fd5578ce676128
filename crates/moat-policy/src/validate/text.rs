//! Checks of single strings.

use std::net::IpAddr;
use std::ops::Range;

use ipnet::IpNet;

use crate::diagnostic::{Printable, is_unsafe};
use crate::glob::{Glob, GlobError};
use crate::select::Selector;
use crate::{MAX_PATH_BYTES, automaton, capabilities, ports, suggest, syscalls};

/// Longest name of a policy or rule: that of a DNS subdomain (RFC 1123).
const MAX_NAME: usize = 253;
/// Longest name of a directory entry (`NAME_MAX` of limits.h), taken for users' names too.
const MAX_BASE_NAME: usize = 255;
/// Longest glob over names and image references.
const MAX_GLOB: usize = 512;

const GLOB_HELP: &str = "globs know `*`, `**`, `?`, `[a-z]` and `{a,b}`; write `[*]` for a literal `*`";

/// What is wrong with a string.
#[derive(Debug)]
pub(super) struct Fault {
    pub message: String,
    pub help: Option<String>,
    /// The bytes of the string that are wrong, where it is not the whole.
    pub range: Option<Range<usize>>,
}

impl Fault {
    pub fn new(message: impl Into<String>) -> Fault {
        Fault { message: message.into(), help: None, range: None }
    }

    pub fn help(mut self, help: impl Into<String>) -> Fault {
        self.help = Some(help.into());
        self
    }

    fn at(mut self, range: Range<usize>) -> Fault {
        self.range = Some(range);
        self
    }
}

/// What holds for every string that people write: it says something, and nothing that cannot be seen.
fn plain(text: &str) -> Result<(), Fault> {
    if text.is_empty() {
        return Err(
            Fault::new("an empty string matches nothing").help("remove it, or say what it should match")
        );
    }
    if let Some((at, character)) = text.char_indices().find(|(_, character)| is_unsafe(*character)) {
        let message = format!("the character {} cannot be seen", character.escape_default());
        return Err(Fault::new(message).at(at..at + character.len_utf8()).help("remove it"));
    }
    Ok(())
}

fn no_longer_than(text: &str, limit: usize) -> Result<(), Fault> {
    if text.len() > limit {
        let message = format!("`{}` has {} bytes, the limit is {limit}", Printable(text), text.len());
        return Err(Fault::new(message));
    }
    Ok(())
}

/// The name of a policy, rule or benchmark.
pub(super) fn name(text: &str) -> Result<(), Fault> {
    const HELP: &str =
        "a name has letters, digits, `.`, `_` and `-`, 253 at most, and starts with a letter or digit";
    if text.is_empty() {
        return Err(Fault::new("the name is empty").help(HELP));
    }
    no_longer_than(text, MAX_NAME)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if let Some((at, character)) = text.char_indices().find(|(_, character)| !allowed(*character)) {
        let message = format!("the name `{}` has the character {character:?}", Printable(text));
        return Err(Fault::new(message).at(at..at + character.len_utf8()).help(HELP));
    }
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(Fault::new(format!("the name `{text}` does not start with a letter or digit")).help(HELP));
    }
    Ok(())
}

/// A glob over names, as in the selectors.
pub(super) fn name_glob(text: &str) -> Result<(), Fault> {
    plain(text)?;
    no_longer_than(text, MAX_GLOB)?;
    stars_stand_alone(text)?;
    Selector::check_glob(text).map_err(|error| Fault::new(error.to_string()).help(GLOB_HELP))
}

fn stars_stand_alone(text: &str) -> Result<(), Fault> {
    let Some(component) = text.split('/').find(|part| part.contains("**") && *part != "**") else {
        return Ok(());
    };
    Err(Fault::new(format!("`**` must stand alone between slashes, not as in `{}`", Printable(component)))
        .help("`*` matches within one component, `**` any number of components"))
}

/// An exact absolute path.
pub(super) fn path(text: &str) -> Result<(), Fault> {
    absolute(text)?;
    if let Some(at) = text.find(['*', '?']) {
        return Err(Fault::new(format!("`{text}` is an exact path, `*` and `?` mean themselves"))
            .at(at..at + 1)
            .help("move it to `pathGlobs`"));
    }
    Ok(())
}

/// An absolute path that may be a glob.
pub(super) fn path_glob(text: &str) -> Result<(), Fault> {
    absolute(text)?;
    stars_stand_alone(text)?;
    match Glob::new(text).and_then(|glob| glob.check()) {
        Ok(()) => Ok(()),
        Err(error @ GlobError::Syntax { .. }) => Err(Fault::new(error.to_string()).help(GLOB_HELP)),
        Err(error) => Err(Fault::new(error.to_string())),
    }
}

fn absolute(text: &str) -> Result<(), Fault> {
    plain(text)?;
    if text.len() > MAX_PATH_BYTES {
        let message = format!("the path has {} bytes, the kernel's keys hold {MAX_PATH_BYTES}", text.len());
        return Err(Fault::new(message).help("name a directory above it with a glob, `/dir/**`"));
    }
    let normal = format!(
        "/{}",
        text.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/")
    );
    if !text.starts_with('/') {
        return Err(Fault::new(format!("the path `{text}` is not absolute"))
            .help("paths start with `/`, as seen in the container"));
    }
    if text.split('/').any(|part| part == "..") {
        return Err(Fault::new(format!("the path `{text}` has a `..`"))
            .help("write the path that the kernel sees, without `..`"));
    }
    if normal != text {
        return Err(Fault::new(format!("the path `{text}` has a `//`, a `/.` or a `/` at its end"))
            .help(format!("write `{normal}`")));
    }
    Ok(())
}

/// The base name of an executable.
pub(super) fn base_name(text: &str) -> Result<(), Fault> {
    plain(text)?;
    no_longer_than(text, MAX_BASE_NAME)?;
    if text.contains('/') {
        return Err(Fault::new(format!("`{text}` is a path, not the name of an executable"))
            .help("move it to `paths` or `pathGlobs`"));
    }
    Ok(())
}

/// An executable by base name or exact path.
pub(super) fn executable(text: &str) -> Result<(), Fault> {
    if text.starts_with('/') {
        return path(text);
    }
    if text.contains('/') {
        return Err(Fault::new(format!("`{}` is neither a base name nor an absolute path", Printable(text)))
            .help("write the base name, or the path with its leading `/`"));
    }
    base_name(text)
}

/// A regular expression over bytes.
pub(super) fn regex(text: &str) -> Result<(), Fault> {
    if text.is_empty() {
        return Err(Fault::new("an empty regular expression matches everything").help("remove it"));
    }
    let mut parser = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build();
    let (kind, span) = match parser.parse(text) {
        Ok(_) => return automaton::check(text).map(drop).map_err(|error| Fault::new(error.to_string())),
        Err(regex_syntax::Error::Parse(error)) => (error.kind().to_string(), *error.span()),
        Err(regex_syntax::Error::Translate(error)) => (error.kind().to_string(), *error.span()),
        Err(error) => return Err(Fault::new(format!("not a valid regular expression: {error}"))),
    };
    let fault =
        Fault::new(format!("not a valid regular expression: {kind}")).at(span.start.offset..span.end.offset);
    Err(match text {
        _ if kind.contains("look-around") => fault.help("there is no look-around: use `except`"),
        _ if kind.contains("backreference") => fault.help("there are no backreferences"),
        _ if kind.contains("Unicode") => fault.help("expressions match bytes: `\\p{..}` is not available"),
        _ => fault,
    })
}

/// A user by name or number.
pub(super) fn user(text: &str) -> Result<(), Fault> {
    plain(text)?;
    no_longer_than(text, MAX_BASE_NAME)?;
    if let Some(at) = text.find([':', '/', ' ']) {
        let message = format!("`{text}` is not the name of a user");
        return Err(Fault::new(message)
            .at(at..at + 1)
            .help("a name of the container's /etc/passwd, or a number"));
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u32>().is_err() {
        return Err(Fault::new(format!("the user number {text} is above {}", u32::MAX)));
    }
    Ok(())
}

/// A network in CIDR notation.
pub(super) fn cidr(text: &str) -> Result<(), Fault> {
    plain(text)?;
    let Ok(network) = text.parse::<IpNet>() else {
        let fault = Fault::new(format!("`{}` is not a network", Printable(text)));
        return Err(match text.parse::<IpAddr>() {
            Ok(address) => fault.help(format!("write `{}`", IpNet::from(address))),
            Err(_) => fault.help("networks are written `10.0.0.0/8` or `2001:db8::/32`"),
        });
    };
    if network.addr() != network.network() {
        let message = format!("`{text}` has bits set beyond its prefix of {} bits", network.prefix_len());
        return Err(Fault::new(message).help(format!(
            "write `{}` for the network, or `{}` for the one address",
            network.trunc(),
            IpNet::from(network.addr())
        )));
    }
    if let IpNet::V6(network) = network
        && network.prefix_len() >= 96
        && let Some(address) = network.addr().to_ipv4_mapped()
    {
        let help = format!("write `{address}/{}`: it holds for both forms", network.prefix_len() - 96);
        return Err(Fault::new(format!("`{text}` is an IPv4 network in IPv6 form")).help(help));
    }
    Ok(())
}

/// A port or a range of ports.
pub(super) fn port(text: &str) -> Result<(), Fault> {
    plain(text)?;
    ports::parse(text).map(|_| ()).map_err(|error| {
        Fault::new(error.to_string()).help("ports are written `\"443\"` or `\"1-1024\"`, from 1 to 65535")
    })
}

/// The name of a system call, of any architecture.
pub(super) fn syscall(text: &str) -> Result<(), Fault> {
    plain(text)?;
    if syscalls::is_known(text) {
        return Ok(());
    }
    let names: Vec<&str> = syscalls::names().collect();
    let fault = Fault::new(format!("unknown system call `{}`", Printable(text)));
    Err(match suggest::nearest(text, &names) {
        Some(name) => fault.help(format!("did you mean `{name}`?")),
        None => fault.help("names are the kernel's, as in `man 2 syscalls`"),
    })
}

/// The name of a Linux capability, as in Kubernetes.
pub(super) fn capability(text: &str) -> Result<(), Fault> {
    plain(text)?;
    if capabilities::capability_number(text).is_some() {
        return Ok(());
    }
    let upper = text.to_ascii_uppercase();
    let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
    let fault = Fault::new(format!("unknown capability `{}`", Printable(text)));
    Err(match suggest::nearest(bare, &capabilities::NAMES) {
        Some(name) if name == bare => {
            fault.help(format!("write `{name}`: names are those of Kubernetes' securityContext"))
        }
        Some(name) => fault.help(format!("did you mean `{name}`?")),
        None => fault.help("names are those of capabilities(7) without `CAP_`, one by one"),
    })
}

/// A label's key: an optional DNS subdomain and `/`, then a name (Kubernetes, "Labels and Selectors").
pub(super) fn label_key(text: &str) -> Result<(), Fault> {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    let subdomain = |prefix: &str| {
        let part = |part: &str| {
            part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && !part.is_empty()
                && !part.starts_with('-')
                && !part.ends_with('-')
        };
        prefix.len() <= MAX_NAME && prefix.split('.').all(part)
    };
    if name.is_empty() || !is_label_name(name) || !prefix.is_none_or(subdomain) {
        return Err(Fault::new(format!("`{}` is not a label's key", Printable(text))).help(
            "a key is `name` or `example.com/name`; the name has letters, digits, `.`, `_`, `-`, 63 at most",
        ));
    }
    Ok(())
}

/// A label's value: empty, or up to 63 characters (Kubernetes, "Labels and Selectors").
pub(super) fn label_value(text: &str) -> Result<(), Fault> {
    if !text.is_empty() && !is_label_name(text) {
        return Err(Fault::new(format!("`{}` is not a label's value", Printable(text))).help(
            "a value has letters, digits, `.`, `_`, `-`, 63 at most, a letter or digit first and last; no globs",
        ));
    }
    Ok(())
}

fn is_label_name(text: &str) -> bool {
    let outer = |c: char| c.is_ascii_alphanumeric();
    text.len() <= 63
        && text.starts_with(outer)
        && text.ends_with(outer)
        && text.chars().all(|c| outer(c) || matches!(c, '.' | '_' | '-'))
}
