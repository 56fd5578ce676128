use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use super::*;
use crate::access::{Access, Role, allows};

/// What is committed, and what it must be; `MOAT_BLESS=1` writes it.
fn golden(path: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("MOAT_BLESS").is_some() {
        std::fs::write(&path, expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{} is not current: run `MOAT_BLESS=1 cargo test -p moat-console --lib api` and commit it",
        path.display()
    );
}

#[test]
fn the_openapi_document_is_committed_as_the_routes_are() {
    let document = openapi::document(&routes());
    golden("../../docs/openapi.json", &format!("{}\n", serde_json::to_string_pretty(&document).unwrap()));
}

#[test]
fn the_matrix_of_access_is_committed_as_the_routes_apply_it() {
    let mut matrix =
        String::from("# Who may call what; written by the tests of crates/moat-console/src/api.\n");
    let mark = |allowed: bool| if allowed { "yes" } else { "-" };
    let _ = writeln!(
        matrix,
        "{:<6} {:<48} {:<22} {:<9} {:<5} {:<8} auditor",
        "method", "path", "resource:action", "anonymous", "admin", "operator"
    );
    for route in routes() {
        let (rule, anonymous, roles) = match route.access {
            Access::Public => ("public".to_owned(), true, [true; 3]),
            Access::SignedIn => ("signed in".to_owned(), false, [true; 3]),
            Access::To(resource, action) => {
                (format!("{resource}:{action}"), false, Role::ALL.map(|role| allows(role, resource, action)))
            }
        };
        let [admin, operator, auditor] = roles.map(mark);
        let _ = writeln!(
            matrix,
            "{:<6} {:<48} {rule:<22} {:<9} {admin:<5} {operator:<8} {auditor}",
            route.method.as_str(),
            route.path,
            mark(anonymous)
        );
    }
    golden("src/access/matrix.golden", &matrix);
}

#[test]
fn operations_have_names_of_their_own_and_paths_that_fit() {
    let routes = routes();
    let ids: BTreeSet<_> = routes.iter().map(|route| route.id).collect();
    assert_eq!(ids.len(), routes.len());
    let rows: BTreeSet<_> = routes.iter().map(|route| (route.path, route.method.as_str())).collect();
    assert_eq!(rows.len(), routes.len());
    assert!(routes.iter().all(|route| route.path.starts_with('/') && !route.path.ends_with('/')));
}

#[test]
fn no_type_stands_for_two_things() {
    let document = openapi::document(&routes());
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(!name.ends_with(|last: char| last.is_ascii_digit()), "two types are named alike: {name}");
    }
}
