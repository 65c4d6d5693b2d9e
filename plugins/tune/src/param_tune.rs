//! `param-tune`: tries one value of a parameter after another, each for one soak period. What did
//! worse than the value before it goes back and is not tried again, and neither is what the host
//! took back.

use crate::soak::{Memory, Rule, Soaked};
use config::{Param, Tried};
use keepwell_sdk::prelude::*;
use metrics::Contended;

/// Tries the given values in their order.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ParamTune {
    param: String,
    values: Vec<String>,
    pressure: String,
    samples: usize,
    worse: f64,
}

/// What to do in this run.
enum Step {
    /// Nothing, and why.
    Stay(String),
    Try(String, String),
}

impl Task for ParamTune {
    const NAME: &str = "param-tune";
    const ABOUT: &str = "Tries one value of a parameter in a soak period, and measures";
    const NEEDS: &[Need] = &[
        need(
            CONFIG_READ,
            "to see what the parameter is and what was tried",
        ),
        need(CONFIG_WRITE, "to propose the next value"),
        need(METRICS, "to measure before and after"),
        need(STATE, "to compare a soak period with the one before")
            .max_bytes("128KiB")
            .max_keys(1)
            .optional(),
    ];
    const SETTINGS: &[SettingHelp] = &[
        text("param", "", "Which parameter; it must be granted"),
        list("values", &[], "The values to try, in this order"),
        text("pressure", "cpu", "What is measured: cpu, io or memory"),
        number(
            "samples",
            5.0,
            "Runs that must have measured a value before it is judged",
        ),
        number(
            "worse",
            10.0,
            "Percent by which the median may rise in a soak",
        ),
    ];

    fn run(self, _: &Request) -> Result<Summary, Failure> {
        let pressure = self.measure()?;
        let param = config::get(&self.param)?;
        self.tell(pressure, &param.current);
        let mut memory = self.remembered()?;
        if let (Some(memory), Some(pressure)) = (&mut memory, pressure) {
            memory.add(&param.current, clock::now(), pressure);
        }
        let step = self.step(&param, memory.as_mut(), pressure);
        if let Some(memory) = &memory {
            state::write(KEY, &(&self.param, memory))?;
        }
        let data = json!({ "param": self.param, "current": param.current, "pressure": pressure });
        let say = |line: String| Ok(Summary::done(line).with(&data));
        let (next, reason) = match step {
            Step::Stay(line) => return say(line),
            Step::Try(next, reason) => (next, reason),
        };
        match config::propose(&self.param, &next, &reason) {
            Ok(_) => say(format!("{}: {} to {next}", self.param, param.current)),
            // Not yet: one change in a soak period.
            Err(no) if no.is("busy") => {
                say(format!("{} stays for now: {}", self.param, no.message))
            }
            Err(no) => Err(no.into()),
        }
    }

    fn review(self, _: &Request, before: Summary, applied: &Reviewed) -> Result<Summary, Failure> {
        let pressure = self.measure()?;
        self.tell(pressure, &config::get(&self.param)?.current);
        Ok(applied.told(before))
    }
}

/// The only key of the task's state: the parameter and what is known of it. A task that is set to
/// another parameter begins anew.
const KEY: &str = "memory";

impl ParamTune {
    /// What earlier runs measured; nothing at all where the task may keep nothing.
    fn remembered(&self) -> Result<Option<Memory>, Failure> {
        match state::read::<(String, Memory)>(KEY) {
            Ok(Some((param, memory))) if param == self.param => Ok(Some(memory)),
            Ok(Some(_) | None) => Ok(Some(Memory::default())),
            Err(no) if no.is("denied") => Ok(None),
            Err(no) => Err(no.into()),
        }
    }

    fn step(&self, param: &Param, memory: Option<&mut Memory>, pressure: Option<f64>) -> Step {
        let name = &self.param;
        let current = &param.current;
        if param.tried.last().is_some_and(Tried::waits) {
            return Step::Stay(format!("{name} = {current} waits to be confirmed"));
        }
        if let Some(memory) = memory {
            if pressure.is_none() {
                let what = &self.pressure;
                return Step::Stay(format!(
                    "{name} stays {current}: no {what} pressure is measured"
                ));
            }
            if let Some(step) = self.judged(param, memory) {
                return step;
            }
        }
        let tried = |value: &String| param.tried.iter().any(|t| t.new == *value);
        let next = (self.values.iter()).find(|value| *value != current && !tried(value));
        match next {
            Some(next) => Step::Try(next.clone(), format!("next to try after {current}")),
            None => Step::Stay(format!("{name} stays {current}: nothing is left to try")),
        }
    }

    /// What the measurements say of the value that stands; nothing when it may stay, and the next
    /// one be tried.
    fn judged(&self, param: &Param, memory: &mut Memory) -> Option<Step> {
        let name = &self.param;
        let current = &param.current;
        let rule = Rule {
            samples: self.samples.max(1),
            share: self.worse.max(0.0) / 100.0,
        };
        let few = |have: usize| {
            let need = rule.samples;
            Some(Step::Stay(format!(
                "{name} = {current} is measured: {have} of {need} times"
            )))
        };
        // What was gone back to is not judged once more: it did better before.
        let went_back = |t: &&Tried| memory.better_than(&t.old) == Some(current);
        let kept = param
            .tried
            .last()
            .filter(|t| t.stayed() && t.new == *current);
        if let Some(kept) = kept.filter(|t| !went_back(t)) {
            if clock::now() < kept.at.saturating_add(param.soak_ms) {
                return Some(Step::Stay(format!("{name} = {current} soaks")));
            }
            match memory.judge(&kept.old, current, kept.at, rule) {
                Soaked::TooFew { have } => return few(have),
                Soaked::NotWorse { before, after } => {
                    log::info!(
                        "{name} = {current} may stay: median {after:.3}, {before:.3} before"
                    );
                }
                Soaked::Worse { before, after } => {
                    log::warn!(
                        "{name} = {current} did worse: median {after:.3}, {before:.3} before"
                    );
                    memory.failed(current, &kept.old);
                }
            }
        }
        if let Some(back) = memory.better_than(current).filter(|back| back != current) {
            let reason = format!("{current} did worse in its soak than {back}");
            return Some(Step::Try(back.to_owned(), reason));
        }
        match memory.count(current) {
            have if have < rule.samples => few(have),
            _ => None,
        }
    }
    /// The share of the last ten seconds in which some process waited; `None` where the kernel
    /// does not say.
    fn measure(&self) -> Result<Option<f64>, Failure> {
        let of = match self.pressure.as_str() {
            "cpu" => Contended::Cpu,
            "io" => Contended::Io,
            "memory" => Contended::Memory,
            other => {
                return Err(Failure::Permanent(format!(
                    "`pressure` is `{other}`, and may be cpu, io or memory"
                )));
            }
        };
        Ok(metrics::pressure(of)?.map(|p| p.some.avg_10))
    }

    /// The value is a label, so that what was measured under each can be compared.
    fn tell(&self, pressure: Option<f64>, value: &str) {
        if let Some(pressure) = pressure {
            let subject = format!("{} = {value}", self.param);
            labelled_metric("tune-pressure", "ratio", pressure, "under", &subject);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keepwell_sdk::testing::Node;

    fn pool(current: &str, tried: &[(&str, &str)]) -> Node {
        Node::new().param("pool", pool_param(current, tried))
    }

    fn pool_param(current: &str, tried: &[(&str, &str)]) -> Param {
        let tried = tried.iter().map(|(new, state)| Tried {
            at: 1,
            old: "10".into(),
            new: (*new).into(),
            state: (*state).into(),
        });
        Param {
            kind: "integer".into(),
            current: current.into(),
            least: Some("10".into()),
            most: Some("100".into()),
            step: Some("10".into()),
            values: vec![],
            unit: None,
            guard: None,
            soak_ms: 60_000,
            revert_after_ms: 10_000,
            tried: tried.collect(),
        }
    }

    fn settings() -> serde_json::Value {
        json!({ "param": "pool", "values": ["20", "30"] })
    }

    fn proposed(node: &Node) -> Vec<String> {
        let outcome = node.run::<ParamTune>(settings());
        outcome.summary();
        outcome.changes.iter().map(|c| c.value.clone()).collect()
    }

    /// A node whose task may keep nothing: values are tried as people confirm them.
    fn forgetful(current: &str, tried: &[(&str, &str)]) -> Node {
        pool(current, tried).deny("state")
    }

    #[test]
    fn one_value_at_a_time_and_none_that_failed() {
        assert_eq!(proposed(&forgetful("10", &[])), ["20"]);
        assert_eq!(proposed(&forgetful("10", &[("20", "reverted")])), ["30"]);
        assert_eq!(proposed(&forgetful("20", &[("20", "confirmed")])), ["30"]);
        let all = [("20", "reverted"), ("30", "overtaken")];
        assert!(proposed(&forgetful("10", &all)).is_empty());
    }

    #[test]
    fn waits_for_what_is_not_confirmed_and_for_the_soak() {
        assert!(proposed(&forgetful("20", &[("20", "armed")])).is_empty());
        // The change was made a moment after the epoch, and so was this run.
        let node = forgetful("10", &[("20", "reverted")]).now("1970-01-01T00:00:30Z");
        let outcome = node.run::<ParamTune>(settings());
        assert!(outcome.summary().line.contains("stays for now"));
        assert!(outcome.changes.is_empty());
    }

    fn stalled(part: f64) -> metrics::Pressure {
        let some = metrics::Stall {
            avg_10: part,
            avg_60: 0.0,
            avg_300: 0.0,
        };
        metrics::Pressure { some, full: None }
    }

    #[test]
    fn measures_before_and_after() {
        let pressure = stalled(0.25);
        let node = forgetful("10", &[]).pressure(Contended::Cpu, pressure);
        let outcome = node.run::<ParamTune>(settings());
        assert_eq!(outcome.metrics[0].value, 0.25);
        let applied = Reviewed {
            done: 1,
            not_done: 0,
            actions: vec![],
        };
        let node = pool("20", &[("20", "armed")]).pressure(Contended::Cpu, pressure);
        let outcome = node.review::<ParamTune>(settings(), outcome.summary().clone(), &applied);
        assert_eq!(outcome.metrics[0].labels[0].1, "pool = 20");
    }

    /// Runs of one task on one node, a minute apart, each with what the last one kept.
    struct Runs {
        minute: u32,
        kept: Option<keepwell_sdk::testing::Outcome>,
    }

    impl Runs {
        fn begin() -> Self {
            Self {
                minute: 0,
                kept: None,
            }
        }

        /// The next run: its summary, and the values it proposes.
        fn next(&mut self, node: Node, pressure: f64) -> (String, Vec<String>) {
            self.minute += 1;
            let now = format!(
                "1970-01-01T{:02}:{:02}:00Z",
                self.minute / 60,
                self.minute % 60
            );
            let node = node.now(&now).pressure(Contended::Cpu, stalled(pressure));
            let node = match &self.kept {
                Some(kept) => node.keeping(kept),
                None => node,
            };
            let outcome = node.run::<ParamTune>(settings());
            let line = outcome.summary().line.clone();
            let changes = outcome.changes.iter().map(|c| c.value.clone()).collect();
            self.kept = Some(outcome);
            (line, changes)
        }

        /// Five runs that measure; what the last one proposes.
        fn five(&mut self, node: &Node, pressure: f64) -> Vec<String> {
            for nth in 1..5 {
                let (line, changes) = self.next(node.clone(), pressure);
                assert!(changes.is_empty(), "run {nth}: {line}");
            }
            self.next(node.clone(), pressure).1
        }
    }

    /// `pool`, with the last change made at `minute`.
    fn changed(current: &str, old: &str, tried: &[(&str, &str)], minute: u64) -> Node {
        let mut all = pool_param(current, tried);
        if let Some(last) = all.tried.last_mut() {
            last.at = minute * 60_000 + 30_000;
            last.old = old.into();
        }
        Node::new().param("pool", all)
    }

    #[test]
    fn a_value_that_did_worse_in_its_soak_goes_back_and_is_not_tried_again() {
        let mut runs = Runs::begin();
        assert_eq!(runs.five(&pool("10", &[]), 0.2), ["20"]);
        let soaking = changed("20", "10", &[("20", "confirmed")], 5);
        let (line, none) = runs.next(soaking.clone(), 0.2);
        assert!(line.contains("soaks") && none.is_empty(), "{line}");
        for _ in 0..3 {
            runs.next(soaking.clone(), 0.6);
        }
        assert_eq!(runs.next(soaking.clone(), 0.6).1, ["10"]);
        // Nobody confirmed that it goes back: it is proposed again, and nothing else is.
        let stuck = [("20", "confirmed"), ("10", "reverted")];
        let stuck = changed("20", "20", &stuck, 9);
        assert_eq!(runs.next(stuck, 0.6).1, ["10"]);
        // Back, and not judged by the worse one's measurements; 20 is not tried again.
        let back = [("20", "confirmed"), ("10", "confirmed")];
        let back = changed("10", "20", &back, 10);
        assert_eq!(runs.next(back.clone(), 0.9).1, ["30"]);
    }

    #[test]
    fn a_value_that_did_not_do_worse_stays_and_the_next_is_tried() {
        let mut runs = Runs::begin();
        assert_eq!(runs.five(&pool("10", &[]), 0.2), ["20"]);
        let soaking = changed("20", "10", &[("20", "confirmed")], 5);
        // One peak is no judgement.
        assert!(runs.next(soaking.clone(), 0.9).1.is_empty());
        assert_eq!(
            (0..4)
                .flat_map(|_| runs.next(soaking.clone(), 0.21).1)
                .collect::<Vec<_>>(),
            ["30"]
        );
    }

    #[test]
    fn nothing_is_judged_or_tried_without_measurements() {
        let mut runs = Runs::begin();
        let (line, none) = runs.next(pool("10", &[]), 0.2);
        assert!(line.contains("1 of 5 times") && none.is_empty(), "{line}");
        let blind = pool("10", &[]).run::<ParamTune>(settings());
        assert!(blind.summary().line.contains("no cpu pressure is measured"));
        assert!(blind.changes.is_empty());
        // Another parameter begins anew with what it measures.
        let known = runs.kept.as_ref().unwrap().state[KEY].clone();
        let other = String::from_utf8(known.clone()).unwrap();
        let other = other.replace("pool", "other").into_bytes();
        for (kept, times) in [(known, "2 of 5 times"), (other, "1 of 5 times")] {
            let mut again = Runs {
                minute: 1,
                kept: None,
            };
            let node = pool("10", &[]).state(KEY, &kept);
            let (line, _) = again.next(node, 0.2);
            assert!(line.contains(times), "{line}");
        }
    }

    #[test]
    fn what_is_not_granted_or_out_of_bounds_fails_the_run() {
        let no =
            forgetful("10", &[]).run::<ParamTune>(json!({ "param": "other", "values": ["20"] }));
        assert!(no.refused().is_some_and(|no| no.is("denied")));
        let no =
            forgetful("10", &[]).run::<ParamTune>(json!({ "param": "pool", "values": ["15"] }));
        assert!(no.refused().is_some_and(|no| no.is("limit")));
        let odd = json!({ "param": "pool", "values": ["20"], "pressure": "noise" });
        let no = forgetful("10", &[]).run::<ParamTune>(odd);
        assert!(matches!(no.failure(), Failure::Permanent(_)));
    }
}
