//! What stands on the command line of a release: ranges, formats, commits, times.

use std::path::PathBuf;

use passband_proto::ids::parse_hex;
use passband_proto::release::manifest::StateFormats;

use crate::catalogue::time;
use crate::release::images::Part;

/// `LEAST..MOST`, or one number that is both.
pub(super) fn range(text: &str) -> Result<(u16, u16), String> {
    let (least, most) = text.split_once("..").unwrap_or((text, text));
    let number = |text: &str| text.parse::<u16>().ok();
    match (number(least), number(most)) {
        (Some(least), Some(most)) if least <= most => Ok((least, most)),
        _ => Err(format!("'{text}' is no range: write LEAST..MOST, such as 1..2, up to 65535")),
    }
}

/// `WRITES:LEAST..MOST`.
pub(super) fn state(text: &str) -> Result<StateFormats, String> {
    let bad = || format!("'{text}' is no state format: write WRITES:LEAST..MOST, such as 3:2..3");
    let (writes, reads) = text.split_once(':').ok_or_else(bad)?;
    let writes = writes.parse().map_err(|_| bad())?;
    let (least, most) = range(reads).map_err(|_| bad())?;
    if !(least..=most).contains(&writes) {
        return Err(format!("'{text}': a version has to read the format that it writes"));
    }
    Ok(StateFormats { writes, least, most })
}

/// A Git commit.
pub(super) fn commit(text: &str) -> Result<[u8; 20], String> {
    parse_hex(text).ok_or_else(|| format!("'{text}' is no commit: all 40 hexadecimal digits are wanted"))
}

/// A time, in seconds since 1970.
pub(super) fn seconds(text: &str) -> Result<u64, String> {
    time::parse(text).map(|ms| ms / 1_000)
}

/// `NAME=PATH`.
pub(super) fn part(text: &str) -> Result<Part, String> {
    let bad = || format!("'{text}': write NAME=PATH, such as ch4.csv=targets/ch4.csv");
    let (name, path) = text.split_once('=').filter(|(_, path)| !path.is_empty()).ok_or_else(bad)?;
    Ok(Part { name: name.to_owned(), path: PathBuf::from(path) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_is_read_and_all_else_refused() {
        assert_eq!((range("1..2"), range("7")), (Ok((1, 2)), Ok((7, 7))));
        assert_eq!(state("3:2..3"), Ok(StateFormats { writes: 3, least: 2, most: 3 }));
        assert_eq!(commit(&"ab".repeat(20)), Ok([0xAB; 20]));
        assert_eq!(seconds("2027-01-15T08:00:00Z"), Ok(1_800_000_000));
        assert_eq!(part("a=b=c").unwrap(), Part { name: "a".to_owned(), path: "b=c".into() });
        for bad in ["", "2..1", "1..", "..", "70000", "1..2..3"] {
            assert!(range(bad).is_err(), "{bad}");
        }
        for bad in ["3", "3:", "4:2..3", "x:1..2"] {
            assert!(state(bad).is_err(), "{bad}");
        }
        assert!(
            commit("5f3c").is_err() && seconds("soon").is_err() && part("a").is_err() && part("a=").is_err()
        );
    }
}
