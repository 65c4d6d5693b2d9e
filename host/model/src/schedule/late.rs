//! Slots that nobody can run any more: what each of them waited for, if it waited.

use super::act::{Act, MissWhy, SkipWhy, Slots, TooLate};
use super::due::Weighed;
use super::pattern::NoSlot;
use super::policy::Schedule;
use super::state::EntryState;

/// The slots in `(seen, before]`, after which a newer one was due. One that was held up is told with
/// what held it; the others nobody saw.
pub(super) fn superseded(
    schedule: &Schedule,
    state: &EntryState,
    (seen, before): (u64, u64),
    out: &mut Weighed,
) -> Result<(), NoSlot> {
    let missed = |from, to| {
        let slots = range(schedule, from, to)?;
        let why = MissWhy::Superseded;
        Ok::<Act, NoSlot>(Act::Miss { slots, why })
    };
    let held = state.held.as_ref().map(|held| held.slot);
    let Some(held) = held.filter(|held| seen < *held && *held <= before) else {
        out.acts.push(missed(seen, before)?);
        return Ok(());
    };
    let earlier = schedule.pattern.last_at_or_before(held - 1)?;
    if let Some(earlier) = earlier.filter(|earlier| *earlier > seen) {
        out.acts.push(missed(seen, earlier)?);
    }
    let (why, end) = (MissWhy::Superseded, TooLate::Superseded);
    out.acts.push(not_any_more(state, held, why, end));
    if held < before {
        out.acts.push(missed(held, before)?);
    }
    Ok(())
}

/// The end of one slot: skipped for what held it, else missed.
pub(super) fn not_any_more(state: &EntryState, slot: u64, why: MissWhy, end: TooLate) -> Act {
    let slots = Slots::one(slot);
    match held(state, slot, end) {
        Some(why) => Act::Skip { slots, why },
        None => Act::Miss { slots, why },
    }
}

/// Why a slot that waited is skipped: what held it says more than that a newer one came.
pub(super) fn waited(state: &EntryState, slot: u64, why: SkipWhy) -> SkipWhy {
    match why {
        SkipWhy::Superseded => held(state, slot, TooLate::Superseded).unwrap_or(why),
        SkipWhy::Paused
        | SkipWhy::Aside { .. }
        | SkipWhy::SkipNext
        | SkipWhy::StillRunning { .. }
        | SkipWhy::TooLong { .. }
        | SkipWhy::Held { .. } => why,
    }
}

fn held(state: &EntryState, slot: u64, end: TooLate) -> Option<SkipWhy> {
    let held = state.held.as_ref().filter(|held| held.slot == slot)?;
    let why = held.why.clone();
    Some(SkipWhy::Held { why, end })
}

/// The slots in `(seen, to]`, where `to` is one.
pub(super) fn range(schedule: &Schedule, seen: u64, to: u64) -> Result<Slots, NoSlot> {
    let count = schedule.pattern.count(seen, to)?;
    Ok(Slots {
        from: schedule.pattern.next_after(seen)?,
        to,
        count: count.slots,
        exact: count.exact,
    })
}
