//! Uses a state that it was not granted.

use keepwell_sdk::prelude::*;

#[derive(Debug, serde::Deserialize)]
pub(crate) struct StateDenied {}

impl Task for StateDenied {
    const NAME: &str = "state-denied";
    const ABOUT: &str = "Keeps something without a grant";
    const NEEDS: &[Need] = &[need(STATE, "to misuse it").optional()];

    fn run(self, _: &Request) -> Result<Summary, Failure> {
        let codes = [
            state::get("k").map(drop),
            state::set("k", b"v"),
            state::set("", &vec![0; 1 << 20]),
            state::delete("k").map(drop),
            state::keys("").map(drop),
            state::usage().map(drop),
        ];
        let codes = codes.map(|answer| answer.map_or_else(|no| no.code, |()| "taken".into()));
        Ok(Summary::done("asked").with(&json!({ "codes": codes })))
    }
}
