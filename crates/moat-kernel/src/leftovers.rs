//! What of Moat is in the kernel although no agent runs: nothing, unless something holds it.

use libbpf_rs::query::ProgInfoIter;

/// Every program of ours that is loaded, in words.
pub fn leftovers() -> Vec<String> {
    ProgInfoIter::default()
        .filter_map(|program| {
            let name = program.name.to_str()?;
            name.starts_with("moat_").then(|| format!("the kernel program {name} (id {})", program.id))
        })
        .collect()
}
