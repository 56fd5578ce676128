//! Checks of a rule and its matcher.

use super::{Report, text};
use moat_event::{Direction, Protocol};

use crate::model::{DriftMatcher, ExecutableList, FileMatcher, NetworkMatcher, ProcessMatcher, Rule};

impl Report {
    pub(super) fn rule(&mut self, rule: &Rule) {
        self.field("name", |report| report.check(text::name(&rule.name)));
        let given = [
            ("process", rule.process.is_some()),
            ("file", rule.file.is_some()),
            ("network", rule.network.is_some()),
            ("syscalls", rule.syscalls.is_some()),
            ("capabilities", rule.capabilities.is_some()),
            ("drift", rule.drift.is_some()),
        ];
        let given: Vec<&str> = given.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
        match given[..] {
            [] => self.problem(
                "the rule matches nothing: it has no matcher",
                "this rule",
                "give it one of `process`, `file`, `network`, `syscalls`, `capabilities` and `drift`",
            ),
            [_] => {}
            _ => {
                let message = format!("a rule has one matcher, this one has {}", given.join(" and "));
                self.problem(&message, "this rule", "split it into one rule for each");
            }
        }
        if let Some(matcher) = &rule.process {
            self.field("process", |report| report.process(matcher));
        }
        if let Some(matcher) = &rule.file {
            self.field("file", |report| report.file(matcher));
        }
        if let Some(matcher) = &rule.network {
            self.field("network", |report| report.network(matcher));
        }
        if let Some(names) = &rule.syscalls {
            if names.is_empty() {
                self.field("syscalls", |report| {
                    report.problem("the rule names no system call", "empty", "list them: [ptrace, syslog]");
                });
            }
            self.list("syscalls", names, text::syscall);
        }
        if let Some(names) = &rule.capabilities {
            if names.is_empty() {
                self.field("capabilities", |report| {
                    let help = "list them: [NET_ADMIN, SYS_MODULE]";
                    report.problem("the rule names no capability", "empty", help);
                });
            }
            self.list("capabilities", names, text::capability);
        }
        if let Some(matcher) = &rule.drift {
            self.field("drift", |report| report.drift(matcher));
        }
    }

    fn process(&mut self, matcher: &ProcessMatcher) {
        if *matcher == (ProcessMatcher { except: matcher.except.clone(), ..ProcessMatcher::default() }) {
            self.problem(
                "the matcher has no condition and would match every execution",
                "without a condition",
                "say what it matches; to allow only some programs, use `allowOnly`",
            );
        }
        self.list("names", &matcher.names, text::base_name);
        self.list("paths", &matcher.paths, text::path);
        self.list("pathGlobs", &matcher.path_globs, text::path_glob);
        self.list("parents", &matcher.parents, text::executable);
        self.list("users", &matcher.users, text::user);
        for (field, pattern) in [("nameRegex", &matcher.name_regex), ("argsRegex", &matcher.args_regex)] {
            if let Some(pattern) = pattern {
                self.field(field, |report| report.check(text::regex(pattern)));
            }
        }
        if let Some(list) = &matcher.allow_only {
            let selects =
                !(matcher.names.is_empty() && matcher.paths.is_empty() && matcher.path_globs.is_empty())
                    || matcher.name_regex.is_some();
            self.field("allowOnly", |report| {
                if selects {
                    report.problem(
                        "`allowOnly` stands beside `names`, `nameRegex`, `paths` or `pathGlobs`",
                        "matches all that is not listed",
                        "it says what is allowed, the others what is denied: use two rules",
                    );
                }
                report.executables(list, "the list allows nothing: every execution would be denied");
            });
        }
        self.exception(matcher.except.as_ref());
    }

    fn exception(&mut self, except: Option<&ExecutableList>) {
        if let Some(list) = except {
            self.field("except", |report| report.executables(list, "the exception excepts nothing"));
        }
    }

    fn executables(&mut self, list: &ExecutableList, empty: &str) {
        if *list == ExecutableList::default() {
            self.problem(empty, "empty", "fill one of `names`, `paths` and `pathGlobs`");
        }
        self.list("names", &list.names, text::base_name);
        self.list("paths", &list.paths, text::path);
        self.list("pathGlobs", &list.path_globs, text::path_glob);
    }

    fn file(&mut self, matcher: &FileMatcher) {
        if matcher.paths.is_empty() {
            self.field("paths", |report| {
                report.problem("the matcher has no paths", "which files?", "list them: paths: [/etc/**]");
            });
        }
        if matcher.operations.is_empty() {
            self.field("operations", |report| {
                let help = "list them: operations: [Write, Create, Delete]";
                report.problem("the matcher has no operations", "doing what?", help);
            });
        }
        self.list("paths", &matcher.paths, text::path_glob);
        self.list("processes", &matcher.processes, text::executable);
        self.list("users", &matcher.users, text::user);
        if let Some(except) = &matcher.except {
            self.field("except", |report| {
                if except.paths.is_empty() && except.processes.is_empty() && except.users.is_empty() {
                    let help = "fill one of `paths`, `processes` and `users`";
                    report.problem("the exception excepts nothing", "empty", help);
                }
                report.list("paths", &except.paths, text::path_glob);
                report.list("processes", &except.processes, text::executable);
                report.list("users", &except.users, text::user);
            });
        }
    }

    fn network(&mut self, matcher: &NetworkMatcher) {
        self.list("cidrs", &matcher.cidrs, text::cidr);
        self.list("ports", &matcher.ports, text::port);
        if matcher.protocols.contains(&Protocol::Raw) {
            self.raw_sockets(matcher);
        }
        if let Some(except) = &matcher.except {
            self.field("except", |report| {
                if except.cidrs.is_empty() && except.ports.is_empty() {
                    let help = "fill `cidrs`, `ports` or both";
                    report.problem("the exception excepts nothing", "empty", help);
                }
                report.list("cidrs", &except.cidrs, text::cidr);
                report.list("ports", &except.ports, text::port);
            });
        }
    }

    /// They are judged when they are made, before they have an address or port.
    fn raw_sockets(&mut self, matcher: &NetworkMatcher) {
        if matcher.direction != Direction::Egress {
            self.field("direction", |report| {
                let help = "raw sockets are opened by the workload: write `direction: Egress`";
                report.problem("`protocols: [Raw]` is only for egress", "with Raw in `protocols`", help);
            });
        }
        for (name, given) in [
            ("cidrs", !matcher.cidrs.is_empty()),
            ("ports", !matcher.ports.is_empty()),
            ("except", matcher.except.is_some()),
        ] {
            if given {
                self.field(name, |report| {
                    let message =
                        format!("a raw socket has no addresses and ports that `{name}` could match");
                    report.problem(&message, "with Raw in `protocols`", "give `Raw` a rule of its own");
                });
            }
        }
    }

    fn drift(&mut self, matcher: &DriftMatcher) {
        if !matcher.execute && !matcher.fileless {
            let help = "set `execute: true`, `fileless: true` or both";
            self.problem("the matcher asks for no kind of drift", "matches nothing", help);
        }
        self.exception(matcher.except.as_ref());
    }
}
