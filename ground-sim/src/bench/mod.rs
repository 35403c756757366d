//! `passband-ground bench transfer`: every target of the transfer, measured here and now, beside what
//! else there is.
//!
//! Each file measures one group of rows. A row that misses its target says so and the run goes on; no
//! figure is remembered from an earlier run, none is judged by anything but its target or a peer's figure
//! of the same run.
//!
//! | group | file | what |
//! | --- | --- | --- |
//! | `decode`, `header` | `decode` | symbols a real decoder needs; what a datagram carries besides |
//! | `zero-ack`, `tail`, `first` | `zero_ack` | 1 GiB over every channel, nothing ever heard |
//! | `report` | `reports` | how long a report is, and what reports save |
//! | `passes`, `starvation` | `passes` | a bundle's bytes a pass; periodic losses |
//! | `kills` | `kills` | senders and stations killed at random moments |
//! | `stitch` | `stitch` | a bundle out of unordered captures |
//! | `hostile` | `hostile` | a million packets that are not what they seem |
//! | `sender`, `receiver`, `link` | `speed` | bytes a second, through real sockets, of the real commands |
//! | `memory` | `memory` | what the real commands keep resident |
//! | `peers` | `peers` | other programs over the same losses |

mod child;
mod decode;
pub mod ground;
mod hostile;
mod kills;
pub mod losses;
mod memory;
mod models;
mod passes;
pub mod peers;
pub mod real;
mod reports;
mod row;
pub mod scenario;
pub mod sim;
mod speed;
mod stitch;
mod zero_ack;

pub use row::{Op, Row};

use std::path::PathBuf;

use anyhow::Result;

/// How much is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scale {
    /// Each row once and small, under a minute: a test that all of it works.
    Quick,
    /// Minutes. What is simulated has the real number of blocks and symbols, in small symbols.
    Usual,
    /// All channels, real symbols, 16 GiB through real sockets: an hour.
    Full,
}

/// One run of the bench.
#[derive(Debug)]
pub struct Bench {
    /// How much of it.
    pub scale: Scale,
    /// Seed of everything random.
    pub seed: u64,
    /// The `passband-ground` whose commands are measured.
    pub program: PathBuf,
    /// The program that runs the peers, where it was found.
    pub peers: Option<PathBuf>,
}

impl Bench {
    /// Picks by scale.
    fn pick<T>(&self, quick: T, usual: T, full: T) -> T {
        match self.scale {
            Scale::Quick => quick,
            Scale::Usual => usual,
            Scale::Full => full,
        }
    }
}

/// Takes the rows as they come.
pub type Sink<'a> = dyn FnMut(Row) -> Result<()> + 'a;

/// Measures some groups of rows and hands each row over.
type Measure = fn(&Bench, &mut Sink) -> Result<()>;

/// The groups that are measured together, and how.
const GROUPS: [(&[&str], Measure); 10] = [
    (&["decode", "header"], decode::measure),
    (&["zero-ack", "tail", "first"], zero_ack::measure),
    (&["report"], reports::measure),
    (&["passes", "starvation"], passes::measure),
    (&["kills"], kills::measure),
    (&["stitch"], stitch::measure),
    (&["hostile"], hostile::measure),
    (&["sender", "receiver", "link"], speed::measure),
    (&["memory"], memory::measure),
    (&["peers"], peers::measure),
];

/// All groups of rows: what `--only` takes.
pub fn groups() -> impl Iterator<Item = &'static str> {
    GROUPS.iter().flat_map(|(names, _)| names.iter().copied())
}

/// Measures the groups asked for, all if none is, and hands the rows to `sink`.
///
/// # Errors
/// Something could not be measured at all; a target that is missed is no error.
pub fn run(bench: &Bench, only: &[String], sink: &mut Sink) -> Result<()> {
    let wanted = |group: &str| only.is_empty() || only.iter().any(|o| o == group);
    for (names, measure) in GROUPS {
        if names.iter().any(|name| wanted(name)) {
            measure(bench, &mut |row| if wanted(row.group) { sink(row) } else { Ok(()) })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_have_names_of_their_own() {
        let names: std::collections::BTreeSet<_> = groups().collect();
        assert_eq!(names.len(), groups().count());
    }
}
