//! `moat policy show`.

use anyhow::bail;
use moat_wire::control::Client;

use crate::Outcome;
use crate::config::Config;
use crate::output;

pub async fn run(config: &Config, name: &str, json: bool) -> anyhow::Result<Outcome> {
    let policies = Client::connect(&config.control).await?.policies().await?;
    let Some(policy) = policies.iter().find(|policy| policy.name == name) else {
        bail!(
            "no policy `{}` is in force: `moat policy list` names those that are",
            moat_event::printable(name)
        );
    };
    if json {
        output::json(policy)?;
        return Ok(Outcome::Ok);
    }
    let mut text = String::new();
    for line in policy.document.lines() {
        text += &moat_event::printable(line);
        text.push('\n');
    }
    output::text(&text)?;
    if policy.refused.is_some() {
        output::note(&format!(
            "{} holds a newer content that was refused: see `moat policy list`",
            policy.file
        ));
    }
    Ok(Outcome::Ok)
}
