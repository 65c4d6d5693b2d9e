//! What is asked of a task's own state. The view of it is the host's: a worker that is no longer
//! ours can neither exceed the quota nor read what its task did not ask for.

use keepwell_model::own_state::{check_key, check_range, check_value};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StateAsk {
    Get {
        key: String,
    },
    Set {
        key: String,
        value: Vec<u8>,
    },
    Delete {
        key: String,
    },
    List {
        prefix: String,
        after: Option<String>,
        max: u32,
    },
    Usage,
}

/// The answer to a [`StateAsk`], of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StateAnswer {
    Got(Option<Vec<u8>>),
    Set,
    /// Whether it was there.
    Deleted(bool),
    Listed(Vec<String>),
    Usage {
        bytes: u64,
        keys: u64,
        max_bytes: u64,
        max_keys: u64,
    },
}

impl StateAsk {
    /// Whether keys and values have the shape that the worker lets through.
    pub(crate) fn is_sound(&self) -> bool {
        match self {
            Self::Get { key } | Self::Delete { key } => check_key(key).is_ok(),
            Self::Set { key, value } => {
                check_key(key).is_ok() && check_value(key, value.len()).is_ok()
            }
            Self::List { prefix, after, .. } => check_range(prefix, after.as_deref()).is_ok(),
            Self::Usage => true,
        }
    }
}
