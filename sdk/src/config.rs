//! Parameters of the node: what each may be, what it is, what was tried; and proposing another
//! value. What is applied reverts by itself unless a person confirms it.

use crate::task::{ActionId, Refusal};
use crate::wit::sys;

pub use crate::wit::keepwell::task::config_read::{Param, Tried};

/// The granted parameters, in the order of their names.
pub fn list() -> Result<Vec<String>, Refusal> {
    sys::config_read::list_params()
}

/// One parameter as it stands now.
pub fn get(name: &str) -> Result<Param, Refusal> {
    sys::config_read::get_param(name)
}

/// Another value for a parameter, and why in a few words.
pub fn propose(name: &str, value: &str, reason: &str) -> Result<ActionId, Refusal> {
    sys::config_write::propose(name, value, reason)
}

impl Tried {
    /// Whether it waits to be confirmed.
    pub fn waits(&self) -> bool {
        self.state == "armed"
    }
    /// Whether it was kept.
    pub fn stayed(&self) -> bool {
        self.state == "confirmed"
    }
}
