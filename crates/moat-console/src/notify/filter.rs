//! Which events a notifier is for.

use moat_event::{Event, EventAction, EventType, Severity, Workload};
use moat_policy::model::{LabelSelector, Mode, NamespaceSelector, RuntimePolicySpec};
use moat_policy::select::{InvalidGlob, Selector};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All conditions must hold; an empty one does.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "NotifierFilter")]
pub struct Filter {
    /// At least this; any, if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_severity: Option<Severity>,
    /// Any of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<EventType>,
    /// Any of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<EventAction>,
    /// Globs; any of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Globs; none of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude_namespaces: Vec<String>,
    /// Of the pod's labels, with the semantics of Kubernetes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
}

/// A [`Filter`], ready to be asked about many events.
#[derive(Debug)]
pub struct Filtering {
    filter: Filter,
    /// `None` where no selector is given: events of no workload pass too.
    selector: Option<Selector>,
}

impl Filter {
    pub fn compile(&self) -> Result<Filtering, InvalidGlob> {
        let selects = !self.namespaces.is_empty()
            || !self.exclude_namespaces.is_empty()
            || self.label_selector.as_ref().is_some_and(|labels| *labels != LabelSelector::default());
        let spec = RuntimePolicySpec {
            namespace_selector: Some(NamespaceSelector {
                match_names: self.namespaces.clone(),
                exclude_names: self.exclude_namespaces.clone(),
                ..NamespaceSelector::default()
            }),
            label_selector: self.label_selector.clone(),
            workload_selector: None,
            mode: Mode::Audit,
            enforce_after: None,
            rules: Vec::new(),
        };
        let selector = if selects { Some(Selector::new(&spec)?) } else { None };
        Ok(Filtering { filter: self.clone(), selector })
    }
}

impl Filtering {
    pub fn passes(&self, event: &Event) -> bool {
        let Filter { min_severity, types, actions, .. } = &self.filter;
        min_severity.is_none_or(|least| event.severity >= least)
            && (types.is_empty() || types.contains(&event.event_type))
            && (actions.is_empty() || actions.contains(&event.action))
            && self.selector.as_ref().is_none_or(|selector| selector.selects(&workload(event)).is_ok())
    }
}

/// As much of the workload as the selectors of a filter ask about.
fn workload(event: &Event) -> Workload {
    Workload {
        namespace: event.namespace.clone().unwrap_or_default(),
        labels: event.labels.clone(),
        ..Workload::default()
    }
}

#[cfg(test)]
mod tests {
    use moat_policy::model::{LabelExpression, LabelOperator};

    use super::*;
    use crate::notify::encode::samples::read;

    fn passes(filter: &Filter, event: &Event) -> bool {
        filter.compile().expect("valid").passes(event)
    }

    #[test]
    fn each_condition_decides_alone() {
        let event = read();
        let yes = Filter::default();
        assert!(passes(&yes, &event));
        for (filter, expected) in [
            (Filter { min_severity: Some(Severity::High), ..yes.clone() }, true),
            (Filter { min_severity: Some(Severity::Critical), ..yes.clone() }, false),
            (Filter { types: vec![EventType::Drift, EventType::FileAccess], ..yes.clone() }, true),
            (Filter { types: vec![EventType::Drift], ..yes.clone() }, false),
            (Filter { actions: vec![EventAction::Blocked], ..yes.clone() }, true),
            (Filter { actions: vec![EventAction::Killed], ..yes.clone() }, false),
            (Filter { namespaces: vec!["sho*".into()], ..yes.clone() }, true),
            (Filter { namespaces: vec!["kube-*".into()], ..yes.clone() }, false),
            (Filter { exclude_namespaces: vec!["kube-*".into()], ..yes.clone() }, true),
            (Filter { exclude_namespaces: vec!["shop".into()], ..yes.clone() }, false),
        ] {
            assert_eq!(passes(&filter, &event), expected, "{filter:?}");
        }
    }

    #[test]
    fn labels_are_selected_as_kubernetes_does() {
        let select = |operator, values: &[&str]| Filter {
            label_selector: Some(LabelSelector {
                match_expressions: vec![LabelExpression {
                    key: "app".into(),
                    operator,
                    values: values.iter().map(|&value| value.into()).collect(),
                }],
                ..LabelSelector::default()
            }),
            ..Filter::default()
        };
        let event = read();
        assert!(passes(&select(LabelOperator::In, &["nginx"]), &event));
        assert!(!passes(&select(LabelOperator::NotIn, &["nginx"]), &event));
        let bare = Event { labels: moat_event::Labels::new(), ..event };
        assert!(passes(&select(LabelOperator::NotIn, &["nginx"]), &bare));
        assert!(!passes(&select(LabelOperator::Exists, &[]), &bare));
    }

    #[test]
    fn a_glob_that_does_not_compile_is_refused() {
        let filter = Filter { namespaces: vec!["{a".into()], ..Filter::default() };
        assert!(filter.compile().is_err());
    }
}
