//! Checks of the three selectors.

use moat_event::Labels;

use super::text;
use super::{Report, Step};
use crate::model::{LabelExpression, LabelOperator, NamespaceSelector, WorkloadSelector};

impl Report {
    pub(super) fn namespace_selector(&mut self, selector: &NamespaceSelector) {
        self.list("matchNames", &selector.match_names, text::name_glob);
        self.list("excludeNames", &selector.exclude_names, text::name_glob);
        self.label_conditions(&selector.match_labels, &selector.match_expressions);
    }

    pub(super) fn workload_selector(&mut self, selector: &WorkloadSelector) {
        self.list("kinds", &selector.kinds, text::name_glob);
        self.list("names", &selector.names, text::name_glob);
        self.list("containers", &selector.containers, text::name_glob);
        self.list("images", &selector.images, text::name_glob);
        self.list("serviceAccounts", &selector.service_accounts, text::name_glob);
        self.list("nodes", &selector.nodes, text::name_glob);
    }

    pub(super) fn label_conditions(&mut self, labels: &Labels, expressions: &[LabelExpression]) {
        self.field("matchLabels", |report| {
            for (key, value) in labels {
                report.step(Step::Key(key.clone()), |report| {
                    report.check(text::label_key(key).and_then(|()| text::label_value(value)));
                });
            }
        });
        self.field("matchExpressions", |report| {
            report.each(expressions, |report, _, expression| report.label_expression(expression));
        });
    }

    fn label_expression(&mut self, expression: &LabelExpression) {
        self.field("key", |report| report.check(text::label_key(&expression.key)));
        self.list("values", &expression.values, text::label_value);
        let given = !expression.values.is_empty();
        match expression.operator {
            LabelOperator::In | LabelOperator::NotIn if !given => self.field("operator", |report| {
                report.problem(
                    "`In` and `NotIn` need values",
                    "compares with nothing",
                    "add `values: [...]`",
                );
            }),
            LabelOperator::Exists | LabelOperator::DoesNotExist if given => self.field("values", |report| {
                let help = "remove `values`, or use `In` or `NotIn`";
                report.problem("`Exists` and `DoesNotExist` take no values", "never compared", help);
            }),
            _ => {}
        }
    }
}
