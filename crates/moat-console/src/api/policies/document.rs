//! A policy's text, as `moat-policy` judges it: the only judge there is.

use std::sync::Arc;

use jiff::Timestamp;
use moat_policy::model::{Mode, Rule, RuleAction, RuntimePolicy};
use moat_policy::{ActivePolicy, Document};
use moat_store::NewPolicy;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use super::types::{Diagnostic, DiagnosticSeverity, ValidDocument};

/// One valid document.
#[derive(Debug)]
pub struct Parsed(Document);

/// Parses text that has to be exactly one document.
pub fn parse(text: &str) -> Result<Parsed, Vec<Diagnostic>> {
    let mut documents = moat_policy::parse("policy", text.as_bytes())
        .map_err(|found| found.iter().map(Diagnostic::from).collect::<Vec<_>>())?;
    if let (Some(document), true) = (documents.pop(), documents.is_empty()) {
        return Ok(Parsed(document));
    }
    let lines = text.lines().enumerate();
    let second = lines.filter(|(_, line)| line.trim_end() == "---").map(|(index, _)| index + 1).last();
    let line = second.unwrap_or(1);
    Err(vec![Diagnostic {
        severity: DiagnosticSeverity::Error,
        message: "the text has several documents, and a policy is one".to_owned(),
        hint: Some("make a policy of each".to_owned()),
        line,
        column: 1,
        end_line: line,
        end_column: 4,
    }])
}

impl Parsed {
    pub fn name(&self) -> &str {
        self.0.name()
    }

    pub fn mode(&self) -> Option<Mode> {
        self.runtime().map(|policy| policy.spec.mode)
    }

    pub fn enforce_after(&self) -> Option<String> {
        self.runtime()?.spec.enforce_after.clone()
    }

    /// Each once, least severe first.
    pub fn actions(&self) -> Vec<RuleAction> {
        let mut actions: Vec<_> = self.rules().iter().map(|rule| rule.action).collect();
        actions.sort_unstable();
        actions.dedup();
        actions
    }

    pub fn rules(&self) -> &[Rule] {
        self.runtime().map_or(&[], |policy| &policy.spec.rules)
    }

    pub fn into_document(self) -> Document {
        self.0
    }

    fn runtime(&self) -> Option<&RuntimePolicy> {
        match &self.0 {
            Document::Runtime(policy) => Some(policy),
            Document::Compliance(_) => None,
        }
    }

    /// As the store takes it.
    pub fn into_new(self, document: String) -> NewPolicy {
        NewPolicy {
            name: self.name().to_owned(),
            kind: self.0.kind().to_owned(),
            document,
            mode: self.mode().map(|mode| format!("{mode:?}")).unwrap_or_default(),
            rules: self.rules().len() as i64,
        }
    }

    pub fn view(&self) -> ValidDocument {
        let policy = match &self.0 {
            Document::Runtime(policy) => serde_json::to_value(policy),
            Document::Compliance(policy) => serde_json::to_value(policy),
        };
        ValidDocument {
            name: self.name().to_owned(),
            kind: self.0.kind().to_owned(),
            rules: self.rules().len(),
            policy: policy.unwrap_or_default(),
        }
    }
}

impl From<&moat_policy::Diagnostic> for Diagnostic {
    fn from(diagnostic: &moat_policy::Diagnostic) -> Diagnostic {
        let (end_line, end_column) = diagnostic.end();
        Diagnostic {
            severity: DiagnosticSeverity::Error,
            message: diagnostic.message().to_owned(),
            hint: diagnostic.help().map(str::to_owned),
            line: diagnostic.line(),
            column: diagnostic.column(),
            end_line,
            end_column,
        }
    }
}

/// A runtime policy as the policy core takes it; `None` for another kind.
pub fn active(document: &str, first_seen: Timestamp) -> Option<ActivePolicy> {
    match parse(document) {
        Ok(Parsed(Document::Runtime(runtime))) => {
            Some(ActivePolicy { policy: Arc::new(runtime), first_seen })
        }
        _ => None,
    }
}

/// A rule of a runtime policy as JSON, and the policy's mode.
pub fn definition(document: &str, rule: &str) -> Option<(Mode, Value)> {
    let parsed = parse(document).ok()?;
    let rule = parsed.rules().iter().find(|candidate| candidate.name == rule)?;
    Some((parsed.mode()?, serde_json::to_value(rule).ok()?))
}

/// JSON Schema of a document, for completion in editors.
pub fn schema() -> Value {
    let mut generator = SchemaGenerator::default();
    let kinds = [
        kind::<RuntimePolicy>(&mut generator, "RuntimePolicy"),
        kind::<moat_policy::model::CompliancePolicy>(&mut generator, "CompliancePolicy"),
    ];
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Moat policy",
        "oneOf": kinds,
        "$defs": generator.take_definitions(true),
    })
}

fn kind<T: JsonSchema>(generator: &mut SchemaGenerator, name: &str) -> Value {
    let mut schema = T::json_schema(generator).to_value();
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("kind".to_owned(), json!({ "const": name }));
        properties.insert("apiVersion".to_owned(), json!({ "const": moat_policy::model::API_VERSION }));
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_has_its_place_and_several_documents_are_one() {
        let text = "apiVersion: aqua.security/v1alpha1\nkind: RuntimePolicy\nmetadata: { name: a }\nspec:\n  rulez: []\n";
        let found = parse(text).unwrap_err();
        let unknown = found.iter().find(|diagnostic| diagnostic.message.contains("rulez")).unwrap();
        assert_eq!((unknown.line, unknown.column, unknown.end_line, unknown.end_column), (5, 3, 5, 8));

        let one = include_str!("../../../../../examples/no-shells.yaml");
        assert!(parse(one).is_ok());
        let found = parse(&format!("{one}---\n{}", include_str!("../../../../../examples/no-passwd.yaml")))
            .unwrap_err();
        assert_eq!(found[0].line, one.lines().count() + 1);
    }

    #[test]
    fn the_schema_says_which_kinds_there_are() {
        let schema = schema();
        let kinds: Vec<_> = schema["oneOf"]
            .as_array()
            .unwrap()
            .iter()
            .map(|kind| &kind["properties"]["kind"]["const"])
            .collect();
        assert_eq!(kinds, ["RuntimePolicy", "CompliancePolicy"]);
        assert!(schema["$defs"]["RuleAction"]["oneOf"].is_array());
    }
}
