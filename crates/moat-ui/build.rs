//! Embeds again when the dashboard was built again, and refuses a release without it.

use std::path::Path;

/// Set to `1` where a release build without the dashboard is wanted, as benches want it.
const WITHOUT: &str = "MOAT_WITHOUT_DASHBOARD";

fn main() {
    println!("cargo::rerun-if-env-changed={WITHOUT}");
    println!("cargo::rerun-if-changed=src");
    let ui = Path::new("../../ui");
    if ui.join("dist/index.html").is_file() {
        println!("cargo::rerun-if-changed=../../ui/dist");
        return;
    }
    // A path that does not exist would make every build a new one; its folder changes when the path appears.
    println!("cargo::rerun-if-changed=../../ui");
    let release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let wanted = std::env::var(WITHOUT).is_ok_and(|value| value == "1");
    if release && !wanted {
        println!(
            "cargo::error=a release has the dashboard, and ui/dist is missing: build it with `make dashboard`, \
             or set {WITHOUT}=1 to go without"
        );
    }
}
