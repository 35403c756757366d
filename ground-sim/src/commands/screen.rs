//! What `receive` shows while it runs: a line for what happens, a bar for each bundle that is coming in.

use std::collections::BTreeMap;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::station::BundleReport;

/// Progress bars, one a bundle that is not whole.
pub(super) struct Screen {
    bars: MultiProgress,
    shown: BTreeMap<String, ProgressBar>,
    quiet: bool,
}

impl Screen {
    pub(super) fn new(quiet: bool) -> Self {
        let bars = MultiProgress::new();
        if quiet {
            bars.set_draw_target(indicatif::ProgressDrawTarget::hidden());
        }
        Self { bars, shown: BTreeMap::new(), quiet }
    }

    pub(super) fn say(&self, line: &str) {
        if !self.quiet {
            self.bars.suspend(|| say!("{line}"));
        }
    }

    /// Says what went wrong beside reception.
    pub(super) fn fault(&self, what: &str) {
        self.bars.suspend(|| eprintln!("passband-ground receive: {what}"));
    }

    pub(super) fn show(&mut self, bundles: &[BundleReport]) {
        const MOST_BARS: usize = 12;
        for bundle in bundles {
            if bundle.complete {
                if let Some(bar) = self.shown.remove(&bundle.id) {
                    bar.finish_and_clear();
                }
                continue;
            }
            if !self.shown.contains_key(&bundle.id) {
                if self.shown.len() >= MOST_BARS {
                    continue;
                }
                let bar = self.bars.add(ProgressBar::new(bundle.symbols_needed));
                if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}") {
                    bar.set_style(style);
                }
                self.shown.insert(bundle.id.clone(), bar);
            }
            if let Some(bar) = self.shown.get(&bundle.id) {
                bar.set_length(bundle.symbols_needed);
                bar.set_position(bundle.symbols_received.min(bundle.symbols_needed));
                bar.set_message(bundle.name.clone().unwrap_or_else(|| bundle.id.clone()));
            }
        }
    }

    pub(super) fn clear(&self) {
        let _ = self.bars.clear();
    }
}
