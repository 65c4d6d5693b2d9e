//! Counts its runs in its own state: what a run sees, what stays, and what is voided.

use keepwell_sdk::prelude::*;

/// How it ends after it counted.
#[derive(Debug, Deserialize)]
pub(crate) struct Count {
    end: String,
    /// Cleaned when there is such a root: a plan that has to be applied.
    root: Option<String>,
}

impl Task for Count {
    const NAME: &str = "count";
    const ABOUT: &str = "Counts its runs";
    const NEEDS: &[Need] = &[
        need(STATE, "to count"),
        need(STORAGE, "to have a plan").optional(),
        need(CLEAN, "to have a plan").optional(),
    ];
    const SETTINGS: &[SettingHelp] = &[
        text(
            "end",
            "well",
            "well, fail, trap, loop or wait (for the root's `go`)",
        ),
        open("root", "Root whose files it proposes"),
    ];

    fn run(self, _: &Request) -> Result<Summary, Failure> {
        let runs: u64 = state::read("runs")?.unwrap_or(0) + 1;
        state::write("runs", &runs)?;
        if let Some(root) = &self.root {
            let files = storage::Selector {
                kinds: vec![storage::Kind::File],
                ..storage::everything()
            };
            for some in storage::walk(root, &files)?.batches() {
                let some = some?
                    .into_iter()
                    .map(|e| clean::Proposal::new(e, "counted"));
                clean::quarantine(root, &some.collect::<Vec<_>>())?;
            }
        }
        match self.end.as_str() {
            "well" => Ok(Summary::done(format!("run {runs}"))),
            "fail" => Err(Failure::Permanent("asked to fail".into())),
            "trap" => panic!("asked to trap"),
            "wait" => {
                while storage::stat("tmp", b"go").is_err() {}
                Ok(Summary::done(format!("run {runs}")))
            }
            _ => loop {
                std::hint::black_box(clock::now());
            },
        }
    }

    /// What was applied is kept as well.
    fn review(self, _: &Request, before: Summary, applied: &Reviewed) -> Result<Summary, Failure> {
        state::write("applied", &applied.done)?;
        Ok(applied.told(before))
    }
}
