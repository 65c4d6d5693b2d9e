//! Interfaces `config-read` and `config-write`: both are asked of the host, which alone knows where
//! a parameter lives.

use super::bindings::{config_read as read, config_write as write};
use crate::ctx::{Answered, Ctx, No, wrong_answer};
use crate::protocol::{Answer, Ask, ParamSheet};
use crate::recount::WORD_MAX_BYTES;
use keepwell_model::capability::Capability;
use keepwell_model::id::{NAME_MAX_BYTES, ParamName};
use keepwell_model::param::TEXT_MAX_BYTES;
use keepwell_model::words::{Refusal, printable};

/// The name, if the task holds it for this capability.
pub(crate) fn granted(
    names: &[ParamName],
    name: &str,
    capability: Capability,
) -> Result<(), Refusal> {
    if names.iter().any(|n| n.as_str() == name) {
        return Ok(());
    }
    let name = printable(name, NAME_MAX_BYTES);
    Err(
        Refusal::denied(format!("parameter `{name}` is not granted")).hint(format!(
            "add `{capability}.params = [\"{name}\"]` to [grant] of this task"
        )),
    )
}

fn bounded(what: &str, text: &str, most: usize) -> Result<(), Refusal> {
    if text.len() > most {
        return Err(Refusal::invalid(format!(
            "{what} has at most {most} bytes, this one {}",
            text.len()
        )));
    }
    Ok(())
}

impl From<ParamSheet> for read::Param {
    fn from(sheet: ParamSheet) -> Self {
        let tried = sheet.tried.into_iter().map(|t| read::Tried {
            at: t.at_ms,
            old: t.old,
            new: t.new,
            state: t.state,
        });
        Self {
            kind: sheet.kind,
            current: sheet.current,
            least: sheet.least,
            most: sheet.most,
            step: sheet.step,
            values: sheet.values,
            unit: sheet.unit,
            guard: sheet.guard,
            soak_ms: sheet.soak_ms,
            revert_after_ms: sheet.revert_after_ms,
            tried: tried.collect(),
        }
    }
}

impl read::Host for Ctx {
    fn list_params(&mut self) -> Answered<Vec<String>> {
        self.call("config-read.list-params", "", |ctx| {
            ctx.need(Capability::ConfigRead)?;
            let names = ctx.assignment.readable.iter();
            Ok(names.map(ToString::to_string).collect())
        })
    }

    fn get_param(&mut self, name: String) -> Answered<read::Param> {
        self.call("config-read.get-param", &shown(&name), |ctx| {
            ctx.need(Capability::ConfigRead)?;
            granted(&ctx.assignment.readable, &name, Capability::ConfigRead)?;
            let Answer::Param(answer) = ctx.ask(Ask::Param { name })? else {
                return Err(wrong_answer());
            };
            Ok(answer?.into())
        })
    }
}

impl write::Host for Ctx {
    fn propose(&mut self, name: String, value: String, reason: String) -> Answered<u64> {
        self.call("config-write.propose", &shown(&name), |ctx| {
            ctx.propose_config(name.clone(), value, reason)
        })
    }
}

impl Ctx {
    fn propose_config(&mut self, name: String, value: String, reason: String) -> Result<u64, No> {
        self.need(Capability::ConfigWrite)?;
        granted(&self.assignment.writable, &name, Capability::ConfigWrite)?;
        bounded("a value", &value, TEXT_MAX_BYTES)?;
        bounded("a reason", &reason, WORD_MAX_BYTES)?;
        let ask = Ask::ProposeConfig {
            name,
            value,
            reason,
        };
        let Answer::ProposedConfig(answer) = self.ask(ask)? else {
            return Err(wrong_answer());
        };
        Ok(answer?)
    }
}

/// The name as the records keep it: a guest may give one of any length.
fn shown(name: &str) -> String {
    printable(name, NAME_MAX_BYTES)
}
