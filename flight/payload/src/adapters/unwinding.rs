//! No unwinding: what is uplinked ends at a panic, and has no tables to unwind by (`scripts/cross`).
//!
//! The standard library would still bring a reader of such tables and of debugging information, 200 kB of program, to
//! print a backtrace that a stripped program hasn't got. All of it begins at these functions of the platform's unwinder
//! (Itanium C++ ABI, "Exception Handling", level I). With these in their place a panic still tells its message and its
//! place in the source, and nothing more is linked. None but the first is ever called.

use core::ffi::{c_int, c_void};
use std::process::abort;

/// `_URC_END_OF_STACK`: there are no more frames.
const END_OF_STACK: c_int = 5;

/// Defines functions under the names that the standard library calls them by.
macro_rules! unwinder {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $returns:ty { $does:expr })+) => {
        $(
            #[expect(unsafe_code, reason = "the name is the platform's; no other unwinder is linked beside it")]
            #[unsafe(no_mangle)]
            extern "C" fn $name($($argument: $type),*) -> $returns {
                $does
            }
        )+
    };
}

unwinder! {
    fn _Unwind_Backtrace(_trace: *const c_void, _argument: *mut c_void) -> c_int { END_OF_STACK }
    fn _Unwind_Resume(_exception: *mut c_void) -> ! { abort() }
    fn _Unwind_GetDataRelBase(_context: *mut c_void) -> usize { abort() }
    fn _Unwind_GetIPInfo(_context: *mut c_void, _before: *mut c_int) -> usize { abort() }
    fn _Unwind_GetLanguageSpecificData(_context: *mut c_void) -> *const c_void { abort() }
    fn _Unwind_GetRegionStart(_context: *mut c_void) -> usize { abort() }
    fn _Unwind_GetTextRelBase(_context: *mut c_void) -> usize { abort() }
    fn _Unwind_SetGR(_context: *mut c_void, _register: c_int, _value: usize) -> () { abort() }
    fn _Unwind_SetIP(_context: *mut c_void, _value: usize) -> () { abort() }
}
