//! Which product holds the picture of an alert.
//!
//! The picture comes as a quicklook, a product of its own. Whose it is, is said by the frame's id: the alert names the
//! bundle of its evidence, and the evidence the frame. Until the evidence is down a quicklook of the frame's name
//! counts if it has the alert's time to the millisecond, which it has unless the frame was looked at again later. If
//! even that isn't so (the first look failed after the alert was made, so the evidence that it names never comes),
//! name and time are taken for enough once the quicklook has been here for a while and no other frame may be meant.
//! Never reads a picture.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Result;
use passband_flight::store::FrameId;
use passband_proto::alert::{Alert, MAX_FRAME_NAME_BYTES};
use passband_proto::ids::BundleId;

use crate::catalogue::Product;
use crate::catalogue::journal::{Journal, Mark};
use crate::station::AlertReport;

/// A frame that is looked at again is so within this of its alert, ms: 6 hours.
const AGAIN_WITHIN_MS: u64 = 6 * 3_600_000;
/// Frames that are remembered, a few hundred bytes each.
const MOST_FRAMES: usize = 50_000;

/// A frame: its spacecraft, and its id.
type Key = (u16, FrameId);

/// What the list has of a frame.
#[derive(Debug)]
struct Frame {
    name: String,
    created_unix_ms: u64,
    evidence: Option<BundleId>,
    /// The quicklook, below OUT.
    picture: Option<PathBuf>,
    /// It is the picture of an alert.
    taken: bool,
}

/// Finds pictures in the catalogue's list, of which it reads each line once.
#[derive(Debug)]
pub(super) struct Pictures {
    out: PathBuf,
    guess_after: Duration,
    journal: Journal,
    mark: Mark,
    frames: BTreeMap<Key, Frame>,
    by_time: BTreeSet<(u64, Key)>,
    by_evidence: BTreeMap<BundleId, Key>,
}

impl Pictures {
    pub(super) fn new(out: &Path, guess_after: Duration) -> Self {
        Self {
            out: out.to_owned(),
            guess_after,
            journal: Journal::new(out),
            mark: Mark::default(),
            frames: BTreeMap::new(),
            by_time: BTreeSet::new(),
            by_evidence: BTreeMap::new(),
        }
    }

    /// The pictures, below OUT, of those alerts whose pictures are down.
    ///
    /// # Errors
    /// The list can't be read.
    pub(super) fn search<'a>(
        &mut self,
        alerts: impl Iterator<Item = (&'a String, &'a AlertReport)>,
        now_ms: u64,
    ) -> Result<BTreeMap<String, PathBuf>> {
        let alerts: Vec<_> = alerts.collect();
        let mut found = BTreeMap::new();
        if alerts.is_empty() {
            return Ok(found);
        }
        let (journal, mark) = (self.journal.clone(), self.mark);
        self.mark = journal.read_from(mark, |product| self.remember(&product))?;
        // Nothing is guessed before all that is known was given to whom it belongs.
        for guess in [false, true] {
            for (name, report) in &alerts {
                if found.contains_key(*name) {
                    continue;
                }
                let key = if guess { self.guess(report, now_ms) } else { self.proven(report) };
                let Some(frame) = key.and_then(|key| self.frames.get_mut(&key)) else { continue };
                let here = frame.picture.as_ref().filter(|path| self.out.join(path).is_file());
                if let Some(path) = here {
                    found.insert((*name).clone(), path.clone());
                    frame.taken = true;
                }
            }
        }
        Ok(found)
    }

    /// Takes note of a product, if it is one that matters here.
    fn remember(&mut self, product: &Product) {
        let id = |text: &str| text.parse::<BundleId>().ok();
        let Some((name, frame_id)) = product.frame_key() else { return };
        let (Some(bundle), Some(frame_id)) = (id(&product.id), id(frame_id)) else { return };
        let is_quicklook = product.product == "quicklook";
        if !is_quicklook && product.product != "evidence" {
            return;
        }
        let key = (product.spacecraft, FrameId(frame_id.0));
        let frame = self.frames.entry(key).or_insert_with(|| Frame {
            name: name.to_owned(),
            created_unix_ms: product.created_unix_ms,
            evidence: None,
            picture: None,
            taken: false,
        });
        if is_quicklook {
            self.by_time.remove(&(frame.created_unix_ms, key));
            frame.created_unix_ms = product.created_unix_ms;
            frame.picture = picture(product).or(frame.picture.take());
        } else {
            if let Some(before) = frame.evidence.replace(bundle).filter(|before| *before != bundle) {
                self.by_evidence.remove(&before);
            }
            self.by_evidence.insert(bundle, key);
        }
        self.by_time.insert((frame.created_unix_ms, key));
        while self.frames.len() > MOST_FRAMES {
            let Some((_, oldest)) = self.by_time.pop_first() else { return };
            let evidence = self.frames.remove(&oldest).and_then(|frame| frame.evidence);
            evidence.map(|id| self.by_evidence.remove(&id));
        }
    }

    /// The frame of an alert, as far as there is no doubt.
    fn proven(&self, report: &AlertReport) -> Option<Key> {
        if let Some(key) = self.by_evidence(report) {
            return Some(key);
        }
        let time = report.alert.time_unix_ms;
        only(self.alike(report, time, time).map(|(key, _)| key))
    }

    /// The frame of an alert by name and time, if no other may be meant.
    fn guess(&self, report: &AlertReport, now_ms: u64) -> Option<Key> {
        if self.by_evidence(report).is_some() {
            return None;
        }
        let time = report.alert.time_unix_ms;
        let all = self.alike(report, time, time.saturating_add(AGAIN_WITHIN_MS));
        let (key, frame) = only(all.filter(|(_, frame)| !frame.taken))?;
        let path = self.out.join(frame.picture.as_ref()?);
        let came = path.metadata().and_then(|about| about.modified()).ok()?;
        let waited = (UNIX_EPOCH + Duration::from_millis(now_ms)).duration_since(came);
        waited.is_ok_and(|waited| waited >= self.guess_after).then_some(key)
    }

    fn by_evidence(&self, report: &AlertReport) -> Option<Key> {
        let key = self.by_evidence.get(&report.alert.evidence?)?;
        (key.0 == report.spacecraft).then_some(*key)
    }

    /// The frames of an alert's spacecraft and name, made from … to, ms.
    fn alike<'a>(
        &'a self,
        report: &'a AlertReport,
        from: u64,
        to: u64,
    ) -> impl Iterator<Item = (Key, &'a Frame)> + 'a {
        let ends = (from, (0, FrameId([0; 12])))..=(to, (u16::MAX, FrameId([u8::MAX; 12])));
        let keys = self.by_time.range(ends).map(|(_, key)| *key);
        let frames = keys.filter_map(|key| Some((key, self.frames.get(&key)?)));
        frames.filter(|(key, frame)| key.0 == report.spacecraft && is_name(&frame.name, &report.alert))
    }
}

/// Where the picture of a product is.
fn picture(product: &Product) -> Option<PathBuf> {
    let preview = product.preview.as_ref().filter(|preview| preview.name.to_lowercase().ends_with(".png"))?;
    Some(Path::new(&product.folder).join(&preview.name))
}

/// Whether an alert's frame may be called so: it cuts the name if it is long.
fn is_name(name: &str, alert: &Alert) -> bool {
    let said = alert.frame.as_str();
    // A character of UTF-8 has up to 4 bytes: so much room may be left.
    name == said || (said.len() + 4 > MAX_FRAME_NAME_BYTES && name.starts_with(said))
}

/// The one of one.
fn only<T>(mut all: impl Iterator<Item = T>) -> Option<T> {
    let first = all.next()?;
    all.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    use passband_proto::alert::fit;

    use crate::webhook::tests::{alert, quicklook};

    const WEEK: Duration = Duration::from_hours(168);

    /// A folder with a list, and what is found for alerts.
    struct Out {
        dir: tempfile::TempDir,
        pictures: Pictures,
        now_ms: u64,
    }

    impl Out {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            drop(Journal::new(dir.path()).lock().unwrap());
            let pictures = Pictures::new(dir.path(), WEEK);
            let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            Self { dir, pictures, now_ms: u64::try_from(since.as_millis()).unwrap() }
        }

        fn list(&self, product: &Product) {
            let folder = self.dir.path().join(&product.folder);
            fs::create_dir_all(&folder).unwrap();
            product.preview.iter().for_each(|p| fs::write(folder.join(&p.name), "").unwrap());
            Journal::new(self.dir.path()).append(product).unwrap();
        }

        /// The folders of the pictures of these alerts.
        fn find(&mut self, reports: &[AlertReport]) -> Vec<String> {
            let names: Vec<_> = reports.iter().map(|r| r.alert.number.to_string()).collect();
            let found = self.pictures.search(names.iter().zip(reports), self.now_ms).unwrap();
            let folder = |path: &PathBuf| path.parent().unwrap().to_str().unwrap().to_owned();
            names.iter().map(|name| found.get(name).map_or_else(String::new, folder)).collect()
        }
    }

    /// The evidence of the frame that a quicklook is of.
    fn evidence(of: &Product, id: BundleId) -> Product {
        Product {
            id: id.to_string(),
            folder: format!("{id}"),
            product: "evidence".to_owned(),
            preview: None,
            ..of.clone()
        }
    }

    /// Two alerts, and the quicklooks of their frames, that nobody can tell by the name.
    fn tiles() -> [(AlertReport, Product); 2] {
        [1, 2].map(|n| {
            let mut report = alert(n);
            let name = format!("{}{n}", "a-survey-whose-tiles-have-names-that-begin-alike-".repeat(2));
            report.alert.frame = fit(&name);
            report.alert.evidence = Some(BundleId([u8::try_from(n).unwrap(); 12]));
            let mut product = Product { frame: Some(name), ..quicklook(&report) };
            product.folder = format!("q{n}");
            (report, product)
        })
    }

    #[test]
    fn a_quicklook_of_the_same_name_and_millisecond_is_the_picture() {
        let report = alert(1);
        let product = quicklook(&report);
        assert_eq!(picture(&product), Some(PathBuf::from("f1-quicklook/f1.quicklook.png")));
        for other in [
            Product { spacecraft: 9, ..product.clone() },
            Product { frame: Some("f11".to_owned()), ..product.clone() },
            Product { product: "region".to_owned(), ..product.clone() },
            Product { created_unix_ms: product.created_unix_ms + 1, ..product.clone() },
            Product { created_unix_ms: product.created_unix_ms - 1, ..product.clone() },
            Product { preview: None, ..product.clone() },
        ] {
            let mut out = Out::new();
            out.list(&other);
            assert_eq!(out.find(std::slice::from_ref(&report)), [""], "{other:?}");
        }
        let mut out = Out::new();
        out.list(&product);
        assert_eq!(out.find(&[report]), ["f1-quicklook"]);
    }

    #[test]
    fn the_evidence_says_which_frame_is_meant_whatever_names_and_times_say() {
        let [(mut first, one), (second, two)] = tiles();
        let mut out = Out::new();
        out.list(&two);
        // Looked at again later: the time is another.
        first.alert.time_unix_ms = two.created_unix_ms - 60_000;
        let both = [first.clone(), second.clone()];
        assert_eq!(out.find(&both), ["", "q2"]);
        out.list(&Product {
            name: "a product that is none of a frame".to_owned(),
            frame: None,
            ..one.clone()
        });
        out.list(&evidence(&one, first.alert.evidence.unwrap()));
        assert_eq!(out.find(&both), ["", "q2"], "its own is known, and not down");
        out.list(&one);
        assert_eq!(out.find(&both), ["q1", "q2"]);
        // Two frames of one name and time: only the evidence tells.
        first.alert.time_unix_ms = second.alert.time_unix_ms;
        let third = AlertReport { spacecraft: 1, ..second };
        out.list(&Product { created_unix_ms: two.created_unix_ms, ..one });
        assert_eq!(out.find(&[first, third.clone()]), ["q1", ""]);
        out.list(&evidence(&two, third.alert.evidence.unwrap()));
        assert_eq!(out.find(&[third]), ["q2"]);
    }

    #[test]
    fn a_frame_that_was_looked_at_again_is_guessed_late_and_only_if_no_other_may_be_meant() {
        let [(mut first, one), (mut second, two)] = tiles();
        let mut out = Out::new();
        // The evidence that the alert names never came to be.
        first.alert.time_unix_ms -= 1_000_000;
        out.list(&one);
        let alone = std::slice::from_ref(&first);
        assert_eq!(out.find(alone), [""]);
        out.now_ms += 7 * 86_400_000 + 5_000;
        assert_eq!(out.find(alone), ["q1"]);
        // A list that was written anew is read again, and what is known of it kept.
        let journal = Journal::new(out.dir.path());
        journal.replace(&[one.clone(), two.clone()]).unwrap();
        out.list(&two);
        second.alert.time_unix_ms = first.alert.time_unix_ms;
        assert_eq!(out.find(&[second.clone()]), ["q2"], "the other one is taken");
        let mut anew = Out { pictures: Pictures::new(out.dir.path(), WEEK), ..out };
        assert_eq!(anew.find(&[first.clone(), second]), ["", ""], "each may be meant");
        first.alert.time_unix_ms = one.created_unix_ms - AGAIN_WITHIN_MS - 1;
        assert_eq!(anew.find(&[first]), [""]);
    }
}
