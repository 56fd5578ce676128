//! Any bytes as a policy file: refused with diagnostics that are safe to print, or taken, and then written
//! out and read back unchanged, and ready to be in force.
//!
//! `cargo +nightly fuzz run policy_parser -- -dict=fuzz/policy.dict` starts from `fuzz/corpus/policy_parser`;
//! copy `examples/*.yaml` there first.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use moat_policy::{ActivePolicy, Document, Evaluator, PolicySet, Users, parse, render};

fuzz_target!(|bytes: &[u8]| {
    let documents = match parse("fuzz.yaml", bytes) {
        Ok(documents) => documents,
        Err(diagnostics) => {
            assert!(!diagnostics.is_empty());
            let text = render(&diagnostics, false);
            assert!(!text.chars().any(|c| c != '\n' && c.is_control()), "{text:?}");
            for diagnostic in &diagnostics {
                assert!(!diagnostic.to_string().contains(char::is_control), "{diagnostic}");
            }
            return;
        }
    };
    for document in documents {
        let text = match &document {
            Document::Runtime(policy) => serde_saphyr::to_string(policy),
            Document::Compliance(policy) => serde_saphyr::to_string(policy),
        };
        let text = text.expect("a document can be written out");
        match parse("written.yaml", text.as_bytes()) {
            Ok(again) => assert_eq!(again, [document.clone()], "{text}"),
            Err(diagnostics) => panic!("{text}\n{}", render(&diagnostics, false)),
        }
        if let Document::Runtime(policy) = document {
            let active = ActivePolicy { policy: Arc::new(policy), first_seen: jiff::Timestamp::UNIX_EPOCH };
            let mut set = PolicySet::new([active], 1).expect("a valid policy can be in force");
            let rules = set.rule_set(&moat_event::Workload::default(), jiff::Timestamp::UNIX_EPOCH);
            Evaluator::new(rules, &Users::default()).expect("a valid rule can be evaluated");
        }
    }
});
