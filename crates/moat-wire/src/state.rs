//! The names that Moat makes in its state folder. The agent makes no others, so that an uninstall knows what it
//! may remove and leaves everything else alone.

/// Entries of the state folder, files or folders.
pub const ENTRIES: [&str; 5] =
    ["agent.lock", "filters.json", "filters.json.new", "first-seen.json", "first-seen.json.new"];
