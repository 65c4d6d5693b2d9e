//! Interface `types`: the words of the contract and of the model are the same.

use super::bindings::types;
use crate::ctx::Ctx;
use keepwell_model::words::{Code, Refusal, Severity};

impl types::Host for Ctx {}

impl From<Refusal> for types::Refusal {
    fn from(refusal: Refusal) -> Self {
        Self {
            code: refusal.code.as_str().to_owned(),
            message: refusal.message,
            hint: refusal.hint,
        }
    }
}

/// A refusal that a guest hands back, as it may do in a failure. A code that is not ours becomes
/// `denied`, which says the least.
impl From<types::Refusal> for Refusal {
    fn from(refusal: types::Refusal) -> Self {
        let code = match refusal.code.as_str() {
            "limit" => Code::Limit,
            "gone" => Code::Gone,
            "busy" => Code::Busy,
            "io" => Code::Io,
            "invalid" => Code::Invalid,
            _ => Code::Denied,
        };
        Self {
            code,
            message: refusal.message,
            hint: refusal.hint,
        }
    }
}

impl From<types::Severity> for Severity {
    fn from(severity: types::Severity) -> Self {
        match severity {
            types::Severity::Info => Self::Info,
            types::Severity::Warning => Self::Warning,
            types::Severity::Critical => Self::Critical,
        }
    }
}
