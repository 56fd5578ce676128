//! With a driver that writes down what it is asked; real drivers are tested with real containers.

use std::path::Path;
use std::sync::Mutex;

use moat_event::{Severity, Workload};
use moat_policy::Document;

use super::*;
use crate::runtime::{Kind, RuntimeId, open};

#[derive(Debug, Default, Clone)]
struct Asked(Arc<Mutex<Vec<String>>>);

/// Refuses rule sets that hold a rule named `too-large`.
impl Driver for Asked {
    fn prepare(&mut self, soon: &[(ContainerScope, Arc<RuleSet>)]) {
        let cgroups: Vec<_> = soon.iter().map(|(scope, _)| scope.cgroup.to_string()).collect();
        self.note(format!("prepare {}", cgroups.join(",")));
    }

    fn apply(&mut self, scope: &ContainerScope, rules: &Arc<RuleSet>) -> Result<(), ApplyError> {
        if let Some(rule) = rules.rules.iter().find(|rule| &*rule.rule == "too-large") {
            return Err(ApplyError::DoesNotFit {
                policy: rule.policy.to_string(),
                rule: rule.rule.to_string(),
                what: String::from("test"),
            });
        }
        let names: Vec<_> = rules.rules.iter().map(|rule| &*rule.rule).collect();
        self.note(format!("apply {} {} {}", scope.cgroup, rules.generation, names.join(",")));
        Ok(())
    }

    fn dismiss(&mut self, scope: &ContainerScope) -> Result<(), ApplyError> {
        self.note(format!("dismiss {}", scope.cgroup));
        Ok(())
    }

    fn release(&mut self, cgroup: u64) {
        self.note(format!("release {cgroup}"));
    }

    fn losses(&self) -> Vec<Loss> {
        Vec::new()
    }
}

impl Asked {
    fn note(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Policies that each select by `app` and have one rule of their own name.
fn policies(generation: u64, named: &[(&str, &str)]) -> Arc<Policies> {
    let runtime = named.iter().map(|(name, app)| {
        let text = format!(
            "apiVersion: aqua.security/v1alpha1\nkind: RuntimePolicy\nmetadata: {{ name: {name} }}\nspec:\n  mode: Enforce\n  \
             labelSelector: {{ matchLabels: {{ app: {app} }} }}\n  rules:\n  \
             - {{ name: {name}, action: Block, process: {{ names: [sh] }} }}\n"
        );
        let mut documents = moat_policy::parse("p.yaml", text.as_bytes()).unwrap();
        let Some(Document::Runtime(policy)) = documents.pop() else { panic!("a runtime policy is expected") };
        Loaded { policy: Arc::new(policy), file: "p.yaml".into(), first_seen: Timestamp::UNIX_EPOCH }
    });
    Arc::new(Policies { generation, runtime: runtime.collect(), ..Policies::default() })
}

fn settle(cgroup: u64, app: &str, policies: &Arc<Policies>) -> Settle {
    Settle {
        scope: ContainerScope { cgroup, cgroup_directory: None, init_pid: 1 },
        source: open(Some(Kind::Containerd), Some(Path::new("/nowhere.sock"))).unwrap().remove(0),
        container: Arc::new(Container {
            workload: Workload {
                labels: [(String::from("app"), app.to_owned())].into(),
                ..Workload::default()
            },
            runtime_id: RuntimeId { namespace: String::new(), id: cgroup.to_string() },
            init_pid: 1,
            sandbox: false,
            sandbox_id: None,
        }),
        quarantine: None,
        policies: Arc::clone(policies),
        force: false,
    }
}

struct Thread {
    enforcement: Enforcement,
    asked: Asked,
    directory: Arc<Directory>,
}

impl Thread {
    fn start() -> Thread {
        let (asked, directory) = (Asked::default(), Arc::new(Directory::default()));
        let generations = Arc::new(Generations::default());
        for _ in 0..99 {
            generations.next();
        }
        let enforcement =
            Enforcement::start(Box::new(asked.clone()), Arc::clone(&directory), generations).unwrap();
        Thread { enforcement, asked, directory }
    }

    async fn settle(&mut self, settle: Settle) -> Result<Arc<RuleSet>, ApplyError> {
        assert!(self.enforcement.give(Order::Settle(settle)));
        match self.enforcement.answers.recv().await {
            Some(Answer::Settled { result, .. }) => result,
            other => panic!("another answer: {other:?}"),
        }
    }
}

#[tokio::test]
async fn what_is_in_force_already_is_not_applied_again_unless_a_start_is_held() {
    let mut thread = Thread::start();
    let first = policies(1, &[("a", "web"), ("b", "db")]);
    thread.settle(settle(7, "web", &first)).await.unwrap();
    assert_eq!(thread.asked.take(), ["apply 7 1 a"]);
    // Another policy changed: the same rules for this container, which keep their generation.
    let second = policies(2, &[("a", "web"), ("c", "db")]);
    let rules = thread.settle(settle(7, "web", &second)).await.unwrap();
    assert_eq!((rules.generation, thread.asked.take()), (1, vec![]));
    thread.settle(Settle { force: true, ..settle(7, "web", &second) }).await.unwrap();
    assert_eq!(thread.asked.take(), ["apply 7 1 a"]);

    thread.settle(settle(8, "other", &second)).await.unwrap();
    assert_eq!(thread.asked.take(), ["dismiss 8"]);
    // Nothing selects it any more.
    thread.settle(settle(7, "web", &policies(3, &[]))).await.unwrap();
    assert_eq!(thread.asked.take(), ["dismiss 7"]);
    thread.enforcement.finish();
}

#[tokio::test]
async fn only_what_will_change_is_prepared() {
    let mut thread = Thread::start();
    let first = policies(1, &[("a", "web"), ("b", "db")]);
    thread.settle(settle(7, "web", &first)).await.unwrap();
    thread.settle(settle(8, "db", &first)).await.unwrap();
    thread.asked.take();
    let second = policies(2, &[("a", "web"), ("c", "db")]);
    let soon = [(7, "web"), (8, "db"), (9, "web"), (10, "web"), (11, "db")]
        .map(|(cgroup, app)| settle(cgroup, app, &second));
    assert!(thread.enforcement.give(Order::Prepare(soon.into())));
    assert!(matches!(thread.enforcement.answers.recv().await, Some(Answer::Prepared)));
    assert_eq!(thread.asked.take(), ["prepare 8,9"]);
    // It is a beginning only: each still has to be settled, and gets what it was prepared for.
    thread.settle(settle(8, "db", &second)).await.unwrap();
    assert_eq!(thread.asked.take(), ["apply 8 2 c"]);
    thread.enforcement.finish();
}

#[tokio::test]
async fn containers_with_the_same_policies_share_one_rule_set() {
    let mut thread = Thread::start();
    let policies = policies(1, &[("a", "web")]);
    let one = thread.settle(settle(7, "web", &policies)).await.unwrap();
    let two = thread.settle(settle(8, "web", &policies)).await.unwrap();
    assert!(Arc::ptr_eq(&one, &two));
    thread.enforcement.finish();
}

#[tokio::test]
async fn what_does_not_fit_leaves_the_last_set_in_force() {
    let mut thread = Thread::start();
    thread.settle(settle(7, "web", &policies(1, &[("a", "web")]))).await.unwrap();
    let error = thread.settle(settle(7, "web", &policies(2, &[("too-large", "web")]))).await.unwrap_err();
    assert_eq!(error.to_string(), "rule \"too-large\" of policy \"too-large\" does not fit: test");
    // Going back to what is still in force is no change.
    thread.asked.take();
    let rules = thread.settle(settle(7, "web", &policies(3, &[("a", "web")]))).await.unwrap();
    assert_eq!((rules.generation, thread.asked.take()), (1, vec![]));
    thread.enforcement.finish();
}

#[tokio::test]
async fn a_container_that_is_cut_off_keeps_its_rules_and_gets_a_generation_of_its_own() {
    let mut thread = Thread::start();
    let policies = policies(1, &[("a", "web")]);
    thread.settle(settle(7, "web", &policies)).await.unwrap();
    let quarantine = Quarantine {
        cgroup: 7,
        policy: String::from("a"),
        rule: String::from("cut"),
        severity: Severity::High,
    };
    let cut = Settle { quarantine: Some(quarantine), ..settle(7, "web", &policies) };
    let rules = thread.settle(cut).await.unwrap();
    assert_eq!(thread.asked.take(), ["apply 7 1 a", "apply 7 100 a,cut,cut"]);
    // Records on their way still find the rules they name.
    assert_eq!(thread.directory.rules(7, 1).unwrap().rules.len(), 1);
    assert_eq!(thread.directory.rules(7, 100), Some(rules));
    thread.enforcement.finish();
}

#[tokio::test]
async fn a_released_cgroup_starts_anew() {
    let mut thread = Thread::start();
    let policies = policies(1, &[("a", "web")]);
    thread.settle(settle(7, "web", &policies)).await.unwrap();
    assert!(thread.enforcement.give(Order::Release { cgroup: 7 }));
    assert!(matches!(thread.enforcement.answers.recv().await, Some(Answer::Released)));
    thread.settle(settle(7, "web", &policies)).await.unwrap();
    assert_eq!(thread.asked.take(), ["apply 7 1 a", "release 7", "apply 7 1 a"]);
    thread.enforcement.finish();
}
