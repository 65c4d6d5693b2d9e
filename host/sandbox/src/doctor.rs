//! What this kernel offers for walls, for `keepwell doctor`.

/// The Landlock ABI this kernel and this program have in common; `None` without Landlock.
pub fn landlock_abi() -> Option<i32> {
    crate::walls::landlock::kernel_abi()
}

/// Whether this kernel filters system calls and can end a process that breaks the filter.
pub fn seccomp_available() -> bool {
    std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").is_ok_and(|actions| {
        actions
            .split_whitespace()
            .any(|action| action == "kill_process")
    })
}
