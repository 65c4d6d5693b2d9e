//! A plugin whose every task misbehaves in one way. One file per behaviour; a test in `tests/`
//! asserts for each what became of the run, of the host, and of the run after it.

/// A task without settings: its name, what it needs, and the one thing it does.
macro_rules! behaviour {
    ($type:ident, $name:literal, $about:literal, [$($need:ident),*], $run:expr) => {
        #[derive(Debug, serde::Deserialize)]
        pub(crate) struct $type {}
        impl keepwell_sdk::Task for $type {
            const NAME: &str = $name;
            const ABOUT: &str = $about;
            const NEEDS: &[keepwell_sdk::Need] =
                &[$(keepwell_sdk::need(keepwell_sdk::$need, "to misuse it")),*];
            fn run(
                self,
                _: &keepwell_sdk::Request,
            ) -> Result<keepwell_sdk::Summary, keepwell_sdk::Failure> {
                let act: fn() -> Result<keepwell_sdk::Summary, keepwell_sdk::Failure> = $run;
                act()
            }
        }
    };
}

mod absurd_lengths;
mod bad_json;
mod calls_flood;
mod checkpoint_flood;
mod config_outside;
mod count;
mod findings_fat;
mod findings_flood;
mod flaky;
mod handle_leak;
mod hoard;
mod hoard_table;
mod honest;
mod log_empty;
mod log_escapes;
mod log_flood;
mod metrics_flood;
mod other_root;
mod output_flood;
mod output_huge;
mod panic;
mod paths;
mod propose_flood;
mod propose_outside;
mod recurse;
mod recurse_bare;
mod scrub_again;
mod slow;
mod spin;
mod spin_in_host_calls;
mod state_denied;
mod state_flood;
mod state_hoard;
mod trap;

use absurd_lengths::AbsurdLengths;
use bad_json::BadJson;
use calls_flood::CallsFlood;
use checkpoint_flood::CheckpointFlood;
use config_outside::ConfigOutside;
use count::Count;
use findings_fat::FindingsFat;
use findings_flood::FindingsFlood;
use flaky::Flaky;
use handle_leak::HandleLeak;
use hoard::Hoard;
use hoard_table::HoardTable;
use honest::Honest;
use log_empty::LogEmpty;
use log_escapes::LogEscapes;
use log_flood::LogFlood;
use metrics_flood::MetricsFlood;
use other_root::OtherRoot;
use output_flood::OutputFlood;
use output_huge::OutputHuge;
use panic::Panic;
use paths::Paths;
use propose_flood::ProposeFlood;
use propose_outside::ProposeOutside;
use recurse::Recurse;
use recurse_bare::RecurseBare;
use scrub_again::ScrubAgain;
use slow::Slow;
use spin::Spin;
use spin_in_host_calls::SpinInHostCalls;
use state_denied::StateDenied;
use state_flood::StateFlood;
use state_hoard::StateHoard;
use trap::Trap;

keepwell_sdk::plugin!(
    "hostile",
    "Tasks that misbehave, one way each",
    [
        AbsurdLengths,
        BadJson,
        CallsFlood,
        CheckpointFlood,
        ConfigOutside,
        Count,
        FindingsFat,
        FindingsFlood,
        Flaky,
        HandleLeak,
        Hoard,
        HoardTable,
        Honest,
        LogEmpty,
        LogEscapes,
        LogFlood,
        MetricsFlood,
        OtherRoot,
        OutputFlood,
        OutputHuge,
        Panic,
        Paths,
        ProposeFlood,
        ProposeOutside,
        Recurse,
        RecurseBare,
        ScrubAgain,
        Slow,
        Spin,
        SpinInHostCalls,
        StateDenied,
        StateFlood,
        StateHoard,
        Trap,
    ]
);
