//! A private PostgreSQL.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, bail, ensure};

/// Where Debian's packages put the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// PostgreSQL refuses to run as root. `nobody` of Debian.
const UNPRIVILEGED: u32 = 65534;
/// Starts the server, and ends it when the test ends, however that ends: the pipe to standard input closes. `keep` before
/// that says that the folder is still needed.
const KEEPER: &str = r#"
folder=$1; shift
"$@" >"$folder/log" 2>&1 </dev/null &
read -r word
kill -"${word:-INT}" $! 2>/dev/null
wait
[ -n "$word" ] || rm -rf "$folder"
"#;

/// A PostgreSQL of one's own, reachable through a Unix socket only. It ends with the test.
#[derive(Debug)]
pub struct Postgres {
    folder: PathBuf,
    programs: PathBuf,
    settings: Vec<String>,
    keeper: Option<Child>,
    databases: AtomicU32,
}

impl Postgres {
    /// Makes a cluster and starts it. Needs the Debian package postgresql. It does not wait for the disk: see
    /// [`Postgres::with_settings`] where that matters.
    pub fn start() -> anyhow::Result<Self> {
        Self::with_settings(&["fsync=off", "full_page_writes=off"])
    }

    /// Like [`Postgres::start`], with these settings (`NAME=VALUE`) and no others.
    pub fn with_settings(settings: &[&str]) -> anyhow::Result<Self> {
        let programs = programs()?;
        let folder = tempfile::Builder::new().prefix("moat-postgres-").tempdir()?.keep();
        let mut postgres = Self {
            folder,
            programs,
            settings: settings.iter().map(ToString::to_string).collect(),
            keeper: None,
            databases: AtomicU32::new(0),
        };
        let made = postgres.make();
        if made.is_err() {
            let _ = fs::remove_dir_all(&postgres.folder);
        }
        made.map(|()| postgres)
    }

    fn make(&mut self) -> anyhow::Result<()> {
        fs::set_permissions(&self.folder, fs::Permissions::from_mode(0o700))?;
        if rustix::process::geteuid().is_root() {
            chown(&self.folder, Some(UNPRIVILEGED), Some(UNPRIVILEGED))?;
        }
        let made = self
            .unprivileged("initdb")
            .args([
                "--username=moat",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                "--pgdata",
            ])
            .arg(self.data())
            .output()?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        self.resume()
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn unprivileged(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args([format!("--reuid={UNPRIVILEGED}"), format!("--regid={UNPRIVILEGED}")]);
            command.arg("--clear-groups").arg("--").arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(&self.folder).env_clear().env("PATH", "/usr/bin:/bin");
        command
    }

    /// A new, empty database; returns its URL.
    pub fn database(&self) -> anyhow::Result<String> {
        let name = format!("moat{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(self.url(&name))
    }

    /// The same, with its tables in a folder that the server's user may write to.
    pub fn database_in(&self, folder: &Path) -> anyhow::Result<String> {
        let place = folder.join("postgres");
        fs::create_dir(&place)?;
        if rustix::process::geteuid().is_root() {
            chown(&place, Some(UNPRIVILEGED), Some(UNPRIVILEGED))?;
        }
        let name = format!("moat{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE TABLESPACE {name} LOCATION '{}'", place.display()))?;
        self.sql("postgres", &format!("CREATE DATABASE {name} TABLESPACE {name}"))?;
        Ok(self.url(&name))
    }

    fn url(&self, database: &str) -> String {
        format!("postgres:///{database}?host={}&user=moat", self.folder.display())
    }

    /// Runs SQL in a database, or in the one that a URL of [`Postgres::database`] names; returns what it prints.
    pub fn sql(&self, database: &str, sql: &str) -> anyhow::Result<String> {
        let database = database.trim_start_matches("postgres:///").split('?').next().unwrap_or_default();
        let output = self
            .unprivileged("psql")
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--username=moat", "--host"])
            .arg(&self.folder)
            .args(["--dbname", database, "--command", sql])
            .output()?;
        ensure!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Ends the server as an administrator would: sessions are cut off.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.end("INT")
    }

    /// Ends the server as a crash would: nothing is written any more.
    pub fn crash(&mut self) -> anyhow::Result<()> {
        self.end("QUIT")
    }

    fn end(&mut self, signal: &str) -> anyhow::Result<()> {
        let Some(mut keeper) = self.keeper.take() else { return Ok(()) };
        writeln!(keeper.stdin.take().context("no pipe to the keeper")?, "{signal}")?;
        keeper.wait()?;
        Ok(())
    }

    /// Starts the server again and waits until it serves.
    pub fn resume(&mut self) -> anyhow::Result<()> {
        let server = self.unprivileged("postgres");
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "sh"]).arg(&self.folder).arg(server.get_program()).args(server.get_args());
        keeper.arg("-D").arg(self.data()).arg("-k").arg(&self.folder).args(["-c", "listen_addresses="]);
        for setting in &self.settings {
            keeper.args(["-c", setting]);
        }
        let keeper = keeper
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.keeper = Some(keeper.spawn().context("cannot start sh")?);
        self.wait_until_ready()
    }

    fn wait_until_ready(&self) -> anyhow::Result<()> {
        // The server offers no event to wait for; pg_isready is the tool that its packages use for that.
        for _ in 0..600 {
            let ready =
                self.unprivileged("pg_isready").arg("--quiet").arg("--host").arg(&self.folder).status()?;
            if ready.success() {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        bail!(
            "PostgreSQL does not come up: {}",
            fs::read_to_string(self.folder.join("log")).unwrap_or_default()
        )
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Closes the pipe, which ends the server and removes the folder.
        match self.keeper.take() {
            Some(mut keeper) => {
                drop(keeper.stdin.take());
                let _ = keeper.wait();
            }
            None => {
                let _ = fs::remove_dir_all(&self.folder);
            }
        }
    }
}

/// The programs of the newest version that is installed.
fn programs() -> anyhow::Result<PathBuf> {
    let versions =
        fs::read_dir(VERSIONS).context("PostgreSQL is not installed (Debian package postgresql)")?;
    let newest = versions
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .max()
        .context("no version of PostgreSQL is installed (Debian package postgresql)")?;
    let programs = Path::new(VERSIONS).join(newest.to_string()).join("bin");
    ensure!(
        programs.join("initdb").exists(),
        "{} has no initdb (Debian package postgresql)",
        programs.display()
    );
    Ok(programs)
}
