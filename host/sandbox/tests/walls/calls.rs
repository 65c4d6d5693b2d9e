//! Bare system calls: those that are not listed, and those that are with other arguments.

use super::{Scene, killed};

/// Calls that come through, some with certain arguments only. Written down a second time, so that
/// nobody adds one in passing.
const CALLS: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fadvise64,
    libc::SYS_fcntl,
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
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_openat2,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_prctl,
    libc::SYS_pread64,
    libc::SYS_prlimit64,
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
    libc::SYS_tgkill,
    libc::SYS_write,
    libc::SYS_writev,
];

/// Above the newest call of any kernel, and some way into what is to come.
const NUMBERS: i64 = 512;
/// Where x86 has the calls of its 32-bit pointers' ABI.
const X32: i64 = 0x4000_0000;

/// `uretprobe` and `uprobe` of x86-64: the kernel lets them past every filter, for whoever traces
/// the process; they fail where the kernel itself did not place them.
const PAST_FILTERS: &[i64] = &[335, 336];

#[test]
fn every_call_that_is_not_listed_ends_the_worker() {
    let scene = Scene::new();
    let numbers: Vec<i64> = (0..NUMBERS)
        .filter(|number| !CALLS.contains(number) && !PAST_FILTERS.contains(number))
        .chain([X32 | libc::SYS_read, X32 | libc::SYS_write, X32 + 520])
        .collect();
    std::thread::scope(|scope| {
        for part in numbers.chunks(numbers.len().div_ceil(4)) {
            let scene = &scene;
            scope.spawn(move || {
                for number in part {
                    killed(&format!("call {number}"), &scene.call(*number, &[]));
                }
            });
        }
    });
}

/// Calls that are listed, with arguments that are not.
#[test]
fn listed_calls_with_other_arguments_end_the_worker() {
    let scene = Scene::new();
    let here = i64::from(libc::AT_FDCWD);
    let flags = |flags: i32| [here, 0, i64::from(flags)];
    for changes in [
        libc::O_WRONLY,
        libc::O_RDWR,
        libc::O_CREAT,
        libc::O_TRUNC,
        libc::O_APPEND,
        libc::O_TMPFILE,
        libc::O_RDONLY | libc::O_CREAT | libc::O_CLOEXEC,
    ] {
        killed("openat", &scene.call(libc::SYS_openat, &flags(changes)));
    }
    let own = i64::from(std::process::id());
    let shared = i64::from(libc::MAP_SHARED_VALIDATE | libc::MAP_ANONYMOUS);
    let (read, exec) = (i64::from(libc::PROT_READ), i64::from(libc::PROT_EXEC));
    let namespaces = i64::from(libc::CLONE_NEWUSER | libc::CLONE_NEWNS);
    for (what, number, args) in [
        ("write to the code", libc::SYS_write, &[0_i64, 0, 0][..]),
        ("write to a root", libc::SYS_write, &[3, 0, 0]),
        ("writev to a root", libc::SYS_writev, &[3, 0, 0]),
        (
            "fork by clone",
            libc::SYS_clone,
            &[i64::from(libc::SIGCHLD)],
        ),
        ("a namespace by clone", libc::SYS_clone, &[namespaces]),
        (
            "shared memory",
            libc::SYS_mmap,
            &[0, 4096, read, shared, -1, 0],
        ),
        (
            "code of read memory",
            libc::SYS_mprotect,
            &[0, 4096, read | exec],
        ),
        (
            "being dumpable",
            libc::SYS_prctl,
            &[i64::from(libc::PR_SET_DUMPABLE), 1],
        ),
        (
            "outliving the host",
            libc::SYS_prctl,
            &[i64::from(libc::PR_SET_PDEATHSIG), 0],
        ),
        ("a lock", libc::SYS_fcntl, &[3, i64::from(libc::F_SETLK), 0]),
        (
            "an owner",
            libc::SYS_fcntl,
            &[3, i64::from(libc::F_SETOWN), 1],
        ),
        (
            "a lease",
            libc::SYS_fcntl,
            &[3, i64::from(libc::F_SETLEASE), 0],
        ),
        ("a signal to the host", libc::SYS_tgkill, &[own, own, 0]),
        ("higher limits", libc::SYS_prlimit64, &[0, 1, 1, 0]),
    ] {
        killed(what, &scene.call(number, args));
    }
}
