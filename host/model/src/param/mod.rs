//! Parameters: the values a task may read and propose to change, as the operator declares them.
//! Where each one lives, what it may be, and how a change of it reverts by itself.

mod change;
mod commit;
mod guard;
mod guard_table;
mod literal;
mod place;
mod shape;
mod table;
#[cfg(test)]
mod tests;
mod value;

pub use change::{FileSeen, Held, ParamChange};
pub use commit::{Commit, CommitState, WhatNow, Why, after_restart, may_write, what_now};
pub use guard::{
    Bound, GUARD_EVERY_DEFAULT, GUARD_EVERY_FLOOR, Guard, Heard, Reading, Silent, Verdict,
};
pub use guard_table::GuardTable;
pub use literal::{Decimal, Literal};
pub use place::{BadPlace, Format, KeyPath, Place, SysctlName};
pub use shape::{Raw, RawKind, Shape, TEXT_MAX_BYTES};
pub use table::{
    Kind, Param, ParamTable, REVERT_AFTER_CEILING, REVERT_AFTER_DEFAULT, REVERT_AFTER_FLOOR,
    SOAK_CEILING, SOAK_DEFAULT, VALUES_MAX,
};
pub use value::{Number, ParamValue};
