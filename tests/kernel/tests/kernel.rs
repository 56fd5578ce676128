//! All suites on all kernels, as tests: `6.12::exec::name`. One guest a kernel runs all cases that the
//! arguments select, and another one those that need another kind of machine.

use std::num::NonZero;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use moat_kernel_tests::bench::{self, Missing, Run, SERIES};
use moat_kernel_tests::protocol::Verdict;
use moat_kernel_tests::suites::{self, Machine};
use moat_testkit::skip;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // A guest keeps one processor busy. Those of the two series run side by side where there are two: their cases take
    // turns, and a guest goes on while the verdicts of the other one are waited for.
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    arguments.test_threads = Some(processors.min(SERIES.len()));
    let cache = bench::cache(Path::new(env!("CARGO_TARGET_TMPDIR")));

    let cases = suites::all();
    let mut trials = Vec::new();
    for machine in Machine::ALL {
        let cases = || cases.iter().filter(|case| case.machine == machine);
        let full = |series: &str, name: &str| format!("{series}::{name}");
        let runs = SERIES.map(|series| {
            let selected = cases()
                .filter(|case| case.series.is_none_or(|only| only == series))
                .filter(|case| {
                    let trial = Trial::test(full(series, &case.name), || Ok(())).with_ignored_flag(case.slow);
                    !arguments.is_filtered_out(&trial) && !arguments.is_ignored(&trial)
                })
                .map(|case| case.name.clone())
                .collect();
            let run =
                Run::new(series, machine, selected, Path::new(env!("CARGO_BIN_EXE_moat-guest")), &cache);
            (series, Arc::new(Mutex::new(run)))
        });
        for case in cases() {
            for (series, run) in
                runs.iter().filter(|(series, _)| case.series.is_none_or(|only| only == *series))
            {
                let (run, name) = (Arc::clone(run), case.name.clone());
                let trial = Trial::ignorable_test(full(series, &name), move || conclude(&run, &name));
                trials.push(trial.with_ignored_flag(case.slow));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn conclude(run: &Mutex<Run>, case: &str) -> Result<Completion, Failed> {
    let verdict = run.lock().map_err(|_| "the bench panicked in an earlier case")?.verdict(case);
    let skipped = |why: &str| {
        // At the start of a line, where those who count skips look for it.
        println!();
        skip("lsm", why);
        Ok(Completion::ignored_with(why))
    };
    match verdict {
        Ok((Verdict::Ok, _)) => Ok(Completion::Completed),
        Ok((Verdict::Failed, text)) => Err(text.into()),
        Ok((Verdict::Skipped, why)) => {
            println!("\nskipped: {why}");
            Ok(Completion::ignored_with(why))
        }
        Err(error) => match error.downcast_ref::<Missing>() {
            Some(missing) => skipped(&missing.to_string()),
            None => Err(format!("{error:#}").into()),
        },
    }
}
