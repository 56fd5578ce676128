//! What the agent is told when it starts; the same flags as `moat up`.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use clap::builder::FalseyValueParser;

use crate::driver::Choice;
use crate::events::output::Target;
use crate::runtime::Kind;

#[derive(Debug, Clone, Args)]
pub struct Config {
    /// Folder of policy files (*.yaml, *.yml); changes apply within a second.
    #[arg(long, value_name = "DIR", env = "MOAT_POLICIES", default_value = "/etc/moat/policies")]
    pub policies: PathBuf,

    /// Folder for what the agent keeps while it runs and over restarts.
    #[arg(long, value_name = "DIR", env = "MOAT_STATE", default_value = "/run/moat")]
    pub state: PathBuf,

    /// What holds the rules.
    #[arg(long, value_enum, env = "MOAT_DRIVER", default_value = "auto")]
    pub driver: Choice,

    /// Container runtime: containerd, docker or crio; every one that is there where absent.
    #[arg(long, env = "MOAT_RUNTIME", value_parser = parse_kind)]
    pub runtime: Option<Kind>,

    /// The runtime's socket; its usual one where absent.
    #[arg(long, value_name = "PATH", env = "MOAT_RUNTIME_SOCKET")]
    pub socket: Option<PathBuf>,

    /// Base name of the OCI runtime whose containers wait at their start until their rules are in force; may
    /// be given more than once. The usual ones where absent.
    #[arg(long, value_name = "NAME", env = "MOAT_OCI_RUNTIME", value_delimiter = ',')]
    pub oci_runtime: Vec<String>,

    /// File that events are appended to, one JSON object a line; `-` is standard output.
    #[arg(long, value_name = "FILE", env = "MOAT_EVENTS", default_value = "-")]
    pub events: Target,

    /// The agent's control socket; `control.sock` in the state folder where absent.
    #[arg(long, value_name = "PATH", env = "MOAT_CONTROL")]
    pub control: Option<PathBuf>,

    /// The console's gateway, as `https://HOST:PORT`: policies come from there too, and events go there. What the
    /// agent keeps for it is in the state folder, which then should outlive a reboot.
    #[arg(long, value_name = "URL", env = "MOAT_CONSOLE")]
    pub console: Option<String>,

    /// File with the enrolment token that `moat console token create` printed; needed until the node has enrolled.
    /// The variable `MOAT_ENROLMENT_TOKEN` may hold the token itself.
    #[arg(long, value_name = "FILE", env = "MOAT_ENROLMENT_TOKEN_FILE")]
    pub enrolment_token_file: Option<PathBuf>,

    /// How many mebibytes of events are kept while the console is away; then the oldest are given up.
    #[arg(long, value_name = "MEBIBYTES", env = "MOAT_SPOOL", default_value_t = 256)]
    pub spool: u64,

    /// Do not tell the console what containers run and connect to beyond what rules speak of. Arguments of programs are
    /// told with it, and may hold secrets.
    #[arg(long, env = "MOAT_NO_OBSERVE", value_parser = FalseyValueParser::new())]
    pub no_observe: bool,

    /// Name of this node in events; its host name where absent.
    #[arg(long, env = "MOAT_NODE")]
    pub node: Option<String>,

    /// End when the parent process ends.
    #[arg(long)]
    pub supervised: bool,

    /// How long the node was without an agent before this one, said by the supervisor.
    #[arg(long, value_name = "MILLISECONDS")]
    pub restarted_after_millis: Option<u64>,
}

impl Config {
    pub fn control(&self) -> PathBuf {
        self.control.clone().unwrap_or_else(|| self.state.join("control.sock"))
    }

    /// Whether what containers do is told to a console.
    pub fn observes(&self) -> bool {
        self.console.is_some() && !self.no_observe
    }

    pub fn node(&self) -> String {
        self.node.clone().unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned())
    }
}

impl FromStr for Target {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Target, Infallible> {
        Ok(if text == "-" { Target::Stdout } else { Target::File(PathBuf::from(text)) })
    }
}

fn parse_kind(text: &str) -> Result<Kind, String> {
    Kind::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
        format!(
            "`{}` is not a runtime that is supported; use one of {}",
            text.escape_debug(),
            Kind::ALL.map(Kind::name).join(", ")
        )
    })
}
