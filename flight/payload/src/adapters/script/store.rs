//! The scripts that are kept, and the records of runs, both durable when a call returns.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::adapters::disk::{Disk, read_file, write_file};
use crate::camera::Kind;
use crate::ordered;
use crate::script::{
    MAX_RECORD_BYTES, MAX_RUNS, MAX_SCRIPT_BYTES, MAX_SCRIPTS, Name, RunId, RunRecord, ScriptError,
};

/// Most entries of the folder that are looked at.
const MAX_ENTRIES: usize = 4_096;

/// The folder of scripts.
#[derive(Debug, Clone)]
pub struct ScriptStore {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
}

impl ScriptStore {
    /// Opens the folder in a state folder, making it.
    pub fn open(disk: Arc<dyn Disk>, state: &Path) -> Result<Self, ScriptError> {
        // A script begins in a folder of its own: what it is called by must hold there, too.
        let folder = std::path::absolute(state).unwrap_or_else(|_| state.to_owned()).join("scripts");
        let made = disk.make_folder(&folder).and_then(|()| disk.sync_folder(state));
        made.map_err(|e| failed("making", &folder, &e))?;
        Ok(Self { disk, folder })
    }

    /// Keeps a script; one of the same name is replaced.
    pub fn put(&self, name: &Name, bytes: &[u8]) -> Result<(), ScriptError> {
        if bytes.is_empty() || bytes.len() > MAX_SCRIPT_BYTES {
            return Err(ScriptError::Length { bytes: bytes.len() });
        }
        let kept = self.list()?;
        if kept.len() >= MAX_SCRIPTS && !kept.iter().any(|(other, _)| other == name) {
            return Err(ScriptError::TooMany);
        }
        let path = self.path(name);
        write_file(self.disk.as_ref(), &path, bytes).map_err(|e| failed("writing", &path, &e))
    }

    /// Removes a script; a run of it that is on goes on.
    pub fn remove(&self, name: &Name) -> Result<(), ScriptError> {
        let path = self.path(name);
        match self.disk.remove(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => Err(ScriptError::Unknown { name: name.clone() }),
            removed => removed
                .and_then(|()| self.disk.sync_folder(&self.folder))
                .map_err(|e| failed("removing", &path, &e)),
        }
    }

    /// The scripts that are kept, and their sizes in bytes, by name.
    pub fn list(&self) -> Result<Vec<(Name, u64)>, ScriptError> {
        let script = |(name, bytes): (String, u64)| {
            let name = name.strip_suffix(".sh")?.parse().ok()?;
            Some((name, bytes))
        };
        let mut out: Vec<_> = self.files()?.into_iter().filter_map(script).collect();
        ordered::sort_by(&mut out, Ord::cmp);
        Ok(out)
    }

    /// Where a script is, if it is there.
    pub fn script(&self, name: &Name) -> Result<PathBuf, ScriptError> {
        let path = self.path(name);
        match self.disk.about(&path) {
            Ok(about) if about.kind == Kind::File => Ok(path),
            Err(e) if e.kind() != ErrorKind::NotFound => Err(failed("looking for", &path, &e)),
            _ => Err(ScriptError::Unknown { name: name.clone() }),
        }
    }

    /// The record of a run, if there is one.
    pub fn run(&self, id: RunId) -> Result<Option<RunRecord>, ScriptError> {
        let path = self.record(id);
        match read_file(self.disk.as_ref(), &path, MAX_RECORD_BYTES) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(failed("reading", &path, &e)),
            Ok(bytes) => RunRecord::decode(&bytes).map(Some).map_err(|why| ScriptError::Failed { why }),
        }
    }

    /// All runs that are remembered, the oldest first; those whose record can't be read are left out.
    pub fn runs(&self) -> Result<Vec<RunRecord>, ScriptError> {
        let id = |(name, _): (String, u64)| {
            let (source, number) = name.strip_prefix("run-")?.split_once('-')?;
            Some(RunId { source: source.parse().ok()?, number: number.parse().ok()? })
        };
        let ids = self.files()?.into_iter().filter_map(id);
        let mut out: Vec<_> = ids.filter_map(|id| self.run(id).ok().flatten()).collect();
        ordered::sort_by_key(&mut out, |record| (record.started_unix_ms, record.id));
        Ok(out)
    }

    /// Keeps the record of a run.
    pub(super) fn keep(&self, record: &RunRecord) -> Result<(), ScriptError> {
        let path = self.record(record.id);
        let bytes = record.encode().map_err(|e| ScriptError::Failed { why: e.to_string() })?;
        write_file(self.disk.as_ref(), &path, &bytes).map_err(|e| failed("writing", &path, &e))
    }

    /// Forgets the oldest runs that have ended, but for so many.
    pub(super) fn forget_old(&self) -> Result<(), ScriptError> {
        let runs = self.runs()?;
        let ended = runs.iter().filter(|record| record.end.is_some());
        for record in ended.take(runs.len().saturating_sub(MAX_RUNS)) {
            let path = self.record(record.id);
            self.disk.remove(&path).map_err(|e| failed("removing", &path, &e))?;
        }
        Ok(())
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, name: &Name) -> PathBuf {
        self.folder.join(format!("{name}.sh"))
    }

    fn record(&self, id: RunId) -> PathBuf {
        self.folder.join(format!("run-{id}"))
    }

    /// Regular files of the folder, with their sizes.
    fn files(&self) -> Result<Vec<(String, u64)>, ScriptError> {
        let entries = self.disk.list(&self.folder, MAX_ENTRIES);
        let entries = entries.map_err(|e| failed("listing", &self.folder, &e))?;
        let file = |entry: crate::camera::Entry| Some((entry.name.into_string().ok()?, entry.bytes));
        Ok(entries.into_iter().filter(|entry| entry.kind == Kind::File).filter_map(file).collect())
    }
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> ScriptError {
    ScriptError::Failed { why: format!("{what} {}: {error}", path.display()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::disk::LinuxDisk;
    use crate::faults::SimDisk;

    #[test]
    fn scripts_are_kept_replaced_listed_and_removed_within_bounds() {
        let dir = tempfile::tempdir().unwrap();
        let store = ScriptStore::open(Arc::new(LinuxDisk), dir.path()).unwrap();
        let name = |n: usize| format!("s{n}").parse::<Name>().unwrap();
        assert_eq!(store.put(&name(0), b""), Err(ScriptError::Length { bytes: 0 }));
        let long = vec![b'#'; MAX_SCRIPT_BYTES + 1];
        assert_eq!(store.put(&name(0), &long), Err(ScriptError::Length { bytes: MAX_SCRIPT_BYTES + 1 }));
        for n in 0..MAX_SCRIPTS {
            store.put(&name(n), b"true").unwrap();
        }
        assert_eq!(store.put(&name(99), b"true"), Err(ScriptError::TooMany));
        store.put(&name(3), b"echo 3").unwrap();
        std::fs::write(store.folder().join("Odd Name.sh"), "x").unwrap();
        let listed = store.list().unwrap();
        assert_eq!((listed.len(), listed.iter().find(|(n, _)| *n == name(3)).unwrap().1), (16, 6));
        store.remove(&name(3)).unwrap();
        assert_eq!(store.remove(&name(3)), Err(ScriptError::Unknown { name: name(3) }));
        assert!(store.script(&name(3)).is_err() && store.script(&name(4)).is_ok());
    }

    #[test]
    fn a_script_that_was_put_is_there_after_any_cut() {
        let disk = SimDisk::default();
        disk.make_folder(Path::new("/state")).unwrap();
        disk.sync_folder(Path::new("/")).unwrap();
        let store = ScriptStore::open(Arc::new(disk.clone()), Path::new("/state")).unwrap();
        let name: Name = "a".parse().unwrap();
        store.put(&name, b"true").unwrap();
        for seed in 0..50 {
            let after = ScriptStore::open(Arc::new(disk.after_cut(seed)), Path::new("/state")).unwrap();
            assert_eq!(after.list().unwrap(), [(name.clone(), 4)]);
        }
    }
}
