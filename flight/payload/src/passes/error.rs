//! What is wrong with a file of the pass plan: the line and the field, as far as they are known.

use core::fmt;
use core::ops::Range;

/// A file of the pass plan that can't be used; who read it adds its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanError {
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
    /// The field, where it is known.
    pub field: Option<String>,
    /// What is wrong.
    pub what: String,
}

impl PlanError {
    /// A fault of the whole file.
    pub(super) fn whole(what: impl Into<String>) -> Self {
        Self { line: None, field: None, what: what.into() }
    }

    /// A fault of a field that stands on `line`, from 1.
    pub(super) fn on(line: Option<usize>, field: &str, what: impl Into<String>) -> Self {
        Self { line, field: Some(field.to_owned()), what: what.into() }
    }

    /// A fault of a field whose value stands at `span`, bytes of `text`.
    pub(super) fn at(text: &str, span: &Range<usize>, field: &str, what: impl Into<String>) -> Self {
        Self::on(line_of(text, span.start), field, what)
    }

    /// What the reader of TOML says, with the field whose line it is.
    pub(super) fn toml(error: &toml::de::Error, text: &str) -> Self {
        let line = error.span().and_then(|span| line_of(text, span.start));
        let field = line
            .and_then(|line| text.lines().nth(line.saturating_sub(1)))
            .and_then(|content| content.split_once('='))
            .map(|(key, _)| key.trim().to_owned())
            .filter(|key| !key.is_empty() && !key.starts_with('#'));
        Self { line, field, what: error.message().replace('\n', " ") }
    }
}

/// The line, from 1, of a byte of `text`.
fn line_of(text: &str, byte: usize) -> Option<usize> {
    text.get(..byte).map(|before| before.matches('\n').count().saturating_add(1))
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.what)
    }
}

impl core::error::Error for PlanError {}
