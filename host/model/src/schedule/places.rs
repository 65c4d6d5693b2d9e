//! What the machine has room for: pressure, exclusive groups, places.

use super::act::HoldWhy;
use super::due::{Entry, Facts};
use super::shape::Criticality;
use crate::id::GroupName;
use std::collections::BTreeMap;

/// How long a busy machine is left alone before it is measured again.
const PRESSURE_WAIT_MS: u64 = 30_000;

/// What the machine has room for.
pub(super) struct Places<'a> {
    facts: &'a Facts<'a>,
    free: usize,
    busy: BTreeMap<GroupName, String>,
}

impl<'a> Places<'a> {
    pub(super) fn new(facts: &'a Facts<'a>, entries: &[Entry<'_>]) -> Self {
        let mut busy = facts.busy.clone();
        for it in entries.iter().filter(|it| it.state.running.is_some()) {
            if let Some(group) = &it.schedule.group {
                busy.insert(group.clone(), it.key.to_owned());
            }
        }
        Self {
            facts,
            free: facts.free,
            busy,
        }
    }

    /// Takes a place for it, or says what stands in the way and when that can change.
    pub(super) fn take(
        &mut self,
        it: &Entry<'_>,
        criticality: Criticality,
    ) -> Result<(), (HoldWhy, Option<u64>)> {
        if let Some(pressed) = self.facts.pressed
            && criticality < Criticality::Critical
        {
            let until = self.facts.now.saturating_add(PRESSURE_WAIT_MS);
            return Err((HoldWhy::Pressure(pressed.clone()), Some(until)));
        }
        let group = it.schedule.group.as_ref();
        if let Some((group, by)) = group.and_then(|g| self.busy.get_key_value(g)) {
            let (group, by) = (group.clone(), by.clone());
            return Err((HoldWhy::Group { group, by }, None));
        }
        if self.free == 0 {
            return Err((HoldWhy::Full, None));
        }
        self.free -= 1;
        if let Some(group) = group {
            self.busy.insert(group.clone(), it.key.to_owned());
        }
        Ok(())
    }
}
