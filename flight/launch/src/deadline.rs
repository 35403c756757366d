//! The time within which a trial has to be confirmed, kept by the kernel: an alarm outlives the exec (POSIX.1-2017, exec:
//! "the new process image inherits … the time left until an alarm clock signal"), and what doesn't call it off is ended.
//! A version whose own sense of time is broken, or that can't hear the ground, so ends as well.
#![expect(unsafe_code, reason = "alarm(2) isn't in any of the libraries; it takes a number and can't fail")]

use std::ffi::c_uint;

unsafe extern "C" {
    safe fn alarm(seconds: c_uint) -> c_uint;
}

/// This process, whatever it becomes, is ended in so many seconds; with 0 it isn't.
pub fn set(seconds: u32) {
    alarm(seconds);
}

#[cfg(test)]
mod tests {
    use super::alarm;

    #[test]
    fn it_runs_and_is_called_off() {
        super::set(1_000);
        super::set(2_000);
        let left = alarm(0);
        assert!((1_990..=2_000).contains(&left), "{left}");
        assert_eq!(alarm(0), 0);
    }
}
