use super::*;
use crate::adapters::disk::{read_file, write_file};
use redb::StorageBackend;

fn disk_with(path: &str, bytes: &[u8]) -> SimDisk {
    let disk = SimDisk::default();
    disk.make_folder(Path::new("/d")).unwrap();
    disk.sync_folder(Path::new("/")).unwrap();
    write_file(&disk, Path::new(path), bytes).unwrap();
    disk
}

/// What a hundred cuts leave of a file, each outcome once.
fn outcomes(disk: &SimDisk, path: &str) -> std::collections::BTreeSet<Option<Vec<u8>>> {
    (0..200).map(|seed| disk.after_cut(seed).files().remove(Path::new(path))).collect()
}

#[test]
fn what_is_synced_survives_and_what_is_not_may_be_lost_or_torn() {
    let disk = disk_with("/d/f", b"safe");
    assert_eq!(outcomes(&disk, "/d/f"), [Some(b"safe".to_vec())].into());
    let mut file = disk.create(Path::new("/d/g")).unwrap();
    file.append(&[1; 1024]).unwrap();
    let left = outcomes(&disk, "/d/g");
    let torn = [vec![0; 512], vec![1; 512]].concat();
    for one in [None, Some(vec![]), Some(vec![1; 512]), Some(torn), Some(vec![1; 1024])] {
        assert!(left.contains(&one), "{:?}", one.map(|bytes| bytes.len()));
    }
    file.sync().unwrap();
    assert_eq!(outcomes(&disk, "/d/g"), [None, Some(vec![1; 1024])].into(), "its name isn't safe yet");
    disk.sync_folder(Path::new("/d")).unwrap();
    assert_eq!(outcomes(&disk, "/d/g"), [Some(vec![1; 1024])].into());
    disk.remove(Path::new("/d/g")).unwrap();
    assert_eq!(outcomes(&disk, "/d/g"), [None, Some(vec![1; 1024])].into());
}

#[test]
fn a_rename_is_there_or_not() {
    let disk = disk_with("/d/f", b"old");
    let mut file = disk.create(Path::new("/d/n")).unwrap();
    file.append(b"new").unwrap();
    file.sync().unwrap();
    disk.rename(Path::new("/d/n"), Path::new("/d/f")).unwrap();
    assert_eq!(outcomes(&disk, "/d/f"), [Some(b"old".to_vec()), Some(b"new".to_vec())].into());
    disk.sync_folder(Path::new("/d")).unwrap();
    assert_eq!(outcomes(&disk, "/d/f"), [Some(b"new".to_vec())].into());
}

#[test]
fn a_file_written_aside_is_old_or_new_at_every_cut() {
    let disk = disk_with("/d/f", b"old");
    let seen = Arc::new(Mutex::new(0));
    let count = Arc::clone(&seen);
    disk.watch(move |disk| {
        let left = outcomes(disk, "/d/f");
        let whole = [Some(b"old".to_vec()), Some(b"new".to_vec())];
        assert!(left.iter().all(|left| whole.contains(left)), "{left:?}");
        *count.lock().unwrap() += 1;
    });
    write_file(&disk, Path::new("/d/f"), b"new").unwrap();
    disk.unwatch();
    assert_eq!(*seen.lock().unwrap(), 5, "made, written, synced, renamed, folder synced");
    assert_eq!(outcomes(&disk, "/d/f"), [Some(b"new".to_vec())].into());
}

#[test]
fn a_full_read_only_or_unsyncable_disk_says_so() {
    let disk = disk_with("/d/f", b"1234");
    let at = Path::new("/d/g");
    disk.set_faults(Faults { capacity_bytes: Some(6), ..Faults::default() });
    assert_eq!(disk.free_bytes(at), Some(2));
    let mut file = disk.create(at).unwrap();
    assert_eq!(file.append(b"123").unwrap_err().kind(), ErrorKind::StorageFull);
    file.append(b"12").unwrap();
    disk.set_faults(Faults { read_only: true, ..Faults::default() });
    assert_eq!(file.append(b"3").unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
    assert_eq!(disk.remove(at).unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
    assert_eq!(read_file(&disk, at, 9).unwrap(), b"12");
    disk.set_faults(Faults { sync_fails: true, sync_ms: 30, ..Faults::default() });
    assert_eq!(file.sync().unwrap_err().raw_os_error(), Some(EIO));
    disk.set_faults(Faults::default());
    file.sync().unwrap();
    disk.sync_folder(Path::new("/d")).unwrap();
    assert_eq!(disk.waited_ms(), 30);
    assert_eq!(outcomes(&disk, "/d/g"), [Some(vec![])].into(), "the failed sync threw the bytes away");
}

#[test]
fn lengths_zeros_and_damage() {
    let disk = disk_with("/d/f", &[7; 5000]);
    let database = disk.database(Path::new("/d/f"), false).unwrap();
    database.set_len(4500).unwrap();
    database.set_len(9000).unwrap();
    database.write(8999, &[9]).unwrap();
    let bytes = disk.files().remove(Path::new("/d/f")).unwrap();
    assert!(bytes[..4500] == [7; 4500] && bytes[4500..8999] == [0; 4499] && bytes[8999] == 9);
    assert_eq!(database.len().unwrap(), 9000);
    assert!(database.read(8999, &mut [0; 2]).is_err());
    disk.damage(Path::new("/d/f"), 0, 1).unwrap();
    assert_eq!(disk.files()[Path::new("/d/f")][0], 5);
    assert!(disk.damage(Path::new("/d/f"), 9000, 1).is_err());
}
