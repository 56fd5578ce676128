//! `moat events`.

use jiff::tz::TimeZone;
use moat_wire::control::{Client, EventQuery};
use tokio::signal;

use crate::Outcome;
use crate::arguments::EventFilter;
use crate::config::Config;
use crate::output;
use crate::output::event_line::event_line;

pub async fn run(config: &Config, filter: EventFilter, json: bool) -> anyhow::Result<Outcome> {
    let follow = filter.follow;
    let query = EventQuery { follow, policy: filter.policy, severity: filter.severity, last: filter.last };
    let mut events = Client::connect(&config.control).await?.events(query).await?;
    let zone = TimeZone::system();
    let mut shown = 0_usize;
    loop {
        let event = tokio::select! {
            event = events.next() => event?,
            _ = signal::ctrl_c(), if follow => return Ok(Outcome::Ok),
        };
        let Some(event) = event else { break };
        shown += 1;
        if json {
            output::json_line(&event)?;
        } else {
            output::text(&format!("{}\n", event_line(&event, &zone)))?;
        }
    }
    if follow {
        output::note("the agent has ended");
    } else if shown == 0 && !json {
        output::note("no such events; see new ones as they come with `moat events --follow`");
    }
    Ok(Outcome::Ok)
}
