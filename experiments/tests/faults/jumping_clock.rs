//! Stands in front of the system's clock: every look at the time of day is some years away from the one before.
//!
//! Built by `clock.rs` for one process under test. The monotonic clock stays as it is: it cannot be set.

use std::ffi::{c_int, c_long};
use std::sync::atomic::{AtomicI64, Ordering};

#[repr(C)]
pub struct Timespec {
    seconds: i64,
    nanoseconds: c_long,
}

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
}

const REALTIME: c_int = 0;
#[cfg(target_arch = "x86_64")]
const CLOCK_GETTIME: c_long = 228;
#[cfg(target_arch = "aarch64")]
const CLOCK_GETTIME: c_long = 113;

static LOOKS: AtomicI64 = AtomicI64::new(0);

/// What the C library would call.
///
/// # Safety
/// `time` points to a timespec, as POSIX asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int {
    // SAFETY: the system's own call with its own arguments; it has filled `time` if it returns 0.
    unsafe {
        let code = syscall(CLOCK_GETTIME, clock, time) as c_int;
        if code == 0 && clock == REALTIME {
            let looks = LOOKS.fetch_add(1, Ordering::Relaxed);
            (*time).seconds += [5, -7, 9, -3][(looks % 4) as usize] * 366 * 86_400;
        }
        code
    }
}
