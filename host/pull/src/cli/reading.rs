//! What all verbs share that read from elsewhere: how the network may be used, and the walls.

use super::show;
use crate::error::{Error, Result};
use crate::files;
use crate::walls::{As, Walls};
use crate::web::Rules;
use keepwell_model::units::Span;
use std::path::{Path, PathBuf};

/// A file of certificates: some hundred of them.
const CA_MAX_BYTES: u64 = 1 << 20;
/// A bundle over a slow line.
const WITHIN: Span = Span::secs(600);

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Network and walls")]
pub(super) struct Reading {
    /// A host, or HOST:PORT, that may be asked without TLS. Nothing else is.
    #[arg(long, value_name = "HOST")]
    allow_http: Vec<String>,
    /// Certificates (PEM) that count instead of the system's.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The environment's proxies are not used.
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
    /// How long one whole answer may take.
    #[arg(long, default_value_t = WITHIN, value_name = "SPAN")]
    within: Span,
    /// Become this user and group first; only root can.
    #[arg(long = "as", value_name = "UID:GID")]
    become_it: Option<As>,
    /// Go on where the kernel has no Landlock.
    #[arg(long)]
    no_walls: bool,
}

impl Reading {
    /// Reads what the rules need. Comes before the walls.
    pub(super) fn rules(&self) -> Result<Rules> {
        let ca = self.ca.as_deref();
        Ok(Rules {
            plain: self.allow_http.clone(),
            ca: ca
                .map(|path| files::read_told(path, CA_MAX_BYTES))
                .transpose()?,
            proxy: self.proxy.clone(),
            within: std::time::Duration::from_millis(self.within.as_millis()),
        })
    }

    /// Becomes the other user, makes the directories that stay writable, and puts the walls up.
    pub(super) fn enclose(
        &self,
        readable: &[&Path],
        writable: &[&Path],
        network: bool,
    ) -> Result<()> {
        if let Some(other) = self.become_it {
            other.become_it()?;
        }
        for dir in writable {
            files::make_dir(dir)?;
        }
        let own = |paths: &[&Path]| paths.iter().map(PathBuf::from).collect();
        Walls {
            readable: own(readable),
            writable: own(writable),
            network,
            optional: self.no_walls,
        }
        .raise()
    }
}

/// The time, asked for once.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this program that asks for the time"
)]
pub(super) fn now() -> Result<jiff::Timestamp> {
    jiff::Timestamp::try_from(std::time::SystemTime::now())
        .map_err(|e| Error::failed(format!("this machine's clock is out of the calendar: {e}")))
}

/// A line for people about one file.
pub(super) fn wrote(
    format: show::Format,
    value: &impl serde::Serialize,
    text: String,
) -> keepwell_model::state::Exit {
    show::document(format, value, || text)
}
