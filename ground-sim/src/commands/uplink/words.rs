//! What is said of an outbox: what was noticed, where orders and files stand, and under which key they went.

use passband_proto::dict::{Reason, UploadFate};

use crate::station::hex;
use crate::uplink::{About, Entry, Noticed, Upload, Worker};

/// What was noticed, in words.
pub fn told(noticed: &Noticed, worker: &Worker) -> String {
    match noticed {
        Noticed::Order(number) => {
            let entry = worker.outbox().order(*number);
            entry.map_or_else(
                || format!("#{number}"),
                |entry| {
                    format!("#{number} {}: {}", entry.words(), under(entry, &entry.state(), worker.key()))
                },
            )
        }
        Noticed::Upload(id) => {
            let upload = worker.outbox().uploads().iter().find(|upload| upload.about().id == *id);
            upload.map_or_else(
                || hex(id),
                |upload| {
                    let progress = upload.progress();
                    format!(
                        "{}: {}",
                        upload.about(),
                        upload_state(upload.about(), progress.there, progress.pieces)
                    )
                },
            )
        }
        Noticed::CountersLost => {
            "the board has lost the counters of this key: it is asked to go on from ours".into()
        }
        Noticed::CounterBehind { ours, board } => format!(
            "the board has taken counter {board} and ours was {ours}: it goes on from there; does another outbox use this key?"
        ),
        Noticed::NumbersBehind { board } => format!(
            "the board knows order {board} of this key, which isn't here: numbers go on from there; does another outbox use this key?"
        ),
        Noticed::NumberTaken(number) => format!(
            "the board has another order under number {number}: ours gets another one once it is refused; is this outbox an old copy?"
        ),
        Noticed::OtherKey { board } => {
            foreign(worker, &format!("the satellite holds another one under this SPI, {}", hex(board)))
        }
        Noticed::OtherSpacecraft { board } => {
            let other = board.map_or_else(|| "another one".to_owned(), |board| format!("spacecraft {board}"));
            let why =
                format!("it is of spacecraft {}, and telemetry of {other}", worker.outbox().spacecraft());
            foreign(worker, &why)
        }
        Noticed::Refuses(why) => format!(
            "{}; or somebody forges frames, if orders are answered all the same",
            foreign(worker, &format!("the satellite refuses what is sent, {why}"))
        ),
        Noticed::ArmedFor(ms) => format!("orders stay armed for {} s on board (command.arm)", ms / 1000),
        Noticed::Retired => "this key is retired: the board takes nothing under it any more".into(),
    }
}

/// A state of an order, and under which key it went, once it has left.
pub fn under(entry: &Entry, state: &str, key: &str) -> String {
    if entry.sent == 0 { state.to_owned() } else { format!("{state} [{key}]") }
}

/// What is said of a key that isn't the satellite's, and what to do.
fn foreign(worker: &Worker, why: &str) -> String {
    let (spi, fingerprint) = worker.outbox().key();
    format!(
        "no order is taken under SPI {spi} of {} (fingerprint {}): {why}. Give --command-keys the file whose key the satellite holds, or bring \
         this one to it",
        worker.keys().display(),
        hex(&fingerprint)
    )
}

/// Where a file stands, in words.
pub fn upload_state(about: &About, there: usize, pieces: usize) -> String {
    match &about.told {
        _ if about.whole => fate_text(about),
        _ if about.dropped => "dropped".to_owned(),
        Some(told) if about.is_refused() => told.to_string(),
        _ => format!("{there} of {pieces} pieces there"),
    }
}

/// What became of a file of which all came.
fn fate_text(about: &About) -> String {
    match about.fate() {
        Some((UploadFate::Refused, why)) => {
            format!("refused ({why}): all of it came, and none of it is kept")
        }
        Some((UploadFate::Waits, Reason::None)) => "all there; it waits for its update".to_owned(),
        Some((UploadFate::Waits, why)) => {
            format!("all there, and not in its place ({why}): it is kept, and the same `upload` tries again")
        }
        Some((UploadFate::Taken, _)) => "all there, in its place".to_owned(),
        Some((UploadFate::Coming, _)) | None => "all there".to_owned(),
    }
}

/// What is open in an outbox: orders and files.
pub(super) fn what_is_open<'a>(orders: impl Iterator<Item = &'a Entry>, uploads: &[Upload]) -> String {
    let count = |count: usize, of: &str| format!("{count} {of}{}", if count == 1 { "" } else { "s" });
    let orders = orders.filter(|entry| entry.is_open()).count();
    let files = uploads.iter().filter(|upload| upload.about().is_open()).count();
    format!("{} and {} open", count(orders, "order"), count(files, "file"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uplink::Folder;
    use passband_proto::dict::{Order, UploadKind};
    use passband_proto::packet::Mode;

    #[test]
    fn what_has_left_names_its_key() {
        let mut entry = Entry::new(1, Mode::Run, &Order::Ping {}, 0);
        assert_eq!(under(&entry, &entry.state(), "operator, SPI 2"), "waiting");
        entry.sent = 2;
        assert_eq!(under(&entry, &entry.state(), "operator, SPI 2"), "sent 2 times [operator, SPI 2]");
    }

    #[test]
    fn files_are_counted_among_what_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let key = passband_proto::sdls::RoleKey::new(1, 2, passband_proto::sdls::Role::Operator, [5; 32]);
        let folder = Folder::open(dir.path(), &key.unwrap()).unwrap();
        let about = folder.queue_upload(UploadKind::File, "a", &[1; 300], 200, 0).unwrap();
        let mut uploads = vec![folder.load_upload(about.clone()).unwrap()];
        assert_eq!(what_is_open([].iter(), &uploads), "0 orders and 1 file open");
        uploads.push(folder.load_upload(About { dropped: true, ..about }).unwrap());
        let orders =
            [Entry::new(1, Mode::Run, &Order::Ping {}, 0), Entry::new(2, Mode::Run, &Order::Ping {}, 0)];
        assert_eq!(what_is_open(orders.iter(), &uploads), "2 orders and 1 file open");
    }
}
