//! Which workloads a policy is for: the three selectors, compiled.

#[cfg(test)]
mod tests;

use globset::{GlobBuilder, GlobMatcher};
use moat_event::{Labels, Workload};

use crate::model::{LabelExpression, LabelOperator, NamespaceSelector, RuntimePolicySpec, WorkloadSelector};

/// A policy's selectors, ready to be asked about many workloads. All must hold; an absent one does.
#[derive(Debug, Clone)]
pub struct Selector {
    /// Globs by what of the workload they are about; of each list given, one must match.
    names: Vec<(Subject, Vec<Pattern>)>,
    excluded_namespaces: Vec<Pattern>,
    namespace_labels: LabelConditions,
    labels: LabelConditions,
}

/// Why a workload is not selected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` does not match {found}")]
pub struct NotSelected {
    /// The selector's field that fails, by its path below `spec`.
    pub field: &'static str,
    /// What the workload has, in words, control characters escaped.
    pub found: String,
}

/// A glob that does not compile; validation refuses such policies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("glob `{}`: {message}", text.escape_debug())]
pub struct InvalidGlob {
    pub text: String,
    pub message: String,
}

#[derive(Debug, Clone, Copy)]
enum Subject {
    Namespace,
    Kind,
    Name,
    Container,
    Image,
    ServiceAccount,
    Node,
}

#[derive(Debug, Clone)]
enum Pattern {
    Literal(String),
    Glob(GlobMatcher),
}

#[derive(Debug, Clone, Default)]
struct LabelConditions {
    labels: Labels,
    expressions: Vec<LabelExpression>,
}

impl RuntimePolicySpec {
    /// Whether this policy is for the workload, and if not, why. To ask often, keep a [`Selector`].
    pub fn selects(&self, workload: &Workload) -> Result<Result<(), NotSelected>, InvalidGlob> {
        Ok(Selector::new(self)?.selects(workload))
    }
}

impl Selector {
    pub fn new(spec: &RuntimePolicySpec) -> Result<Selector, InvalidGlob> {
        let namespace = spec.namespace_selector.clone().unwrap_or_default();
        let labels = spec.label_selector.clone().unwrap_or_default();
        let WorkloadSelector { kinds, names, containers, images, service_accounts, nodes } =
            spec.workload_selector.clone().unwrap_or_default();
        let NamespaceSelector { match_names, exclude_names, match_labels, match_expressions } = namespace;
        let names = [
            (Subject::Namespace, match_names),
            (Subject::Kind, kinds),
            (Subject::Name, names),
            (Subject::Container, containers),
            (Subject::Image, images),
            (Subject::ServiceAccount, service_accounts),
            (Subject::Node, nodes),
        ];
        Ok(Selector {
            names: names
                .into_iter()
                .filter(|(_, globs)| !globs.is_empty())
                .map(|(subject, globs)| Ok((subject, compile(globs)?)))
                .collect::<Result<_, _>>()?,
            excluded_namespaces: compile(exclude_names)?,
            namespace_labels: LabelConditions { labels: match_labels, expressions: match_expressions },
            labels: LabelConditions { labels: labels.match_labels, expressions: labels.match_expressions },
        })
    }

    /// Whether a selector can hold this glob.
    pub(crate) fn check_glob(text: &str) -> Result<(), InvalidGlob> {
        Pattern::new(text.to_owned()).map(drop)
    }

    /// Whether the workload is selected, and if not, by which field.
    pub fn selects(&self, workload: &Workload) -> Result<(), NotSelected> {
        for (subject, patterns) in &self.names {
            if !subject.values(workload).iter().any(|value| any(patterns, value)) {
                let [value, _] = subject.values(workload);
                return Err(NotSelected { field: subject.field(), found: quoted(value) });
            }
        }
        if any(&self.excluded_namespaces, &workload.namespace) {
            let found = format!("{}, which it excludes", quoted(&workload.namespace));
            return Err(NotSelected { field: "namespaceSelector.excludeNames", found });
        }
        self.namespace_labels.hold(
            &workload.namespace_labels,
            "namespaceSelector.matchLabels",
            "namespaceSelector.matchExpressions",
        )?;
        self.labels.hold(&workload.labels, "labelSelector.matchLabels", "labelSelector.matchExpressions")
    }
}

impl Subject {
    fn field(self) -> &'static str {
        match self {
            Subject::Namespace => "namespaceSelector.matchNames",
            Subject::Kind => "workloadSelector.kinds",
            Subject::Name => "workloadSelector.names",
            Subject::Container => "workloadSelector.containers",
            Subject::Image => "workloadSelector.images",
            Subject::ServiceAccount => "workloadSelector.serviceAccounts",
            Subject::Node => "workloadSelector.nodes",
        }
    }

    /// The values that the patterns may match: an image by its reference or its digest.
    fn values(self, workload: &Workload) -> [&str; 2] {
        let value = match self {
            Subject::Namespace => &workload.namespace,
            Subject::Kind => &workload.kind,
            Subject::Name => &workload.name,
            Subject::Container => &workload.container,
            Subject::Image => return [&workload.image, &workload.image_digest],
            Subject::ServiceAccount => &workload.service_account,
            Subject::Node => &workload.node,
        };
        [value, value]
    }
}

impl LabelConditions {
    fn hold(
        &self,
        labels: &Labels,
        labels_field: &'static str,
        expressions_field: &'static str,
    ) -> Result<(), NotSelected> {
        let found = |key: &str| match labels.get(key) {
            Some(value) => format!("the label {} with the value {}", quoted(key), quoted(value)),
            None => format!("a workload without the label {}", quoted(key)),
        };
        for (key, value) in &self.labels {
            if labels.get(key) != Some(value) {
                return Err(NotSelected { field: labels_field, found: found(key) });
            }
        }
        for expression in &self.expressions {
            if !expression.holds(labels) {
                return Err(NotSelected { field: expressions_field, found: found(&expression.key) });
            }
        }
        Ok(())
    }
}

impl LabelExpression {
    /// As Kubernetes evaluates it: `NotIn` holds where the key is absent.
    pub fn holds(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            LabelOperator::In => value.is_some_and(|value| self.values.contains(value)),
            LabelOperator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            LabelOperator::Exists => value.is_some(),
            LabelOperator::DoesNotExist => value.is_none(),
        }
    }
}

fn compile(globs: Vec<String>) -> Result<Vec<Pattern>, InvalidGlob> {
    globs.into_iter().map(Pattern::new).collect()
}

fn any(patterns: &[Pattern], value: &str) -> bool {
    patterns.iter().any(|pattern| match pattern {
        Pattern::Literal(literal) => literal == value,
        Pattern::Glob(glob) => glob.is_match(value),
    })
}

impl Pattern {
    fn new(text: String) -> Result<Pattern, InvalidGlob> {
        if !text.contains(['*', '?', '[', '{', '\\']) {
            return Ok(Pattern::Literal(text));
        }
        match GlobBuilder::new(&text).literal_separator(true).build() {
            Ok(glob) => Ok(Pattern::Glob(glob.compile_matcher())),
            Err(error) => Err(InvalidGlob { message: error.kind().to_string(), text }),
        }
    }
}

fn quoted(text: &str) -> String {
    format!("`{}`", text.escape_debug())
}
