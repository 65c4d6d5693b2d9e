//! The verbs that change something, as data: asked of the daemon when one runs, else done here,
//! by the same code and with the same result.

mod approvals;
mod baseline;
mod client;
mod controls;
mod frame;
mod held;
mod perform;
mod plugins;
mod request;
mod steering;
mod trust;

pub use approvals::{all_waiting, waiting};
pub use client::Client;
pub use frame::{Frame, LINE_MAX_BYTES, WireError, read_line};
pub use held::waiting as waiting_version;
pub use perform::{cancel, find_run, perform};
pub use plugins::installed_event;
pub(crate) use plugins::{hold_plugins, pin};
pub use request::{Answer, Control, Less, MakeBaseline, Request, Target};
pub use steering::{Said, begun};
pub use trust::enforce;

use crate::error::Result;
use crate::node_dir::NodeDir;
use crate::pipeline::{self, Brake, Observer};

/// Has a request done. `brake` stops it from this side.
pub fn ask(
    dir: &NodeDir,
    request: Request,
    observer: &mut dyn Observer,
    brake: &Brake,
) -> Result<Answer> {
    if let Some(client) = Client::connect(dir)? {
        return client.ask(&request, observer, brake);
    }
    let node = pipeline::open(dir.clone())?;
    perform(&node, request, observer, brake)
}
