//! One order on the agenda, as the plan of one entry that it is on board.

/// The text of the plan: its name, when its order is done, and the order's words. A time alone is at that time, and AOS and LOS
/// are those of any station unless it is named. None if `when` isn't one line of words.
#[must_use]
pub fn alone(name: &str, when: &str, order: &str) -> Option<String> {
    let when = spelled_out(when)?;
    Some(format!("plan {name}\nversion 1\n{when} do {order}\n"))
}

fn spelled_out(when: &str) -> Option<String> {
    let when = when.trim();
    if when.is_empty() || when.chars().any(char::is_control) {
        return None;
    }
    let (first, rest) = when.split_once(' ').unwrap_or((when, ""));
    let rest = rest.trim();
    Some(match first {
        "aos" | "los" if rest.is_empty() || rest.starts_with(['+', '-']) => {
            format!("{first} any {rest}").trim().to_owned()
        }
        _ if first.starts_with(|c: char| c.is_ascii_digit()) => format!("at {when}"),
        _ => when.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Dictionary, compile};

    #[test]
    fn what_is_short_is_spelled_out_and_compiles() {
        for (when, spelled) in [
            ("aos +10s", "aos any +10s"),
            ("los", "los any"),
            ("aos Kiruna", "aos Kiruna"),
            (" 2026-12-01T10:00:00Z ", "at 2026-12-01T10:00:00Z"),
            ("event disk-full", "event disk-full"),
        ] {
            let text = alone("one-2-7", when, "ping").unwrap();
            assert_eq!(text, format!("plan one-2-7\nversion 1\n{spelled} do ping\n"));
            assert!(compile(&text, "", &Dictionary::default()).is_ok(), "{text}");
        }
        let garbage = alone("one-2-7", "garbage", "ping").unwrap();
        assert!(compile(&garbage, "", &Dictionary::default()).is_err());
        assert_eq!((alone("a", "", "ping"), alone("a", "aos\nafter 1s", "ping")), (None, None));
    }
}
