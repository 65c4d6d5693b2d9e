//! Findings over time: seen, resolved, reopened, and folded twice without effect.

use crate::common::{due, record, run_id};
use crate::measurements::{NOW, fresh, minutes};
use keepwell_journal::measurements::{
    BaselineRequest, FindingQuery, FindingRow, Folded, Measurements, Proposed, Retention,
};
use keepwell_model::baseline::Worse;
use keepwell_model::event::{Event, Mode};
use keepwell_model::measure::{DAY_MS, SeriesKey};
use keepwell_model::report::Report;
use keepwell_model::state::RunState;
use keepwell_model::words::{Finding, Metric, Severity};
use proptest::prelude::*;

fn finding(subject: &str, severity: Severity) -> Finding {
    Finding {
        id: "mount-full".into(),
        subject: subject.into(),
        severity,
        title: format!("{subject} fills up"),
        detail: String::new(),
        data: vec![("used".into(), "91".into())],
    }
}

/// The report of run `n` of one task, which ends at `at`.
fn report(n: u8, at: u64, state: RunState, subjects: &[&str]) -> Report {
    let mut report = Report::begin(&due(run_id(n))).unwrap();
    report.started = at - 1;
    report.ended = Some(at);
    report.state = state;
    report.findings = subjects
        .iter()
        .map(|s| finding(s, Severity::Warning))
        .collect();
    report
}

fn rows(m: &Measurements, open: bool) -> Vec<FindingRow> {
    let query = FindingQuery {
        open,
        ..FindingQuery::default()
    };
    m.reader().unwrap().findings(&query).unwrap()
}

fn row(m: &Measurements, subject: &str) -> FindingRow {
    let all = rows(m, false);
    all.into_iter()
        .find(|row| row.finding.subject == subject)
        .unwrap()
}

#[test]
fn a_finding_is_seen_resolved_and_reopened() {
    let (_dir, m) = fresh();
    let fold =
        |n, at, state, subjects: &[&str]| m.fold_run(&report(n, at, state, subjects)).unwrap();
    assert_eq!(fold(1, 100, RunState::Done, &["/a", "/b"]).new, 2);
    let second = fold(2, 200, RunState::Warned, &["/a"]);
    assert_eq!((second.seen, second.resolved), (1, 1));
    assert_eq!(row(&m, "/b").resolved, Some(200));
    assert_eq!(rows(&m, true).len(), 1);
    // A run that did not see everything resolves nothing, but what it saw is seen.
    for state in [
        RunState::Failed,
        RunState::Limited,
        RunState::Cancelled,
        RunState::Interrupted,
    ] {
        let n = 3 + state as u8;
        assert_eq!(fold(n, 300, state, &[]).resolved, 0);
    }
    let mut planned = report(30, 350, RunState::Done, &[]);
    planned.mode = Mode::Plan;
    assert_eq!(m.fold_run(&planned).unwrap().resolved, 0);
    let back = fold(31, 400, RunState::Done, &["/b", "/a"]);
    assert_eq!((back.reopened, back.seen, back.resolved), (1, 1, 0));
    let b = row(&m, "/b");
    assert_eq!((b.first_seen, b.last_seen, b.count), (100, 400, 2));
    assert_eq!((b.reopened, b.resolved), (1, None));
    assert_eq!(b.last_run, Some(run_id(31)));
    assert_eq!(b.finding, finding("/b", Severity::Warning));
    // Another task's findings are its own.
    let mut other = report(32, 500, RunState::Done, &[]);
    other.task = "other".into();
    assert_eq!(m.fold_run(&other).unwrap(), Folded::default());
    assert_eq!(rows(&m, true).len(), 2);
}

#[test]
fn a_run_that_goes_on_is_not_folded_and_a_resumed_one_counts_once() {
    let (_dir, m) = fresh();
    let mut run = report(1, 100, RunState::Running, &["/a"]);
    run.metrics = vec![Metric {
        name: "freed".into(),
        unit: "bytes".into(),
        value: 5.0,
        labels: vec![],
    }];
    assert_eq!(m.fold_run(&run).unwrap(), Folded::default());
    run.state = RunState::Interrupted;
    let folded = m.fold_run(&run).unwrap();
    assert_eq!((folded.new, folded.points), (1, 0));
    run.state = RunState::Done;
    run.ended = Some(150);
    run.findings.push(finding("/b", Severity::Critical));
    let folded = m.fold_run(&run).unwrap();
    assert_eq!((folded.new, folded.points), (1, 1));
    let a = row(&m, "/a");
    assert_eq!((a.count, a.last_seen, a.resolved), (1, 150, None));
    let key = SeriesKey::of_task("temp-clean", "freed", "bytes", &[]).unwrap();
    let last = m.reader().unwrap().last(&key).unwrap().unwrap();
    assert_eq!((last.at_ms, last.value), (150, 5.0));
}

#[test]
fn the_most_severe_of_one_run_is_kept_and_queries_restrict() {
    let (_dir, m) = fresh();
    let mut run = report(1, 100, RunState::Done, &["/a", "/b"]);
    run.findings.push(finding("/a", Severity::Critical));
    run.findings.push(finding("/a", Severity::Info));
    run.findings.push(finding("/c", Severity::Info));
    assert_eq!(m.fold_run(&run).unwrap().new, 3);
    assert_eq!(row(&m, "/a").finding.severity, Severity::Critical);
    let count = |at_least, task: Option<&str>, limit| {
        let query = FindingQuery {
            task: task.map(str::to_owned),
            open: true,
            at_least,
            limit,
        };
        m.reader().unwrap().findings(&query).unwrap().len()
    };
    assert_eq!(count(None, None, None), 3);
    assert_eq!(count(Some(Severity::Warning), None, None), 2);
    assert_eq!(count(Some(Severity::Critical), Some("temp-clean"), None), 1);
    assert_eq!(count(None, Some("other"), None), 0);
    assert_eq!(count(None, None, Some(2)), 2);
}

#[test]
fn a_task_keeps_so_many_findings_and_the_rest_is_counted() {
    let (_dir, m) = fresh();
    let subjects: Vec<String> = (0..10_050).map(|n| format!("/{n}")).collect();
    let subjects: Vec<&str> = subjects.iter().map(String::as_str).collect();
    let folded = m
        .fold_run(&report(1, 100, RunState::Done, &subjects))
        .unwrap();
    assert_eq!((folded.new, folded.crowded), (10_000, 50));
    // Those that are kept are resolved as ever, and room comes back with retention.
    let folded = m.fold_run(&report(2, 200, RunState::Done, &[])).unwrap();
    assert_eq!(folded.resolved, 10_000);
    let swept = m
        .sweep(&Retention::default(), 500 * DAY_MS, &|| false)
        .unwrap();
    assert_eq!(swept.findings, 10_000);
    // What was folded then is known to be, although no longer run by run.
    let again = m
        .fold_run(&report(1, 100, RunState::Done, &["/a"]))
        .unwrap();
    assert_eq!(again, Folded::default());
    assert!(rows(&m, false).is_empty());
}

#[test]
fn resolved_findings_beyond_the_count_go_first_resolved_first() {
    let (_dir, m) = fresh();
    m.fold_run(&report(1, 100, RunState::Done, &["/a", "/b", "/c"]))
        .unwrap();
    m.fold_run(&report(2, 200, RunState::Done, &["/b", "/c"]))
        .unwrap();
    m.fold_run(&report(3, 300, RunState::Done, &["/c"]))
        .unwrap();
    let keep = Retention {
        findings_max: 1,
        ..Retention::default()
    };
    assert_eq!(m.sweep(&keep, 1_000, &|| false).unwrap().findings, 1);
    let left: Vec<String> = rows(&m, false)
        .into_iter()
        .map(|r| r.finding.subject)
        .collect();
    assert_eq!(left, ["/c", "/b"]);
}

#[test]
fn a_window_with_a_finding_makes_no_baseline() {
    let (_dir, m) = fresh();
    let hour = 3_600_000;
    let key = SeriesKey::of_task("temp-clean", "took", "seconds", &[]).unwrap();
    m.add(&minutes(&key, NOW - 10 * hour, 600), NOW).unwrap();
    m.fold_run(&report(1, NOW - 5 * hour, RunState::Done, &["/a"]))
        .unwrap();
    m.fold_run(&report(2, NOW - 4 * hour, RunState::Done, &[]))
        .unwrap();
    let make = |name: &str, from_ms, to_ms| {
        let request = BaselineRequest {
            name: name.into(),
            series: key.clone(),
            from_ms,
            to_ms,
            worse: Worse::Higher,
            noise_floor: 0.0,
            actor: "operator".into(),
        };
        m.make_baseline(&request, NOW).unwrap()
    };
    let open = make("a", NOW - 6 * hour, NOW);
    assert!(matches!(open, Proposed::NotClean { subject, .. } if subject == "/a"));
    assert!(matches!(
        make("a", NOW - 10 * hour, NOW - 6 * hour),
        Proposed::Made(_)
    ));
    assert!(matches!(make("b", NOW - 3 * hour, NOW), Proposed::Made(_)));
}

#[test]
fn an_event_folds_as_its_report_says() {
    let (_dir, m) = fresh();
    let run = run_id(1);
    let end = Event::RunEnded {
        again: false,
        fault: false,
        state: RunState::Done,
        reason: None,
        hint: None,
        limit: None,
    };
    let found = Event::Found {
        finding: finding("/a", Severity::Warning),
    };
    let records = [
        due(run),
        record(11, Some(run), found),
        record(20, Some(run), end),
    ];
    let report = Report::fold(&records).unwrap();
    assert_eq!(m.fold_run(&report).unwrap().new, 1);
    assert_eq!(row(&m, "/a").last_seen, 20);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Folding again, and in any order, ends with the same findings open as folding once in order.
    #[test]
    fn folding_twice_and_out_of_order_agrees(
        runs in proptest::collection::vec((proptest::collection::vec(0..4usize, 0..4), 0..3u8), 1..8),
        order in proptest::collection::vec(0..8usize, 0..24),
    ) {
        const NAMES: [&str; 4] = ["/a", "/b", "/c", "/d"];
        let reports: Vec<Report> = runs
            .iter()
            .enumerate()
            .map(|(n, (subjects, state))| {
                let subjects: Vec<&str> = subjects.iter().map(|s| NAMES[*s]).collect();
                let state = [RunState::Done, RunState::Failed, RunState::Warned][usize::from(*state)];
                report(n as u8, 100 * (n as u64 + 1), state, &subjects)
            })
            .collect();
        let (_dir, once) = fresh();
        for report in &reports {
            once.fold_run(report).unwrap();
            let before = rows(&once, false);
            prop_assert_eq!(once.fold_run(report).unwrap(), Folded::default());
            prop_assert_eq!(before, rows(&once, false));
        }
        let (_other, mixed) = fresh();
        for n in order {
            if let Some(report) = reports.get(n) {
                mixed.fold_run(report).unwrap();
            }
        }
        for report in &reports {
            mixed.fold_run(report).unwrap();
        }
        for (a, b) in rows(&once, false).iter().zip(rows(&mixed, false)) {
            prop_assert_eq!(a.fingerprint, b.fingerprint);
            prop_assert_eq!(a.last_seen, b.last_seen);
            prop_assert_eq!(a.first_seen, b.first_seen);
            prop_assert_eq!(a.count, b.count);
        }
    }
}
