//! `daemon`: starts it in the foreground, as a service manager wants it.

use super::Global;
use crate::error::Result;
use keepwell_model::state::Exit;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  keepwell --node /etc/keepwell daemon\n  kill -HUP $(pidof keepwell)   # read the configuration again"
)]
pub(crate) struct Args {
    /// How much it says on stderr.
    #[arg(long, value_enum, default_value = "info", env = "KEEPWELL_LOG")]
    log: Level,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

pub(super) fn daemon(global: &Global, args: &Args) -> Result<Exit> {
    let most = match args.log {
        Level::Error => tracing::Level::ERROR,
        Level::Warn => tracing::Level::WARN,
        Level::Info => tracing::Level::INFO,
        Level::Debug => tracing::Level::DEBUG,
    };
    tracing_subscriber::fmt()
        .with_max_level(most)
        .with_target(false)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        // It would be told on stderr, which is what failed, by a macro that panics then.
        .log_internal_errors(false)
        .init();
    crate::daemon::run(global.dir())?;
    Ok(Exit::Done)
}
