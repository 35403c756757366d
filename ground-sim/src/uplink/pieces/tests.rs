//! The sender against the very receiver that flies, over a link that loses.

use std::path::Path;
use std::sync::Arc;

use passband_flight::adapters::disk::Disk;
use passband_flight::adapters::uploads::UploadFolder;
use passband_flight::faults::SimDisk;
use passband_flight::uplink::uploads::{About, Pieces, UploadError, Uploads};
use passband_proto::dict::{FixedText, Reason, UploadFate};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

/// A satellite that takes uploads.
struct Board {
    disk: SimDisk,
    uploads: Uploads<UploadFolder>,
}

impl Board {
    fn new() -> Self {
        let disk = SimDisk::default();
        disk.make_folder(Path::new("/s")).unwrap();
        disk.sync_folder(Path::new("/")).unwrap();
        Self { uploads: open(&disk), disk }
    }

    fn lose_power(&mut self, seed: u64) {
        self.disk = self.disk.after_cut(seed);
        self.uploads = open(&self.disk);
    }

    fn take(&mut self, order: Order) {
        let taken = match order {
            Order::UploadBegin { id, kind, name, size, piece, sha256 } => {
                let about = About { id, kind, name: name.as_str().into(), size, piece, sha256, number: 0 };
                self.uploads.begin(about).map(drop)
            }
            Order::UploadPiece { id, index, bytes } => self.uploads.piece(id, index, &bytes).map(drop),
            order => panic!("{order}"),
        };
        assert!(matches!(taken, Ok(()) | Err(UploadError::NotBegun(_))), "{taken:?}");
    }

    fn is_whole(&self) -> bool {
        !self.uploads.complete().is_empty()
    }
}

fn open(disk: &SimDisk) -> Uploads<UploadFolder> {
    let folder = UploadFolder::open(Arc::new(disk.clone()), Path::new("/s/uploads")).unwrap();
    Uploads::open(folder, 1 << 30).unwrap().0
}

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| u8::try_from((i * 31 + i / 251) % 256).unwrap()).collect()
}

fn sender(pieces: usize) -> PieceSender {
    PieceSender::new(UploadKind::Image, "image", content(pieces * 32 - 3), 32).unwrap()
}

/// Sends until the board has all of it, with a power cut now and then: the orders that it took.
fn run(sender: &mut PieceSender, loss: f64, report_every: u64, seed: u64) -> u64 {
    let (mut board, mut rng) = (Board::new(), ChaCha8Rng::seed_from_u64(seed));
    let mut under_way = VecDeque::new();
    let mut clock = 0;
    while !board.is_whole() {
        clock += 1;
        assert!(clock < 200_000, "it never ends");
        under_way.push_back(sender.next_order().unwrap());
        // Orders are under way for as long as it takes to send two more.
        if under_way.len() > 2
            && let Some(order) = under_way.pop_front()
            && !rng.random_bool(loss)
        {
            board.take(order);
        }
        if clock % 997 == 0 {
            board.lose_power(clock);
        }
        if clock % report_every == 0 && !rng.random_bool(loss) {
            for report in board.uploads.reports() {
                assert!(sender.hear(&report, clock));
            }
        }
    }
    sender.hear(&board.uploads.reports()[0], clock);
    assert_eq!((sender.next_order(), sender.progress().whole), (None, true));
    clock
}

/// Goodput: how many orders a file of 2,000 pieces takes. No sender of pieces that loses so much does with fewer than
/// pieces / (1 − loss).
#[test]
fn with_reports_a_file_is_there_after_little_more_than_what_the_losses_cost() {
    for (loss, most) in [(0.0, 1.02), (0.05, 1.06), (0.3, 1.12), (0.6, 1.20)] {
        let orders = run(&mut sender(2_000), loss, 40, 7);
        let least = 2_000.0 / (1.0 - loss);
        let times = orders as f64 / least;
        println!("loss {loss}: {orders} orders, {times:.3} times the least");
        assert!(times < most, "{loss}: {times}");
    }
}

#[test]
fn without_any_report_it_is_there_all_the_same() {
    for seed in 0..3 {
        let orders = run(&mut sender(600), 0.3, u64::MAX, seed);
        // Six to eight rounds: 600 × 0.3^6 = 0.4.
        assert!((600 * 4..600 * 11).contains(&orders), "{orders}");
    }
}

#[test]
fn losses_with_a_period_starve_no_piece() {
    let (mut sender, mut board) = (sender(64), Board::new());
    let mut sent = 0;
    while !board.is_whole() {
        sent += 1;
        assert!(sent < 64 * 12);
        let order = sender.next_order().unwrap();
        if sent % 4 != 0 {
            board.take(order);
        }
    }
}

#[test]
fn what_is_known_to_be_there_never_goes_again_and_what_is_missing_goes_first() {
    let mut sender = sender(300);
    let mut pieces = Pieces::none(300);
    (0..300).filter(|index| index % 3 > 0).for_each(|index| pieces.add(index));
    let report = packet(&sender, &pieces);
    assert!(sender.hear(&report, 5));
    let missing: Vec<u32> = (0..100).map(|nth| nth * 3).collect();
    let sent: Vec<u32> = (0..100).map(|_| index_of(&sender.next_order().unwrap())).collect();
    assert_eq!(sent[..39], missing[..39], "known one by one");
    assert!(sent[39..].iter().all(|index| (117..298).contains(index)));
    assert_eq!(sender.progress().there, 300 - 39 - 181);
    // An older packet that comes late says nothing; a newer one ends it.
    let none = packet(&sender, &Pieces::none(300));
    assert!(sender.hear(&none, 4) && sender.progress().there == 80);
    (0..300).for_each(|index| pieces.add(index));
    let all = packet(&sender, &pieces);
    assert!(sender.hear(&all, 6) && sender.next_order().is_none());
    sender.hear_of_none();
    assert_eq!((sender.progress().there, sender.progress().whole), (0, false));
    assert!(matches!(sender.next_order(), Some(Order::UploadBegin { .. })), "it begins again");
    let mut other = packet(&sender, &pieces);
    other.id = [0; 4];
    assert!(!sender.hear(&other, 9));
}

#[test]
fn a_board_whose_clock_was_set_back_is_still_heard() {
    let mut sender = sender(10);
    let mut pieces = Pieces::none(10);
    assert!(sender.hear(&packet(&sender, &pieces), 9_000_000));
    (0..10).for_each(|index| pieces.add(index));
    let all = packet(&sender, &pieces);
    assert!(sender.hear(&all, 9_000_000 - SET_BACK_MS) && !sender.progress().whole, "it came late");
    assert!(sender.hear(&all, 1_000) && sender.progress().whole);
}

#[test]
fn the_beginning_goes_often_until_something_is_heard() {
    let mut sender = sender(500);
    let begins = |sender: &mut PieceSender, orders| {
        let order = |_| sender.next_order().unwrap();
        (0..orders).map(order).filter(|order| matches!(order, Order::UploadBegin { .. })).count()
    };
    assert_eq!((begins(&mut sender, 20), begins(&mut sender, 330)), (5, 10));
    let none = packet(&sender, &Pieces::none(500));
    sender.hear(&none, 1);
    assert_eq!(begins(&mut sender, 700), 0);
}

#[test]
fn what_can_t_be_sent_is_told() {
    let says = |bytes, piece, name: &str| {
        PieceSender::new(UploadKind::File, name, vec![0; bytes], piece).unwrap_err().to_string()
    };
    assert!(says(0, 32, "x").contains("1 to 67108864"));
    assert!(says(10, 8, "x").contains("16 to 768 bytes, not 8"));
    assert!(says(2_000_000, 16, "x").contains("they need 31 bytes each"));
    assert!(says(10, 32, &"x".repeat(33)).contains("more than 32 bytes"));
}

fn index_of(order: &Order) -> u32 {
    let Order::UploadPiece { index, .. } = order else { panic!("{order}") };
    *index
}

fn packet(sender: &PieceSender, pieces: &Pieces) -> Upload {
    Upload {
        id: sender.id(),
        kind: UploadKind::Image,
        name: FixedText::cut("image"),
        size: u32::try_from(sender.content.len()).unwrap(),
        piece: 32,
        pieces: u32::try_from(sender.known.len()).unwrap(),
        missing: pieces.missing(),
        fate: UploadFate::Coming,
        reason: Reason::None,
        gaps: pieces.gaps(),
    }
}
