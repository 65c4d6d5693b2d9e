//! Damage of every class, on stores made here and by real tools.

mod bounds;
mod damage;
mod kinds;
mod real;
mod scratch;
