//! The names that Moat makes in its state folder. The agent makes no others, so that an uninstall knows what it
//! may remove and leaves everything else alone.

/// Entries of the state folder, files or folders.
pub const ENTRIES: [&str; 6] =
    ["agent.lock", "filters.json", "filters.json.new", "first-seen.json", "first-seen.json.new", CONSOLE];

/// The folder of what the agent keeps for its console: key and certificate, policies, events.
pub const CONSOLE: &str = "console";
