use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use passband_proto::keys::EpochKey;

use super::*;
use crate::adapters::disk::{Disk, SickDisk};
use crate::daemon::cuts::{Promises, Radio, World, formatted};
use crate::daemon::recover::recover;
use crate::faults::SimDisk;
use crate::store::tests::memory;

const BEGIN: Begin = Begin { esi: 1 << 20, session: 1 << 16 };

/// A disk with some frames' bundles; their ids.
fn stored() -> (SimDisk, BTreeSet<BundleId>) {
    let disk = formatted();
    let world = World::open(&disk).unwrap();
    let promises = Mutex::new(Promises::default());
    for name in ["routine one", "alert two"] {
        world.put(name, 30, &promises);
        world.take_for(name, &mut Radio(&promises)).unwrap();
    }
    let ids = ids(&world.catalogue);
    assert!(ids.len() > 6);
    (disk, ids)
}

fn ids(catalogue: &Catalogue) -> BTreeSet<BundleId> {
    catalogue.bundles().unwrap().into_iter().map(|record| record.id).collect()
}

fn keys(key: &EpochKey) -> KeyRing {
    let mut keys = KeyRing::default();
    keys.insert(key.clone());
    keys
}

fn path(id: &BundleId) -> PathBuf {
    PathBuf::from(format!("/state/bundles/{id}.pbb"))
}

#[test]
fn power_cuts_while_a_lost_catalogue_is_made_anew_lose_no_bundle() {
    let (disk, ids_before) = stored();
    disk.remove(Path::new("/state/catalogue.redb")).unwrap();
    disk.sync_folder(Path::new("/state")).unwrap();
    let cuts = Arc::new(Mutex::new(0_u64));
    let (count, expected) = (Arc::clone(&cuts), ids_before.clone());
    disk.watch(move |disk| {
        for _ in 0..8 {
            let mut seed = count.lock().unwrap();
            *seed += 1;
            let again = World::open(&disk.after_cut(*seed)).unwrap();
            assert_eq!(ids(&again.catalogue), expected);
            assert!(!again.catalogue.is_adopting().unwrap());
            assert!(again.names_in("/state/bundles/tmp").is_empty());
        }
    });
    let world = World::open(&disk).unwrap();
    disk.unwatch();
    assert_eq!(ids(&world.catalogue), ids_before);
    assert!(*cuts.lock().unwrap() > 100, "{cuts:?}");
}

#[test]
fn what_can_not_be_opened_now_is_kept_and_taken_in_another_time() {
    let (disk, all) = stored();
    let World { vault, spool, key, .. } = World::open(&disk).unwrap();
    let anew = memory();
    for no_good in [KeyRing::default(), keys(&EpochKey::new(1, 1, [9; 32]))] {
        let kept = adopt(&anew, &vault, &no_good, 5, BEGIN).unwrap();
        assert_eq!(kept.keys().copied().collect::<BTreeSet<_>>(), all);
        recover(&anew, &vault, &spool, 5, kept).unwrap();
        assert_eq!(anew.events(None, 1).unwrap()[0].code, "bundles-not-adopted");
        assert!(anew.is_adopting().unwrap() && ids(&anew).is_empty());
    }
    let kept = adopt(&anew, &vault, &keys(&key), 5, Begin { esi: 7, session: 3 }).unwrap();
    assert!(kept.is_empty() && !anew.is_adopting().unwrap());
    recover(&anew, &vault, &spool, 5, kept).unwrap();
    assert_eq!((ids(&anew), anew.session_base().unwrap()), (all, BEGIN.session));
}

#[test]
fn what_the_disk_does_not_give_now_is_kept_for_another_time() {
    let (disk, all) = stored();
    let World { spool, key, .. } = World::open(&disk).unwrap();
    let bad = all.iter().map(path).nth(2).unwrap();
    let shared: Arc<dyn Disk> = Arc::new(disk);
    for fails in ["open", "about"] {
        let bad = bad.clone();
        let sick = SickDisk::over(Arc::clone(&shared), move |operation, path| {
            (operation == fails && path == bad).then(|| rustix::io::Errno::IO.into())
        });
        let vault = Vault::open(sick, Path::new("/state")).unwrap();
        let anew = memory();
        let kept = adopt(&anew, &vault, &keys(&key), 5, BEGIN).unwrap();
        assert_eq!(anew.is_adopting().unwrap(), fails == "open");
        recover(&anew, &vault, &spool, 5, kept).unwrap();
        let well = Vault::open(Arc::clone(&shared), Path::new("/state")).unwrap();
        let kept = adopt(&anew, &well, &keys(&key), 5, BEGIN).unwrap();
        recover(&anew, &well, &spool, 5, kept).unwrap();
        assert_eq!(ids(&anew), all, "{fails}");
    }
}

#[test]
fn what_is_broken_among_what_opens_is_told_and_removed() {
    let (disk, all) = stored();
    let World { vault, spool, key, .. } = World::open(&disk).unwrap();
    let [header, head, cut] = [0, 1, 2].map(|nth| *all.iter().nth(nth).unwrap());
    disk.damage(&path(&header), 20, 3).unwrap();
    disk.damage(&path(&head), FILE_HEADER_BYTES as u64 + 9, 3).unwrap();
    let whole = disk.files()[&path(&cut)].clone();
    disk.remove(&path(&cut)).unwrap();
    crate::adapters::disk::write_file(&disk, &path(&cut), &whole[..whole.len() - 1]).unwrap();
    let anew = memory();
    let kept = adopt(&anew, &vault, &keys(&key), 5, BEGIN).unwrap();
    assert!(kept.is_empty() && !anew.is_adopting().unwrap());
    recover(&anew, &vault, &spool, 5, kept).unwrap();
    let lost = anew.events(None, 99).unwrap().into_iter().filter(|event| event.code == "bundle-lost");
    assert_eq!(lost.count(), 3);
    let left: BTreeSet<_> = all.into_iter().filter(|id| ![header, head, cut].contains(id)).collect();
    assert_eq!(ids(&anew), left);
    assert!([header, head, cut].iter().all(|id| !disk.files().contains_key(&path(id))));
}
