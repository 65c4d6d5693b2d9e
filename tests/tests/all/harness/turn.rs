//! Tests that measure time run alone; all others share the machine.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

static MACHINE: RwLock<()> = RwLock::new(());

/// Held for as long as a test runs.
#[expect(dead_code, reason = "the guards are held, not read")]
#[derive(Debug)]
pub(crate) enum Turn {
    Shared(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

pub(crate) fn shared() -> Turn {
    Turn::Shared(MACHINE.read().unwrap_or_else(PoisonError::into_inner))
}

/// A failed test poisons the lock; the next one is none the worse for it.
pub(crate) fn alone() -> Turn {
    Turn::Alone(MACHINE.write().unwrap_or_else(PoisonError::into_inner))
}
