//! Closing every descriptor but the three a worker is given.

/// Closes all descriptors from 3 on. Must come before this process opens any of its own.
#[expect(
    unsafe_code,
    reason = "descriptors inherited by accident have no owner in this process, so no safe type \
              can close them; there is no safe wrapper of close_range(2)"
)]
pub(crate) fn close_all_others() -> std::io::Result<()> {
    // SAFETY: called first thing in the worker's main, when this process has opened nothing yet,
    // so that no owned descriptor is closed behind its owner's back.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
    if closed == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}
