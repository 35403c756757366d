//! What goes wrong, as Python sees it. A panic never crosses the boundary: what is computed runs in [`detached`].

use core::fmt::Display;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

pyo3::create_exception!(
    passband,
    Error,
    PyValueError,
    "What passband was given can't be used; the message says what and where."
);

/// Why there is no result.
#[derive(Debug)]
pub(crate) enum Fault {
    /// What was given can't be used: `passband.Error`.
    Input(String),
    /// The disk: the `OSError` of its kind.
    Disk(io::Error),
    /// Passband itself failed: `RuntimeError`.
    Own(String),
}

impl Fault {
    /// Of what was given: where, and what is wrong with it.
    pub(crate) fn at(place: impl Display, what: impl Display) -> Self {
        Self::Input(format!("{place}: {what}"))
    }

    /// Of a file.
    pub(crate) fn file(path: &Path, e: &io::Error) -> Self {
        Self::Disk(io::Error::new(e.kind(), format!("{}: {e}", path.display())))
    }
}

impl From<Fault> for PyErr {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Input(what) => Error::new_err(what),
            Fault::Disk(e) => e.into(),
            Fault::Own(what) => PyRuntimeError::new_err(what),
        }
    }
}

/// Computes with the GIL released, so that Python's other threads go on.
pub(crate) fn detached<T: Send>(
    py: Python<'_>,
    compute: impl FnOnce() -> Result<T, Fault> + Send,
) -> Result<T, Fault> {
    py.detach(|| catch_unwind(AssertUnwindSafe(compute)).unwrap_or_else(|panic| Err(own(panic.as_ref()))))
}

fn own(panic: &(dyn core::any::Any + Send)) -> Fault {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    Fault::Own(format!("passband failed, through no fault of what it was given: {text}"))
}
