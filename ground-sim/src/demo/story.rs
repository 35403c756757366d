//! What a person sees while the demo runs: the time line, line by line, and bars that fill up.

use std::collections::BTreeMap;
use std::time::Instant;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::summary::TimelineEntry;
use crate::station::BundleReport;

/// Most bars on the screen.
const MOST_BARS: usize = 14;

/// The time line.
pub(super) struct Story {
    start: Instant,
    bars: MultiProgress,
    shown: BTreeMap<String, ProgressBar>,
    pub(super) timeline: Vec<TimelineEntry>,
}

impl Story {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            bars: MultiProgress::new(),
            shown: BTreeMap::new(),
            timeline: Vec::new(),
        }
    }

    /// Seconds since the demo began.
    pub(super) fn now_s(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// Something happened: onto the screen and into the time line.
    pub(super) fn say(&mut self, kind: &str, text: &str) {
        let t_s = self.now_s();
        self.print(&format!("{t_s:6.1} s  {:<7} {text}", kind.to_uppercase()));
        self.timeline.push(TimelineEntry { t_s, kind: kind.to_owned(), text: text.to_owned() });
    }

    /// A line that is not an event of its own.
    pub(super) fn detail(&self, text: &str) {
        self.print(&format!("{:19}{text}", ""));
    }

    /// Bars for the bundles that are on their way.
    pub(super) fn show(&mut self, bundles: &[BundleReport], label: &str) {
        for b in bundles {
            if b.complete {
                if let Some(bar) = self.shown.remove(&b.id) {
                    bar.finish_and_clear();
                }
                continue;
            }
            if !self.shown.contains_key(&b.id) && self.shown.len() < MOST_BARS {
                let bar = self.bars.add(ProgressBar::new(b.symbols_needed.max(1)));
                if let Ok(style) = ProgressStyle::with_template("           {bar:28} {percent:>3} %  {msg}") {
                    bar.set_style(style);
                }
                self.shown.insert(b.id.clone(), bar);
            }
            if let Some(bar) = self.shown.get(&b.id) {
                bar.set_length(b.symbols_needed.max(1));
                bar.set_position(b.symbols_received.min(b.symbols_needed));
                bar.set_message(format!("{label}: {}", b.name.clone().unwrap_or_else(|| b.id.clone())));
            }
        }
    }

    /// Takes the bars off the screen.
    pub(super) fn clear(&mut self) {
        self.shown.clear();
        let _ = self.bars.clear();
    }

    fn print(&self, line: &str) {
        self.bars.suspend(|| say!("{line}"));
    }
}
