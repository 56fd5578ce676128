//! The dashboard in a real browser: `tests/ui` drives Chromium through it, against a console with its store.
//!
//! `MOAT_BLESS=1` puts the pictures that the journeys take into `docs/images`, where the README shows them.

#[path = "it/oidc/provider.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "the API's tests use all of it")]
mod provider;
#[path = "dashboard/stage.rs"]
mod stage;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use moat_console::{Config, Tls};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use provider::{CLIENT_ID, Provider};
use stage::Stage;

const CHROMIUM: &str = "/usr/bin/chromium";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What is missing here, if anything.
fn missing() -> Option<&'static str> {
    if !moat_ui::is_built() {
        Some("the dashboard is not built: npm is missing, or `make dashboard` was not run")
    } else if !root().join("ui/node_modules/.bin/playwright").exists() {
        Some("the dashboard's tools are not installed: run `npm ci` in ui/")
    } else if !Path::new(CHROMIUM).exists() {
        Some("Chromium is not installed")
    } else {
        None
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_find_their_way_through_the_dashboard() -> Result<()> {
    if let Some(why) = missing() {
        moat_testkit::skip("ui", why);
        return Ok(());
    }
    let state = tempfile::tempdir()?;
    let cancel = CancellationToken::new();
    let mut config = Config::new(state.path().to_path_buf());
    config.listen = "127.0.0.1:0".parse()?;
    config.gateway = "127.0.0.1:0".parse()?;
    config.names = vec!["localhost".to_owned()];
    config.tls = Tls::Off;
    // Where the journeys' receiver of notifications is.
    config.egress.allow = vec!["127.0.0.0/8".parse()?];
    let console = moat_console::start(config, cancel.clone()).await?;
    let url = console.url.clone();
    let link = console.setup_link.clone().context("a new console has a link to set it up")?;
    let stage = Stage::open(console.console.store().clone()).await?;

    // On another site than the console, as providers are: `localhost` and `127.0.0.1` are two.
    let provider = Provider::start(&format!("{url}/api/v1/session/oidc/callback")).await;
    provider.state().asks = true;
    let client_secret = provider.state().client_secret.clone();

    let output = root().join("target/ui");
    let pictures = output.join("pictures");
    fs::create_dir_all(&pictures)?;
    let sources = root().join("ui");
    let ended = Command::new(sources.join("node_modules/.bin/playwright"))
        .args(["test", "--config"])
        .arg(root().join("tests/ui/playwright.config.ts"))
        .current_dir(&sources)
        .env("MOAT_UI_URL", &url)
        .env("MOAT_UI_SETUP", &link)
        .env("MOAT_UI_STAGE", stage.port().to_string())
        .env("MOAT_UI_ISSUER", &provider.issuer)
        .env("MOAT_UI_CLIENT_ID", CLIENT_ID)
        .env("MOAT_UI_CLIENT_SECRET", client_secret)
        .env("MOAT_UI_OUTPUT", output.join("failures"))
        .env("MOAT_UI_PICTURES", &pictures)
        .env("MOAT_UI_SOURCES", &sources)
        .env("MOAT_UI_CHROMIUM", CHROMIUM)
        .kill_on_drop(true)
        .output()
        .await
        .context("playwright does not start")?;
    println!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    cancel.cancel();
    console.wait().await;
    ensure!(ended.status.success(), "a journey failed; pictures of it are in target/ui/failures");
    if std::env::var("MOAT_BLESS").is_ok_and(|value| value == "1") {
        let images = root().join("docs/images");
        fs::create_dir_all(&images)?;
        for picture in fs::read_dir(&pictures)? {
            let picture = picture?;
            fs::copy(picture.path(), images.join(picture.file_name()))?;
        }
    }
    Ok(())
}
