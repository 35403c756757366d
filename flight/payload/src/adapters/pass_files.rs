//! The files of the pass plan: read when they change, each by itself, so that one that can't be used takes nothing
//! of the others away. What was read last and could be used stays.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::os::{FileState, read_text};
use crate::config::Passes;
use crate::passes::{
    Elements, MAX_ELEMENTS_BYTES, MAX_STATIONS_BYTES, MAX_WINDOWS_BYTES, PassPlan, PlanError, Station,
    Window, parse_stations, parse_windows,
};

const MS_PER_DAY: u64 = 86_400_000;

/// The files of `[passes]`, and what was read of them.
#[derive(Debug)]
pub struct PassFiles {
    windows: Watched<Vec<Window>>,
    elements: Watched<Option<Elements>>,
    stations: Watched<Vec<Station>>,
    max_age_ms: u64,
}

/// What became of files that changed.
#[derive(Debug, Default)]
pub struct Taken {
    /// Whether one was taken.
    pub changed: bool,
    /// Those that can't be used, and why.
    pub faults: Vec<String>,
    /// Those of them that aren't there.
    pub missing: Vec<String>,
}

impl PassFiles {
    /// The files that are configured, none of them read yet.
    pub fn new(config: &Passes) -> Self {
        Self {
            windows: Watched::new(config.windows.as_deref()),
            elements: Watched::new(config.elements.as_deref()),
            stations: Watched::new(config.stations.as_deref()),
            max_age_ms: u64::from(config.max_age_days).saturating_mul(MS_PER_DAY),
        }
    }

    /// Whether there are any.
    pub fn are_configured(&self) -> bool {
        self.windows.path.is_some() || self.elements.path.is_some() || self.stations.path.is_some()
    }

    /// Reads the files that are new or have changed since they were looked at last.
    pub fn take(&mut self) -> Taken {
        let mut taken = Taken::default();
        self.windows.take(MAX_WINDOWS_BYTES, parse_windows, &mut taken);
        self.elements.take(MAX_ELEMENTS_BYTES, |text| Elements::parse(text).map(Some), &mut taken);
        self.stations.take(MAX_STATIONS_BYTES, parse_stations, &mut taken);
        taken
    }

    /// The plan of what was read.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn plan(&self) -> Result<PassPlan, String> {
        let elements = self.elements.content.as_ref();
        PassPlan::new(self.windows.content.clone(), elements, &self.stations.content, self.max_age_ms)
            .map_err(|e| e.to_string())
    }
}

/// Reads every file that is configured; those that aren't there, which may come later.
///
/// # Errors
/// The first that is there and can't be used, and why.
pub fn check_passes(config: &Passes) -> Result<Vec<String>, String> {
    let mut files = PassFiles::new(config);
    let Taken { faults, missing, .. } = files.take();
    let fault = faults.into_iter().find(|fault| !missing.contains(fault));
    fault.map_or_else(|| files.plan().map(|_| missing), Err)
}

/// A file, its state when it was looked at last, and what was read of it last.
#[derive(Debug)]
struct Watched<T> {
    path: Option<PathBuf>,
    seen: Option<FileState>,
    content: T,
}

impl<T: Default> Watched<T> {
    fn new(path: Option<&Path>) -> Self {
        Self { path: path.map(Path::to_owned), seen: None, content: T::default() }
    }

    fn take(&mut self, max_bytes: u64, parse: impl FnOnce(&str) -> Result<T, PlanError>, taken: &mut Taken) {
        let Some(path) = &self.path else { return };
        // The state is that before reading: what changes meanwhile is read again.
        let state = FileState::of(path);
        if self.seen.as_ref() == Some(&state) {
            return;
        }
        self.seen = Some(state);
        let read = read_text(path, max_bytes);
        let missing = read.as_ref().is_err_and(|e| e.kind() == ErrorKind::NotFound);
        match read.map_err(|e| e.to_string()).and_then(|text| parse(&text).map_err(|e| e.to_string())) {
            Ok(content) => {
                self.content = content;
                taken.changed = true;
            }
            Err(fault) => {
                let fault = format!("{}: {fault}", path.display());
                taken.missing.extend(missing.then(|| fault.clone()));
                taken.faults.push(fault);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const WINDOW: &str = "[[window]]\nstation = 'a'\naos = 1000\nlos = 2000\n";

    #[test]
    fn a_file_is_taken_when_it_changes_and_a_bad_one_leaves_the_old_plan() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("windows.toml");
        let config = Passes { windows: Some(path.clone()), ..Passes::default() };
        let missing = check_passes(&config).unwrap();
        assert!(missing[0].contains("windows.toml: No such file") && missing.len() == 1, "{missing:?}");
        let mut files = PassFiles::new(&config);
        let missing = files.take();
        assert!(!missing.changed && missing.faults[0].contains("windows.toml"), "{missing:?}");
        assert!(files.take().faults.is_empty(), "told once");
        fs::write(&path, WINDOW).unwrap();
        assert!(files.take().changed && files.plan().unwrap().next(0, 9).len() == 1);
        assert!(!files.take().changed);
        fs::write(&path, WINDOW.replace("2000", "20")).unwrap();
        let bad = files.take();
        assert!(
            !bad.changed
                && bad.faults[0]
                    .ends_with("windows.toml: line 4: los: must be after aos, by at most 86400 s")
        );
        assert_eq!(files.plan().unwrap().next(0, 9).len(), 1);
        fs::write(&path, WINDOW.repeat(3)).unwrap();
        assert!(files.take().changed && files.plan().unwrap().next(0, 9).len() == 3);
        assert_eq!(check_passes(&config), Ok(vec![]));
        fs::write(&path, "#".repeat(512 * 1024 + 1)).unwrap();
        assert!(files.take().faults[0].contains("more than 524288 bytes"));
        assert!(check_passes(&config).unwrap_err().contains("more than 524288 bytes"));
    }

    #[test]
    fn without_files_the_plan_is_empty() {
        let mut files = PassFiles::new(&Passes::default());
        assert!(!files.take().changed && files.plan().unwrap().next(0, 9).is_empty());
    }
}
