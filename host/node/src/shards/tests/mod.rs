//! Damage of every class, on stores made here and by real tools.

mod bounds;
mod damage;
pub(super) mod disk;
mod kinds;
mod lists;
mod real;
mod scratch;
