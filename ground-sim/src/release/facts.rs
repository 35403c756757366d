//! What is told of a file, said once and shown in two ways: as text for people and as JSON for programs. A fact's name is the
//! JSON field; in text it stands with spaces.

use std::fmt::{self, Write};

use serde_json::{Map, Value};

/// Facts in the order in which they are told.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Facts(Vec<(&'static str, Fact)>);

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// A text.
    Text(String),
    /// A number.
    Number(u64),
    /// A number with a fraction.
    Share(f64),
    /// Yes or no.
    Flag(bool),
    /// There is none: `null`, and no line of text.
    Nothing,
    /// Several of the same kind.
    Each(Vec<Facts>),
}

impl Facts {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more.
    #[must_use]
    pub fn with(mut self, name: &'static str, fact: impl Into<Fact>) -> Self {
        self.0.push((name, fact.into()));
        self
    }

    /// With those of another.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// As a JSON object.
    #[must_use]
    pub fn json(&self) -> Value {
        Value::Object(
            self.0.iter().map(|(name, fact)| ((*name).to_owned(), fact.json())).collect::<Map<_, _>>(),
        )
    }

    /// As a JSON document of this program.
    #[must_use]
    pub fn document(&self) -> Value {
        let mut json = self.json();
        if let Value::Object(fields) = &mut json {
            fields.insert("schema".to_owned(), 1.into());
        }
        json
    }

    fn in_one_line(&self) -> String {
        let mut out = String::new();
        for (name, fact) in self.0.iter().filter(|(_, fact)| !fact.is_silent()) {
            let between = if out.is_empty() { "" } else { ", " };
            let _ = write!(out, "{between}{} {fact}", name.replace('_', " "));
        }
        out
    }
}

impl Fact {
    fn json(&self) -> Value {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Number(number) => (*number).into(),
            Self::Share(number) => (*number).into(),
            Self::Flag(flag) => (*flag).into(),
            Self::Nothing => Value::Null,
            Self::Each(all) => all.iter().map(Facts::json).collect(),
        }
    }

    fn is_silent(&self) -> bool {
        matches!(self, Self::Nothing) || matches!(self, Self::Each(all) if all.is_empty())
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, fact) in self.0.iter().filter(|(_, fact)| !fact.is_silent()) {
            let name = name.replace('_', " ");
            match fact {
                Fact::Each(all) => {
                    writeln!(f, "{name}")?;
                    all.iter().try_for_each(|facts| writeln!(f, "  {}", facts.in_one_line()))?;
                }
                other => writeln!(f, "{name:<width$}  {other}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
            Self::Share(number) => write!(f, "{number:.2}"),
            Self::Flag(flag) => f.write_str(if *flag { "yes" } else { "no" }),
            Self::Nothing => f.write_str("none"),
            Self::Each(all) => write!(f, "{}", all.len()),
        }
    }
}

macro_rules! from {
    ($($from:ty, $value:ident => $fact:expr;)*) => {
        $(impl From<$from> for Fact {
            fn from($value: $from) -> Self {
                $fact
            }
        })*
    };
}

from! {
    &str, value => Self::Text(value.to_owned());
    String, value => Self::Text(value);
    u64, value => Self::Number(value);
    u32, value => Self::Number(value.into());
    u16, value => Self::Number(value.into());
    u8, value => Self::Number(value.into());
    usize, value => Self::Number(value as u64);
    f64, value => Self::Share(value);
    bool, value => Self::Flag(value);
    Vec<Facts>, value => Self::Each(value);
}

impl<T: Into<Fact>> From<Option<T>> for Fact {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Nothing, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_json_say_the_same() {
        let each = |n: u32| Facts::new().with("key_id", "ab").with("bytes", n);
        let facts = Facts::new()
            .with("kind", "root")
            .with("expires", None::<u64>)
            .with("keys", vec![each(1), each(2)]);
        assert_eq!(facts.to_string(), "kind     root\nkeys\n  key id ab, bytes 1\n  key id ab, bytes 2\n");
        let wanted = serde_json::json!({
            "schema": 1, "kind": "root", "expires": null,
            "keys": [{ "key_id": "ab", "bytes": 1 }, { "key_id": "ab", "bytes": 2 }],
        });
        assert_eq!(facts.document(), wanted);
    }
}
