//! The command line's words: one type a command, help and examples beside them.
#![expect(clippy::doc_markdown, reason = "these comments are the help texts, which are no Markdown")]

use std::net::SocketAddr;
use std::path::PathBuf;

use anstream::ColorChoice;
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use moat_event::{FileOperation, Origin, Protocol, Severity};
use moat_policy::capabilities::capability_number;

use crate::console::ConsoleOptions;

/// Runtime security for containers: policies say what workloads may do, the kernel holds them to it.
#[derive(Debug, Parser)]
#[command(
    name = "moat",
    version,
    arg_required_else_help = true,
    term_width = 100,
    after_help = "\
Examples:
  moat up --policies ./policies          enforce on this node; events on standard output
  moat doctor                            what this kernel can hold, and what is missing
  moat events --follow --severity High   watch what is refused

Exit status: 0 done; 1 a finding, or refused; 2 wrong usage, no agent, or it could not be done."
)]
pub struct Arguments {
    /// Print JSON, for programs
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// Socket the agent answers on [env: MOAT_CONTROL] [default: /run/moat/control.sock]
    #[arg(long, global = true, value_name = "PATH", help_heading = "Global options")]
    pub control: Option<PathBuf>,
    /// Configuration file [env: MOAT_CONFIG] [default: /etc/moat/config.yaml, where it exists]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub config: Option<PathBuf>,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = "Global options")]
    pub color: Color,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
}

impl Color {
    pub fn write_global(self) {
        match self {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        }
        .write_global();
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start Moat on this node and keep it running
    #[command(after_help = "\
Examples:
  moat up --policies ./policies --state ./state
  moat up --runtime docker --events /var/log/moat/events.jsonl
  moat up --runtime containerd --socket /run/k3s/containerd/containerd.sock
  moat up --console https://moat.example.org:8441 --enrolment-token-file token

Stops on Ctrl-C or SIGTERM. An agent that dies is started again at once, and the gap is an event.
Ctrl-C leaves nothing in force. After SIGTERM, as in an upgrade, what the LSM driver holds stays in
force until the next `moat up` takes over, or `moat uninstall`.")]
    Up(Box<NodeOptions>),
    /// How the agent is doing
    #[command(after_help = "\
Examples:
  moat status
  moat status --json | jq .losses

Exit status: 0 all is well; 1 there are problems; 2 no agent answers.")]
    Status,
    /// The containers that the agent knows, and the policies that hold for each
    #[command(after_help = "\
Examples:
  moat containers
  moat containers --json | jq '.[] | select(.problem != \"\")'")]
    Containers,
    /// What happened: kept events and, with --follow, live ones
    #[command(after_help = "\
Examples:
  moat events --last 20
  moat events --follow --severity High
  moat events --policy no-shells --json | jq .process.arguments")]
    Events(EventFilter),
    /// Policies: list, show, check, and ask which rule decides
    #[command(after_help = "\
Examples:
  moat policy list
  moat policy validate policies/
  moat policy explain --pod web-0 --exec \"/bin/sh -c id\"")]
    Policy {
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// What this kernel can hold, what is missing and how to get it
    #[command(after_help = "\
Examples:
  sudo moat doctor
  sudo moat doctor --json | jq '.capabilities.entries[] | select(.available | not)'

Needs root, for it tries each capability for real. Exit status: 0 policies can be enforced here; 1 they cannot.")]
    Doctor,
    /// The central server: policies, enforcers, events, and the dashboard
    #[command(after_help = "\
Examples:
  moat console
  moat console --listen 0.0.0.0:8440 --gateway 0.0.0.0:8441 --name moat.example.org --store-file store.url
  moat console token create --label rack-3 --uses 40 > token
  moat console user link
  moat console audit verify")]
    Console(ConsoleOptions),
    /// Stop the agent and remove what Moat made on this node
    #[command(after_help = "\
Examples:
  sudo moat uninstall
  sudo moat uninstall --state ./state

Removes the names that Moat made and nothing else; policies stay. Exit status: 1 if something is left.")]
    Uninstall(StateOptions),
    /// The configuration in effect, and where each value comes from
    #[command(after_help = "\
Examples:
  moat config show
  MOAT_STATE=./state moat config show --json

A file is overruled by the environment, the environment by flags.")]
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Measure a console under load
    #[command(hide = true)]
    Bench {
        #[command(subcommand)]
        command: BenchCommand,
    },
    /// Completions for a shell, on standard output
    #[command(after_help = "\
Examples:
  moat completions bash | sudo tee /etc/bash_completion.d/moat
  moat completions zsh > ~/.zfunc/_moat
  moat completions fish > ~/.config/fish/completions/moat.fish")]
    Completions { shell: CompletionShell },
}

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Simulated enforcers, over the real protocol
    #[command(after_help = "\
Examples:
  moat bench enforcers --console https://127.0.0.1:8441 --enrolment-token-file ./token \\
    --count 1000 --events-per-second 20000 --seconds 60

The token needs as many uses as there are enforcers. They stay in the console's list: use a console of its own.
Exit status: 0 every session lasted; 1 some were lost.")]
    Enforcers(EnforcersOptions),
}

#[derive(Debug, Args)]
pub struct EnforcersOptions {
    /// The console's gateway
    #[arg(long, value_name = "URL")]
    pub console: String,
    /// File with an enrolment token
    #[arg(long, value_name = "FILE")]
    pub enrolment_token_file: PathBuf,
    /// How many enforcers
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub count: u32,
    /// Of all of them together
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub events_per_second: u32,
    /// Events of one message
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub batch: u16,
    /// How long, once all are in session
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub seconds: u64,
    /// The console's dashboard: measure how late its live events come, too
    #[arg(long, value_name = "URL", requires = "api_token_file")]
    pub dashboard: Option<String>,
    /// File with a token of the console's API, for the dashboard
    #[arg(long, value_name = "FILE", requires = "dashboard")]
    pub api_token_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum CompletionShell {
    Bash,
    Zsh,
    Fish,
}

impl From<CompletionShell> for clap_complete::Shell {
    fn from(shell: CompletionShell) -> Self {
        match shell {
            CompletionShell::Bash => clap_complete::Shell::Bash,
            CompletionShell::Zsh => clap_complete::Shell::Zsh,
            CompletionShell::Fish => clap_complete::Shell::Fish,
        }
    }
}

#[derive(Debug, Args)]
pub struct NodeOptions {
    /// Folder of policy files; changes apply within a second [env: MOAT_POLICIES] [default: /etc/moat/policies]
    #[arg(long, value_name = "DIR")]
    pub policies: Option<PathBuf>,
    #[command(flatten)]
    pub state: StateOptions,
    /// What holds the rules: BPF LSM where the kernel takes it, else guard [env: MOAT_DRIVER] [default: auto]
    #[arg(long, value_enum)]
    pub driver: Option<Driver>,
    /// Container runtime [env: MOAT_RUNTIME] [default: those whose sockets exist]
    #[arg(long, value_enum)]
    pub runtime: Option<Runtime>,
    /// The runtime's socket [env: MOAT_SOCKET] [default: the runtime's usual one]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Base name of the OCI runtime whose containers wait at their start until their rules are in force
    /// [env: MOAT_OCI_RUNTIME] [default: runc, crun, youki]
    #[arg(long, value_name = "NAME")]
    pub oci_runtime: Option<String>,
    /// File that events are appended to, `-` for standard output [env: MOAT_EVENTS] [default: -]
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
    #[command(flatten)]
    pub console: ConsoleChoice,
}

/// Where the agent that `moat up` starts has its console.
#[derive(Debug, Args)]
pub struct ConsoleChoice {
    /// Gateway of a console elsewhere, https://HOST:PORT, instead of one on this machine
    #[arg(long, value_name = "URL", env = "MOAT_CONSOLE", conflicts_with = "no_console")]
    pub console: Option<String>,
    /// File with the token by which this node enrols there; `moat console token create` prints one
    #[arg(long, value_name = "FILE", env = "MOAT_ENROLMENT_TOKEN_FILE", requires = "console")]
    pub enrolment_token_file: Option<PathBuf>,
    /// Run the agent alone: policies from the folder, events to the file
    #[arg(long, env = "MOAT_NO_CONSOLE", value_parser = clap::builder::FalseyValueParser::new())]
    pub no_console: bool,
    /// Do not tell the console what containers run and connect to beyond what rules speak of; arguments of programs are
    /// told with it, and may hold secrets
    #[arg(long, env = "MOAT_NO_OBSERVE", value_parser = clap::builder::FalseyValueParser::new())]
    pub no_observe: bool,
}

#[derive(Debug, Args)]
pub struct StateOptions {
    /// Folder for what must outlive a restart [env: MOAT_STATE] [default: /var/lib/moat]
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    Containerd,
    Docker,
    Crio,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    Auto,
    Lsm,
    Guard,
}

#[derive(Debug, Args)]
pub struct EventFilter {
    /// Go on with live events until Ctrl-C
    #[arg(long, short)]
    pub follow: bool,
    /// Only events of this policy
    #[arg(long, value_name = "NAME")]
    pub policy: Option<String>,
    /// Only events at least this severe: Info, Low, Medium, High, Critical
    #[arg(long, value_parser = severity)]
    pub severity: Option<Severity>,
    /// At most so many of the kept events, the newest
    #[arg(long, short = 'n', value_name = "N")]
    pub last: Option<usize>,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the configuration in effect
    Show,
}

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Policies in force, and how each rule is held on this node
    #[command(after_help = "\
Examples:
  moat policy list
  moat policy list --json | jq '.[].rules[] | select(.holding.state != \"Held\")'")]
    List,
    /// One policy as it is in force
    #[command(after_help = "\
Examples:
  moat policy show no-shells
  moat policy show no-shells > no-shells.yaml")]
    Show {
        /// Its name, as `moat policy list` has it
        name: String,
    },
    /// Check policy files; needs no agent
    #[command(after_help = "\
Examples:
  moat policy validate no-shells.yaml
  moat policy validate policies/
  kubectl get runtimepolicy no-shells -o yaml | moat policy validate -

Exit status: 0 all are valid; 1 at least one is not.")]
    Validate {
        /// Files, folders (their .yaml and .yml files), or `-` for standard input
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Which rule would decide, and why
    #[command(after_help = "\
Examples:
  moat policy explain --pod web-0 --container nginx --exec \"/bin/sh -c id\"
  moat policy explain --pod web-0 --read /etc/passwd --by /bin/cat
  moat policy explain --pod web-0 --connect tcp://10.0.0.1:443
  moat policy explain --policies ./policies --label app=nginx --exec /bin/sh --origin exec

With --policies the answer comes from those files, for the workload the flags describe, without an agent.
Exit status: 0 it is allowed; 1 it is refused.")]
    Explain(Box<Question>),
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("activity").required(true).args(["exec", "read", "write", "file", "connect", "accept", "listen", "raw_socket", "syscall", "capability"]))]
pub struct Question {
    /// Pod, or a container without a pod
    #[arg(long, value_name = "NAME", required_unless_present = "policies")]
    pub pod: Option<String>,
    /// Container in the pod; needed where the pod has several
    #[arg(long, value_name = "NAME")]
    pub container: Option<String>,

    /// A program with its arguments, quoted as for a shell
    #[arg(long, value_name = "COMMAND", help_heading = "What is attempted, one of")]
    pub exec: Option<String>,
    /// Opening a file for reading
    #[arg(long, value_name = "PATH", help_heading = "What is attempted, one of")]
    pub read: Option<String>,
    /// Opening a file for writing
    #[arg(long, value_name = "PATH", help_heading = "What is attempted, one of")]
    pub write: Option<String>,
    /// Another operation on a file, named by --operation
    #[arg(long, value_name = "PATH", requires = "operation", help_heading = "What is attempted, one of")]
    pub file: Option<String>,
    /// A connection out, as tcp://ADDRESS:PORT or udp://ADDRESS:PORT of the peer
    #[arg(long, value_name = "URL", value_parser = endpoint, help_heading = "What is attempted, one of")]
    pub connect: Option<Endpoint>,
    /// A connection in, as tcp://ADDRESS:PORT: the peer's address and the workload's port
    #[arg(long, value_name = "URL", value_parser = endpoint, help_heading = "What is attempted, one of")]
    pub accept: Option<Endpoint>,
    /// Listening on a local address and port, as tcp://0.0.0.0:8080
    #[arg(long, value_name = "URL", value_parser = endpoint, help_heading = "What is attempted, one of")]
    pub listen: Option<Endpoint>,
    /// Opening a raw or packet socket
    #[arg(long, help_heading = "What is attempted, one of")]
    pub raw_socket: bool,
    /// A system call by its name
    #[arg(long, value_name = "NAME", help_heading = "What is attempted, one of")]
    pub syscall: Option<String>,
    /// The use of a Linux capability, e.g. NET_ADMIN
    #[arg(long, value_name = "NAME", value_parser = capability, help_heading = "What is attempted, one of")]
    pub capability: Option<String>,

    /// With --file: Create, Delete, Rename, Chmod, Chown, Link, Truncate, SetXattr
    #[arg(long, value_parser = operation, requires = "file", help_heading = "Who attempts it")]
    pub operation: Option<FileOperation>,
    /// User number in the container
    #[arg(long, value_name = "UID", help_heading = "Who attempts it")]
    pub user: Option<u32>,
    /// With --exec: an ancestor's executable, parent first; may be given again
    #[arg(long, value_name = "PATH", help_heading = "Who attempts it")]
    pub parent: Vec<String>,
    /// With --exec: a process of the container's own, or of an exec session from outside
    #[arg(long, value_enum, default_value = "entrypoint", help_heading = "Who attempts it")]
    pub origin: OriginArgument,
    /// With a file: the executable that opens it
    #[arg(long, value_name = "PATH", help_heading = "Who attempts it")]
    pub by: Option<String>,

    /// Answer from this file or folder instead of asking the agent
    #[arg(long, value_name = "PATH", help_heading = "Without an agent")]
    pub policies: Vec<PathBuf>,
    /// The workload's namespace
    #[arg(long, value_name = "NAME", requires = "policies", help_heading = "Without an agent")]
    pub namespace: Option<String>,
    /// A label of the workload; may be given again
    #[arg(long, value_name = "KEY=VALUE", value_parser = label, requires = "policies", help_heading = "Without an agent")]
    pub label: Vec<(String, String)>,
    /// The workload's image
    #[arg(long, value_name = "REFERENCE", requires = "policies", help_heading = "Without an agent")]
    pub image: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum OriginArgument {
    Entrypoint,
    Exec,
}

impl From<OriginArgument> for Origin {
    fn from(origin: OriginArgument) -> Self {
        match origin {
            OriginArgument::Entrypoint => Origin::Entrypoint,
            OriginArgument::Exec => Origin::ExecSession,
        }
    }
}

/// The other end of a connection, or the workload's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    pub protocol: Protocol,
    pub address: SocketAddr,
}

fn endpoint(text: &str) -> Result<Endpoint, String> {
    let (protocol, address) = match text.split_once("://") {
        Some(("tcp", address)) => (Protocol::Tcp, address),
        Some(("udp", address)) => (Protocol::Udp, address),
        _ => return Err(String::from("begin with tcp:// or udp://, e.g. tcp://10.0.0.1:443")),
    };
    let address = address.parse().map_err(|_| {
        String::from("give an address and a port, e.g. tcp://10.0.0.1:443 or tcp://[2001:db8::1]:443; names are not looked up")
    })?;
    Ok(Endpoint { protocol, address })
}

/// A capability as policies name it, also where it is written as in C.
fn capability(text: &str) -> Result<String, String> {
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("CAP_").unwrap_or(&name);
    match capability_number(name) {
        Some(_) => Ok(name.to_owned()),
        None => Err(String::from("give a name of capabilities(7), e.g. NET_ADMIN")),
    }
}

fn severity(text: &str) -> Result<Severity, String> {
    named(text, &Severity::ALL, Severity::name)
}

fn operation(text: &str) -> Result<FileOperation, String> {
    named(text, &FileOperation::ALL, FileOperation::name)
}

/// The value of that name, in any case.
fn named<T: Copy>(text: &str, all: &[T], name: fn(T) -> &'static str) -> Result<T, String> {
    all.iter().copied().find(|value| name(*value).eq_ignore_ascii_case(text)).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|value| name(*value)).collect();
        format!("one of {}", names.join(", "))
    })
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE, e.g. app=nginx")?;
    Ok((key.to_owned(), value.to_owned()))
}
