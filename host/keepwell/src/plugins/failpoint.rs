//! Places at which a test can have this program end as `kill -9` ends it. Only builds with debug
//! assertions have them, which are those that tests run.

/// Names the place at which to end.
#[cfg(debug_assertions)]
const VARIABLE: &str = "KEEPWELL_KILL_AT";

/// Ends this process at once when a test asked for it here.
pub(crate) fn failpoint(place: &str) {
    #[cfg(debug_assertions)]
    if std::env::var_os(VARIABLE).is_some_and(|at| at == place) {
        // What happens when it cannot be killed is that the test fails.
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
    #[cfg(not(debug_assertions))]
    let _ = place;
}
