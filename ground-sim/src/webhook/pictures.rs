//! Which product holds the picture of an alert: the bundle that the alert names as its evidence, or a quicklook or
//! evidence of the same spacecraft, frame and time.

use std::path::{Path, PathBuf};

use anyhow::Result;
use passband_proto::alert::MAX_FRAME_NAME_BYTES;

use crate::catalogue::Product;
use crate::catalogue::journal::{Journal, Mark};
use crate::station::AlertReport;

/// Products of a frame are made within this of its alert, ms.
const SAME_TIME_MS: u64 = 600_000;

/// Looks for pictures in the catalogue's list.
#[derive(Debug)]
pub(super) struct Pictures {
    journal: Journal,
    mark: Mark,
}

impl Pictures {
    pub(super) fn new(out: &Path) -> Self {
        Self { journal: Journal::new(out), mark: Mark::default() }
    }

    /// Looks at the whole list at the next search: there are alerts whose picture may be in it already.
    pub(super) fn look_at_all(&mut self) {
        self.mark = Mark::default();
    }

    /// The pictures, below OUT, of those alerts whose products have come since the last search.
    ///
    /// # Errors
    /// The list can't be read.
    pub(super) fn search<'a>(
        &mut self,
        alerts: impl Iterator<Item = (&'a String, &'a AlertReport)>,
    ) -> Result<Vec<(String, PathBuf)>> {
        let alerts: Vec<_> = alerts.collect();
        let mut found = Vec::new();
        self.mark = self.journal.read_from(self.mark, |product| {
            let Some(path) = picture(&product) else { return };
            let of_it = alerts.iter().filter(|(_, report)| belongs(&product, report));
            found.extend(of_it.map(|(name, _)| ((*name).clone(), path.clone())));
        })?;
        Ok(found)
    }
}

/// Where the picture of a product is.
fn picture(product: &Product) -> Option<PathBuf> {
    let preview = product.preview.as_ref().filter(|preview| preview.name.to_lowercase().ends_with(".png"))?;
    Some(Path::new(&product.folder).join(&preview.name))
}

fn belongs(product: &Product, report: &AlertReport) -> bool {
    let alert = &report.alert;
    if alert.evidence.is_some_and(|id| id.to_string() == product.id) {
        return true;
    }
    // An alert's name of the frame is cut if it is long.
    let same_frame = product.frame.as_deref().is_some_and(|frame| {
        frame == alert.frame.as_str()
            || (alert.frame.len() + 4 > MAX_FRAME_NAME_BYTES && frame.starts_with(alert.frame.as_str()))
    });
    ["quicklook", "evidence"].contains(&product.product.as_str())
        && product.spacecraft == report.spacecraft
        && same_frame
        && product.created_unix_ms.abs_diff(alert.time_unix_ms) <= SAME_TIME_MS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::tests::{alert, quicklook};

    #[test]
    fn a_picture_belongs_to_the_alert_of_its_frame() {
        let mut report = alert(1);
        let product = quicklook(&report);
        assert!(belongs(&product, &report));
        assert_eq!(picture(&product), Some(PathBuf::from("f1-quicklook/f1.quicklook.png")));
        for other in [
            Product { spacecraft: 9, ..product.clone() },
            Product { frame: Some("f11".to_owned()), ..product.clone() },
            Product { product: "region".to_owned(), ..product.clone() },
            Product { created_unix_ms: product.created_unix_ms + 2 * SAME_TIME_MS, ..product.clone() },
        ] {
            assert!(!belongs(&other, &report), "{other:?}");
        }
        report.alert.evidence = Some(product.id.parse().unwrap());
        report.alert.time_unix_ms = 0;
        assert!(belongs(&product, &report));
    }
}
