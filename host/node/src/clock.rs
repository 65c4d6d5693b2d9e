//! Sensor for this machine's clock: whether the kernel says that something keeps it right.

/// `adjtimex(2)`: false when nothing keeps the clock right, as a time service tells the kernel each
/// few minutes; `None` where the kernel does not say.
pub fn synchronised() -> Option<bool> {
    let status = status()?;
    Some(status & libc::STA_UNSYNC == 0)
}

#[expect(
    unsafe_code,
    reason = "no crate wraps adjtimex for reading; the call writes into a struct of its own size and, \
              with `modes` 0, changes nothing"
)]
fn status() -> Option<libc::c_int> {
    // SAFETY: `timex` is plain numbers, for which zero is a value.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a whole `timex` that outlives the call.
    let told = unsafe { libc::adjtimex(&raw mut timex) };
    (told >= 0).then_some(timex.status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_says_the_same_twice() {
        // Under a filter that forbids the call there is no answer, and that is one too.
        assert_eq!(synchronised(), synchronised());
    }
}
