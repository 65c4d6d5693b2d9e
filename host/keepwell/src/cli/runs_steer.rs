//! `runs extend`, `runs prioritize` and `runs adjust`: steering what goes on.

use super::Global;
use crate::api::{Less, Request};
use crate::error::Result;
use keepwell_model::schedule::Criticality;
use keepwell_model::state::Exit;
use keepwell_model::units::Span;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  keepwell runs extend temp-clean --by 30m --reason 'the disk was slow'"
)]
pub(crate) struct ExtendArgs {
    /// A schedule, or a run that it started.
    #[arg(value_name = "SCHEDULE|RUN")]
    what: String,
    /// By how much, as `30m`. All extensions of one opening count together.
    #[arg(long, value_name = "SPAN")]
    by: Span,
    #[arg(long)]
    reason: String,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  keepwell runs prioritize standard-maintenance/daily --criticality high --reason 'before the backup'"
)]
pub(crate) struct PrioritizeArgs {
    schedule: String,
    /// `critical` starts under pressure too.
    #[arg(long, value_parser = criticality, value_name = "low|normal|high|critical")]
    criticality: Criticality,
    #[arg(long)]
    reason: String,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  keepwell runs adjust last --max-seconds 600 --reason 'the backup begins at four'"
)]
pub(crate) struct AdjustArgs {
    /// A full id, its last 8 digits, or `last`.
    run: String,
    /// Actions that it may still carry out.
    #[arg(long, value_name = "N")]
    max_actions: Option<u64>,
    /// Seconds that it may still take.
    #[arg(long, value_name = "N")]
    max_seconds: Option<u64>,
    /// Actions a second.
    #[arg(long, value_name = "N")]
    max_rate: Option<u32>,
    #[arg(long)]
    reason: String,
}

fn criticality(text: &str) -> Result<Criticality, String> {
    serde_json::from_value(text.into())
        .map_err(|_| "expected low, normal, high or critical".to_owned())
}

pub(super) fn extend(global: &Global, args: &ExtendArgs) -> Result<Exit> {
    done(
        global,
        Request::Extend {
            what: args.what.clone(),
            by_ms: args.by.as_millis(),
            reason: args.reason.clone(),
        },
    )
}

pub(super) fn prioritize(global: &Global, args: &PrioritizeArgs) -> Result<Exit> {
    done(
        global,
        Request::Prioritize {
            schedule: args.schedule.clone(),
            criticality: args.criticality,
            reason: args.reason.clone(),
        },
    )
}

pub(super) fn adjust(global: &Global, args: &AdjustArgs) -> Result<Exit> {
    done(
        global,
        Request::Adjust {
            run: args.run.clone(),
            less: Less {
                max_actions: args.max_actions,
                max_seconds: args.max_seconds,
                max_rate: args.max_rate,
            },
            reason: args.reason.clone(),
        },
    )
}

fn done(global: &Global, request: Request) -> Result<Exit> {
    global.show(&global.ask(request)?);
    Ok(Exit::Done)
}
