//! From the text to `name = value` entries with their line numbers. Knows nothing of what the names mean.

use super::{EnviError, MAX_HEADER_BYTES};

/// Most entries that are kept; a real header has some dozens.
const MAX_ENTRIES: usize = 4096;

/// One field as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Lower case, inner white space collapsed to one blank.
    pub(super) name: String,
    /// Trimmed; without the braces if it was in braces.
    pub(super) value: String,
    /// Whether it was in braces.
    pub(super) braced: bool,
    /// Line on which the field starts, from 1.
    pub(super) line: usize,
}

impl Entry {
    /// The refusal of this field.
    pub(super) fn invalid(&self, why: impl Into<String>) -> EnviError {
        EnviError::Invalid {
            field: self.name.clone(),
            line: self.line,
            value: short(&self.value),
            why: why.into(),
        }
    }
}

/// The entries in the order of the text, and notes about what was passed over.
#[derive(Debug, Default)]
pub(super) struct Entries {
    pub(super) entries: Vec<Entry>,
    pub(super) notes: Vec<String>,
}

impl Entries {
    /// The entry that counts: the last one of that name, as GDAL takes it.
    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().rev().find(|e| e.name == name)
    }
}

/// Splits a header's text. Comments (`;`), blank lines, CR, CRLF and a byte-order mark are taken in stride.
pub(super) fn entries(text: &str) -> Result<Entries, EnviError> {
    if text.len() > MAX_HEADER_BYTES {
        return Err(EnviError::TooLong { bytes: text.len() });
    }
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n");
    let mut out = Entries::default();
    let mut lines = text.lines().enumerate().map(|(i, l)| (i.saturating_add(1), l.trim()));
    let mut magic = false;
    while let Some((line, content)) = lines.next() {
        if content.is_empty() || content.starts_with(';') {
            continue;
        }
        let Some((name, rest)) = content.split_once('=') else {
            if content.eq_ignore_ascii_case("envi") {
                magic = true;
            } else {
                out.note(format!("line {line} is not `name = value`, passed over: `{}`", short(content)));
            }
            continue;
        };
        let name = tidy_name(name);
        let opened = rest.trim().strip_prefix('{');
        let value = match opened {
            Some(opened) => in_braces(opened, &mut lines)
                .ok_or_else(|| EnviError::Unclosed { field: short(&name), line })?,
            None => rest.trim().to_owned(),
        };
        out.push(Entry { name, value, braced: opened.is_some(), line });
    }
    if out.entries.is_empty() {
        return Err(EnviError::NotEnvi);
    }
    if !magic {
        out.note("the first line should be `ENVI`; read all the same".to_owned());
    }
    Ok(out)
}

impl Entries {
    fn push(&mut self, entry: Entry) {
        if self.entries.len() >= MAX_ENTRIES {
            return;
        }
        if let Some(earlier) = self.get(&entry.name).filter(|e| e.value != entry.value) {
            let (name, first, last) = (short(&entry.name), earlier.line, entry.line);
            self.note(format!("`{name}` is given on line {first} and again on line {last}; the last counts"));
        }
        self.entries.push(entry);
    }

    fn note(&mut self, note: String) {
        const MAX_NOTES: usize = 32;
        if self.notes.len() < MAX_NOTES {
            self.notes.push(note);
        }
    }
}

/// The content up to the closing brace, lines joined by newlines, comment lines left out.
fn in_braces<'a>(opened: &'a str, lines: &mut impl Iterator<Item = (usize, &'a str)>) -> Option<String> {
    let mut value = String::new();
    let mut part = opened;
    loop {
        if let Some((inside, _after)) = part.split_once('}') {
            value.push_str(inside);
            return Some(value.trim().to_owned());
        }
        value.push_str(part);
        value.push('\n');
        part = loop {
            let (_, next) = lines.next()?;
            if !next.starts_with(';') {
                break next;
            }
        };
    }
}

fn tidy_name(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// At most 40 characters of a text, for messages.
pub(super) fn short(text: &str) -> String {
    const KEEP: usize = 40;
    let mut out: String = text.chars().take(KEEP).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(KEEP).is_some() {
        out.push('…');
    }
    out
}
