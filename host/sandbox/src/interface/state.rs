//! Interface `state`: each call is asked of the host, which holds the view of the run and counts
//! against the quota. What cannot be a key or a value is refused here already.

use super::bindings::state as wit;
use crate::ctx::{Answered, Ctx, No, wrong_answer};
use crate::protocol::{Answer, Ask, StateAnswer, StateAsk};
use keepwell_model::capability::Capability;
use keepwell_model::own_state::{check_key, check_range, check_value};

impl Ctx {
    fn own_state(&mut self, ask: StateAsk) -> Result<StateAnswer, No> {
        let Answer::State(answer) = self.ask(Ask::State(ask))? else {
            return Err(wrong_answer());
        };
        Ok(answer?)
    }
}

impl wit::Host for Ctx {
    fn get(&mut self, key: String) -> Answered<Option<Vec<u8>>> {
        self.call("state.get", &key, |ctx| {
            ctx.need(Capability::State)?;
            check_key(&key)?;
            let key = key.clone();
            let StateAnswer::Got(value) = ctx.own_state(StateAsk::Get { key })? else {
                return Err(wrong_answer());
            };
            Ok(value)
        })
    }

    fn set(&mut self, key: String, value: Vec<u8>) -> Answered<()> {
        self.call("state.set", &key, |ctx| {
            ctx.need(Capability::State)?;
            check_key(&key)?;
            check_value(&key, value.len())?;
            let key = key.clone();
            let StateAnswer::Set = ctx.own_state(StateAsk::Set { key, value })? else {
                return Err(wrong_answer());
            };
            Ok(())
        })
    }

    fn delete(&mut self, key: String) -> Answered<bool> {
        self.call("state.delete", &key, |ctx| {
            ctx.need(Capability::State)?;
            check_key(&key)?;
            let key = key.clone();
            let StateAnswer::Deleted(was) = ctx.own_state(StateAsk::Delete { key })? else {
                return Err(wrong_answer());
            };
            Ok(was)
        })
    }

    fn list_keys(
        &mut self,
        prefix: String,
        after: Option<String>,
        max: u32,
    ) -> Answered<Vec<String>> {
        self.call("state.list-keys", &prefix, |ctx| {
            ctx.need(Capability::State)?;
            check_range(&prefix, after.as_deref())?;
            let prefix = prefix.clone();
            let StateAnswer::Listed(keys) = ctx.own_state(StateAsk::List { prefix, after, max })?
            else {
                return Err(wrong_answer());
            };
            Ok(keys)
        })
    }

    fn get_usage(&mut self) -> Answered<wit::Usage> {
        self.call("state.get-usage", "", |ctx| {
            ctx.need(Capability::State)?;
            let StateAnswer::Usage {
                bytes,
                keys,
                max_bytes,
                max_keys,
            } = ctx.own_state(StateAsk::Usage)?
            else {
                return Err(wrong_answer());
            };
            Ok(wit::Usage {
                bytes,
                keys,
                max_bytes,
                max_keys,
            })
        })
    }
}
