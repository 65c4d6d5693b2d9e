//! `param-tune`: proposes the next value to try. What was tried before and did not stay is not
//! tried again; the host reverts what nobody confirms.

use keepwell_sdk::prelude::*;
use metrics::Contended;

/// Tries the given values in their order.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ParamTune {
    param: String,
    values: Vec<String>,
    pressure: String,
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
    ];
    const SETTINGS: &[SettingHelp] = &[
        text("param", "", "Which parameter; it must be granted"),
        list("values", &[], "The values to try, in this order"),
        text("pressure", "cpu", "What is measured: cpu, io or memory"),
    ];

    fn run(self, _: &Request) -> Result<Summary, Failure> {
        let pressure = self.measure()?;
        let param = config::get(&self.param)?;
        self.tell(pressure, &param.current);
        let data = json!({ "param": self.param, "current": param.current, "pressure": pressure });
        let say = |line: String| Ok(Summary::done(line).with(&data));
        if param.tried.last().is_some_and(config::Tried::waits) {
            return say(format!(
                "{} = {} waits to be confirmed",
                self.param, param.current
            ));
        }
        let tried = |value: &String| param.tried.iter().any(|t| t.new == *value);
        let next = (self.values.iter()).find(|value| **value != param.current && !tried(value));
        let Some(next) = next else {
            return say(format!(
                "{} stays {}: nothing is left to try",
                self.param, param.current
            ));
        };
        let reason = format!("next to try after {}", param.current);
        match config::propose(&self.param, next, &reason) {
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

impl ParamTune {
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
    use config::{Param, Tried};
    use keepwell_sdk::testing::Node;

    fn pool(current: &str, tried: &[(&str, &str)]) -> Node {
        let tried = tried.iter().map(|(new, state)| Tried {
            at: 1,
            old: "10".into(),
            new: (*new).into(),
            state: (*state).into(),
        });
        let param = Param {
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
        };
        Node::new().param("pool", param)
    }

    fn settings() -> serde_json::Value {
        json!({ "param": "pool", "values": ["20", "30"] })
    }

    fn proposed(node: &Node) -> Vec<String> {
        let outcome = node.run::<ParamTune>(settings());
        outcome.summary();
        outcome.changes.iter().map(|c| c.value.clone()).collect()
    }

    #[test]
    fn one_value_at_a_time_and_none_that_failed() {
        assert_eq!(proposed(&pool("10", &[])), ["20"]);
        assert_eq!(proposed(&pool("10", &[("20", "reverted")])), ["30"]);
        assert_eq!(proposed(&pool("20", &[("20", "confirmed")])), ["30"]);
        let all = [("20", "reverted"), ("30", "overtaken")];
        assert!(proposed(&pool("10", &all)).is_empty());
    }

    #[test]
    fn waits_for_what_is_not_confirmed_and_for_the_soak() {
        assert!(proposed(&pool("20", &[("20", "armed")])).is_empty());
        // The change was made a moment after the epoch, and so was this run.
        let node = pool("10", &[("20", "reverted")]).now("1970-01-01T00:00:30Z");
        let outcome = node.run::<ParamTune>(settings());
        assert!(outcome.summary().line.contains("stays for now"));
        assert!(outcome.changes.is_empty());
    }

    #[test]
    fn measures_before_and_after() {
        let stall = metrics::Stall {
            avg_10: 0.25,
            avg_60: 0.0,
            avg_300: 0.0,
        };
        let pressure = metrics::Pressure {
            some: stall,
            full: None,
        };
        let node = pool("10", &[]).pressure(Contended::Cpu, pressure);
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

    #[test]
    fn what_is_not_granted_or_out_of_bounds_fails_the_run() {
        let no = pool("10", &[]).run::<ParamTune>(json!({ "param": "other", "values": ["20"] }));
        assert!(no.refused().is_some_and(|no| no.is("denied")));
        let no = pool("10", &[]).run::<ParamTune>(json!({ "param": "pool", "values": ["15"] }));
        assert!(no.refused().is_some_and(|no| no.is("limit")));
        let odd = json!({ "param": "pool", "values": ["20"], "pressure": "noise" });
        let no = pool("10", &[]).run::<ParamTune>(odd);
        assert!(matches!(no.failure(), Failure::Permanent(_)));
    }
}
