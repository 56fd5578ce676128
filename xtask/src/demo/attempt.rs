//! Trying an attack, and finding out what it did.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context, Result};

use super::attacks::{Attack, Success};
use super::stage::{Seen, Stage, Target};

/// Tries an attack in a pod; what the attacker saw, and whether the attack did what it was for.
pub async fn attempt(stage: &Stage, target: &Target, attack: &Attack) -> Result<(Seen, bool)> {
    let pid = stage.pid(target)?;
    let state = |path: &str| file_state(Path::new(&format!("/proc/{pid}/root{path}")));
    let before = match attack.success {
        Success::Changes(path) => Some(state(path)?),
        Success::Prints(_) | Success::Leaves => None,
    };
    let seen = stage.exec(target, attack.command).await;
    let succeeded = match attack.success {
        Success::Prints(text) => seen.output.contains(text),
        Success::Changes(path) => before != Some(state(path)?),
        Success::Leaves => !format!("{} {}", seen.output, seen.error).contains("not permitted"),
    };
    Ok((seen, succeeded))
}

/// Content and mode of a file.
fn file_state(path: &Path) -> Result<(Vec<u8>, u32)> {
    let shown = || format!("cannot read {}", path.display());
    let mode = fs::metadata(path).with_context(shown)?.permissions().mode();
    Ok((fs::read(path).with_context(shown)?, mode))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::attacks::{ATTACKS, BENIGN};
    use crate::workspace;

    /// What an attack that Moat stops proves depends on this.
    #[tokio::test]
    async fn every_attack_succeeds_where_nothing_stops_it() {
        if !rustix::process::geteuid().is_root() {
            return moat_testkit::skip("guard", "containers need root");
        }
        let folder = workspace::root().unwrap().join(".demo");
        fs::create_dir_all(&folder).unwrap();
        let stage = Stage::set(&folder).await.unwrap();
        let target = stage.pod("attacked", "other", "nginx", &[]).await.unwrap();
        stage.equip(&target).await.unwrap();
        stage.served(&target, &target).await.unwrap();
        for benign in BENIGN {
            let seen = stage.exec(&target, benign.command).await;
            assert!(seen.exit == Some(0) && seen.output.contains(benign.prints), "{benign:?}: {seen:?}");
        }
        for attack in ATTACKS {
            let (seen, succeeded) = attempt(&stage, &target, attack).await.unwrap();
            assert!(succeeded, "{}: {seen:?}", attack.title);
        }
    }
}
