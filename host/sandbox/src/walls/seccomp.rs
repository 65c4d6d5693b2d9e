//! Seccomp: the system calls a worker may make from now on. What is not listed ends the process.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::collections::BTreeMap;

/// Allowed whatever their arguments: they read what is open, wait, measure, or give back.
const HARMLESS: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fadvise64,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_futex,
    libc::SYS_getdents64,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_newfstatat,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_read,
    libc::SYS_readahead,
    libc::SYS_readlinkat,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_statfs,
    libc::SYS_statx,
    // Its flags lie in memory, which a filter cannot read: Landlock holds here.
    libc::SYS_openat2,
];

/// Flags of open(2) that could change something.
const OPEN_CHANGES: i32 =
    libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC | libc::O_APPEND | TMPFILE;
/// `O_TMPFILE` without the `O_DIRECTORY` it contains.
const TMPFILE: i32 = 0o20_000_000;

#[derive(Debug, thiserror::Error)]
#[error("cannot put up the seccomp wall")]
pub(crate) struct SeccompError(#[from] seccompiler::Error);

impl From<seccompiler::BackendError> for SeccompError {
    fn from(e: seccompiler::BackendError) -> Self {
        Self(e.into())
    }
}

/// Filters this thread and all it starts from now on.
pub(crate) fn restrict() -> Result<(), SeccompError> {
    let arch: TargetArch = std::env::consts::ARCH.try_into()?;
    // A filter has one answer for what it lists. This one makes glibc fall back to clone(2),
    // whose flags, unlike those of clone3(2), lie in a register.
    let absent = BTreeMap::from([(libc::SYS_clone3, vec![])]);
    let not_implemented = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let first = SeccompFilter::new(absent, SeccompAction::Allow, not_implemented, arch)?;
    let allowed = SeccompFilter::new(
        allowed()?,
        SeccompAction::KillProcess,
        SeccompAction::Allow,
        arch,
    )?;
    let first: BpfProgram = first.try_into()?;
    let allowed: BpfProgram = allowed.try_into()?;
    seccompiler::apply_filter(&first)?;
    seccompiler::apply_filter(&allowed)?;
    Ok(())
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn allowed() -> Result<Rules, SeccompError> {
    let mut rules: Rules = HARMLESS.iter().map(|call| (*call, vec![])).collect();
    // Listed so that it comes through here to the first filter's answer.
    rules.insert(libc::SYS_clone3, vec![]);
    // Only to the host and to stderr.
    rules.insert(libc::SYS_write, vec![when(0, is(1))?, when(0, is(2))?]);
    rules.insert(libc::SYS_writev, vec![when(0, is(1))?, when(0, is(2))?]);
    // Nothing new becomes executable.
    // Nor is memory shared: a shared mapping of an open file would write to it without write(2),
    // and one of no file would not count as data of this process.
    let mapping = [
        (2, without(libc::PROT_EXEC)),
        (3, masked(libc::MAP_TYPE, libc::MAP_PRIVATE)),
    ];
    rules.insert(libc::SYS_mmap, vec![when_all(&mapping)?]);
    rules.insert(libc::SYS_mprotect, vec![when(2, without(libc::PROT_EXEC))?]);
    rules.insert(libc::SYS_openat, vec![when(2, without(OPEN_CHANGES))?]);
    // Threads of this process, no other process.
    rules.insert(libc::SYS_clone, vec![when(0, with(libc::CLONE_THREAD))?]);
    rules.insert(libc::SYS_prctl, vec![when(0, is(libc::PR_SET_NAME))?]);
    rules.insert(
        libc::SYS_fcntl,
        vec![
            when(1, is(libc::F_DUPFD_CLOEXEC))?,
            when(1, is(libc::F_GETFD))?,
            when(1, is(libc::F_SETFD))?,
            when(1, is(libc::F_GETFL))?,
        ],
    );
    // Reading a limit, not setting one.
    rules.insert(libc::SYS_prlimit64, vec![when_wide(2, 0)?]);
    // A panic that aborts signals its own thread group.
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    rules.insert(libc::SYS_tgkill, vec![when(0, is(own))?]);
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_poll, vec![]);
    Ok(rules)
}

type Test = (SeccompCmpOp, u64);

fn is(value: i32) -> Test {
    (SeccompCmpOp::Eq, u64::from(value.unsigned_abs()))
}

fn with(bits: i32) -> Test {
    masked(bits, bits)
}

fn without(bits: i32) -> Test {
    masked(bits, 0)
}

fn masked(mask: i32, value: i32) -> Test {
    let (mask, value) = (mask.unsigned_abs(), value.unsigned_abs());
    (SeccompCmpOp::MaskedEq(u64::from(mask)), u64::from(value))
}

fn when(argument: u8, test: Test) -> Result<SeccompRule, SeccompError> {
    when_all(&[(argument, test)])
}

fn when_all(tests: &[(u8, Test)]) -> Result<SeccompRule, SeccompError> {
    let conditions = tests.iter().map(|(argument, (operator, value))| {
        let length = SeccompCmpArgLen::Dword;
        SeccompCondition::new(*argument, length, operator.clone(), *value)
    });
    Ok(SeccompRule::new(conditions.collect::<Result<_, _>>()?)?)
}

fn when_wide(argument: u8, value: u64) -> Result<SeccompRule, SeccompError> {
    let (length, operator) = (SeccompCmpArgLen::Qword, SeccompCmpOp::Eq);
    Ok(SeccompRule::new(vec![SeccompCondition::new(
        argument, length, operator, value,
    )?])?)
}
