//! What an attacker, a noisy line, a crash or a careless holder can do to the receiving end: nothing that lasts.

use proptest::prelude::*;

use super::frame::repair;
use super::*;

mod crashes;
mod floods;

const HERE: Channel = Channel { spacecraft: 0x0502, vcid: 0 };
const CHALLENGE: [u8; 8] = [9; 8];

fn key_of(spacecraft: u16, spi: u16) -> RoleKey {
    let role = if spi >= 8 { Role::Recovery } else { Role::Operator };
    RoleKey::new(spacecraft, spi, role, [u8::try_from(spi).unwrap(); 32]).unwrap()
}

fn key(spi: u16) -> RoleKey {
    key_of(HERE.spacecraft, spi)
}

/// A board with keys 1, 2, 3 (operators) and 8, 9 (recovery), and no marks.
fn blank(limits: Limits) -> Associations {
    let mut keys = RoleKeys::default();
    for spi in [1, 2, 3, 8, 9] {
        keys.insert(key(spi)).unwrap();
    }
    Associations::new(HERE, &keys, limits)
}

fn board_within(limits: Limits) -> Associations {
    let mut board = blank(limits);
    for spi in [1, 2, 3, 8, 9] {
        assert!(board.restore(&Mark::fresh(spi)));
    }
    board
}

fn board() -> Associations {
    board_within(Limits::UNLIMITED)
}

/// A sender whose next counter is `next`.
fn sender_at(spi: u16, next: u64) -> Sender {
    let mut sender = Sender::new(&key(spi), 0, [7; 4], next - 1).unwrap();
    sender.persisted(u64::MAX);
    sender
}

/// A frame under a counter.
fn frame(spi: u16, counter: u64) -> Vec<u8> {
    sender_at(spi, counter).seal(format!("order {counter}").as_bytes()).unwrap()
}

/// What of a board has to stay as it is when a frame is refused.
fn state(board: &Associations) -> (Vec<Mark>, Option<[u8; 8]>) {
    (board.marks(), board.challenge())
}

fn refused(board: &mut Associations, bytes: &[u8]) -> Reject {
    let before = (state(board), board.counts().all_rejected());
    let reject = board.open(0, bytes).unwrap_err();
    assert_eq!((state(board), board.counts().all_rejected()), (before.0, before.1 + 1), "{reject}");
    reject
}

#[test]
fn a_frame_is_opened_once() {
    let mut board = board();
    let opened = board.open(0, &frame(1, 5)).unwrap();
    assert_eq!((opened.spi, opened.role, opened.counter), (1, Role::Operator, 5));
    assert_eq!(opened.content, Content::Data(b"order 5".to_vec()));
    assert_eq!(
        opened.must_persist,
        Some(Mark { spi: 1, highest: 5, seen: u64::MAX << 5 | 1, retired: false })
    );
    assert_eq!(refused(&mut board, &frame(1, 5)), Reject::Replayed { spi: 1, counter: 5 });
    let [one, two, ..] = board.status().collect::<Vec<_>>()[..] else { panic!("five keys") };
    assert_eq!((one.counts.accepted, one.counts.rejected(Reason::Replayed), one.highest), (1, 1, Some(5)));
    assert_eq!((two.counts, two.highest), (Counts::default(), Some(0)));
}

#[test]
fn a_flip_of_any_bit_is_refused_and_moves_nothing() {
    let mut board = board();
    board.open(0, &frame(1, 5)).unwrap();
    board.set_challenge(CHALLENGE, 0);
    let sealed = sender_at(1, 9).resynchronise(CHALLENGE, [3; 8]).unwrap();
    for good in [frame(1, 6), sealed] {
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            refused(&mut board, &bad);
            repair(&mut bad);
            // N(S) says nothing, and the FECF was made anew: it is the frame as it was, and would be accepted.
            let same = bit / 8 == 4 || bit / 8 >= good.len() - 2;
            if !same {
                refused(&mut board, &bad);
            }
        }
        assert!(board.open(0, &good).is_ok());
    }
}

#[test]
fn a_frame_cut_or_grown_to_any_length_is_refused() {
    let mut board = board();
    let good = frame(1, 6);
    for length in 0..good.len() {
        refused(&mut board, &good[..length]);
        let mut bad = good[..length].to_vec();
        repair(&mut bad);
        refused(&mut board, &bad);
        // The length field as it has to be now.
        if let (Ok(length), true) = (u8::try_from(length), length > 37) {
            bad[3] = length - 1;
            repair(&mut bad);
            assert_eq!(refused(&mut board, &bad), Reject::Tag { spi: 1 });
        }
    }
    refused(&mut board, &[&good[..], &[0]].concat());
    assert_eq!(refused(&mut board, &[0x20; 1025]).reason(), Reason::TooLong);
    assert!(board.open(0, &good).is_ok());
}

#[test]
fn what_is_meant_for_others_is_refused_by_name() {
    let mut board = board();
    let sealed_for = |spacecraft, vcid| {
        let mut sender = Sender::new(&key_of(spacecraft, 1), vcid, [7; 4], 5).unwrap();
        sender.persisted(99);
        sender.seal(b"order").unwrap()
    };
    assert_eq!(refused(&mut board, &sealed_for(0x0503, 0)).reason(), Reason::Spacecraft);
    assert_eq!(refused(&mut board, &sealed_for(0x0502, 1)).reason(), Reason::Channel);
    let same_ten_bits = sealed_for(0x0102, 0);
    assert_eq!(refused(&mut board, &same_ten_bits), Reject::Tag { spi: 1 });
    let mut unknown = frame(1, 6);
    unknown[6] = 7;
    repair(&mut unknown);
    assert_eq!(refused(&mut board, &unknown), Reject::UnknownSpi { spi: 7 });
    // Another holder's frame, turned to this one, though the two have never used this counter.
    let mut crossed = frame(2, 6);
    crossed[6] = 1;
    repair(&mut crossed);
    assert_eq!(refused(&mut board, &crossed), Reject::Tag { spi: 1 });
    assert!(board.open(0, &frame(2, 6)).is_ok());
}

#[test]
fn frames_may_overtake_each_other_by_63_and_jump_ahead_by_any_number() {
    let mut board = board();
    for counter in [100, 37, 99, 38, 64, 1 << 40, (1 << 40) - 63] {
        assert!(board.open(0, &frame(1, counter)).is_ok(), "{counter}");
    }
    assert_eq!(refused(&mut board, &frame(1, (1 << 40) - 64)).reason(), Reason::TooOld);
    assert_eq!(refused(&mut board, &frame(1, 98)).reason(), Reason::TooOld);
    // The last counter a sender uses, then nothing more: no overflow, and the other keys don't notice.
    board.set_reserve(1, 1000);
    let last = board.open(0, &frame(1, u64::MAX - 1)).unwrap();
    assert_eq!(last.must_persist.map(|mark| mark.highest), Some(u64::MAX));
    assert_eq!(refused(&mut board, &frame(1, u64::MAX - 1)).reason(), Reason::Replayed);
    assert!(board.open(0, &frame(1, u64::MAX - 2)).is_ok());
    assert!(board.open(0, &frame(2, 1)).is_ok());
}

#[test]
fn a_retired_key_stays_retired() {
    let mut board = board();
    assert_eq!(board.retire(1, 1), Err(RetireError::By { by: 1 }));
    assert_eq!(board.retire(0xFFFF, 1), Err(RetireError::By { by: 0xFFFF }));
    assert_eq!(board.retire(2, 7), Err(RetireError::Unknown { spi: 7 }));
    let mark = board.retire(2, 1).unwrap();
    assert!(mark.retired && board.settle().contains(&mark));
    assert_eq!(board.retire(2, 1), Err(RetireError::Already { spi: 1 }));
    assert_eq!(board.retire(1, 2), Err(RetireError::By { by: 1 }), "a retired key retires none");
    assert_eq!(refused(&mut board, &frame(1, 6)), Reject::Retired { spi: 1 });
    board.set_challenge(CHALLENGE, 0);
    let resync = sender_at(1, 9).resynchronise(CHALLENGE, [3; 8]).unwrap();
    assert_eq!(refused(&mut board, &resync), Reject::Retired { spi: 1 });
    // One recovery key may go, the last may not.
    assert!(board.retire(2, 8).is_ok());
    assert_eq!(board.retire(2, 9), Err(RetireError::LastRecovery { spi: 9 }));
    // Over a reboot, whatever the other copy of the store says.
    let mut again = super::tests::blank(Limits::UNLIMITED);
    assert!(again.restore(&mark) && again.restore(&Mark::fresh(1)));
    assert_eq!(refused(&mut again, &frame(1, 6)), Reject::Retired { spi: 1 });
}

#[test]
fn a_key_without_marks_accepts_a_resynchronisation_and_nothing_else() {
    let mut board = blank(Limits::UNLIMITED);
    let sender = sender_at(1, 51);
    let resync = |challenge, fresh| sender.resynchronise(challenge, fresh).unwrap();
    assert_eq!(refused(&mut board, &frame(1, 51)), Reject::Unsynchronised { spi: 1 });
    assert_eq!(refused(&mut board, &resync(CHALLENGE, [1; 8])), Reject::Challenge { spi: 1 });
    assert!(board.needs_challenge(0));
    board.set_challenge(CHALLENGE, 1000);
    assert!(!board.needs_challenge(u64::MAX), "it isn't used yet");
    assert_eq!(refused(&mut board, &resync([8; 8], [2; 8])), Reject::Challenge { spi: 1 });
    let done = resync(CHALLENGE, [3; 8]);
    let opened = board.open(0, &done).unwrap();
    assert_eq!((opened.counter, opened.content), (50, Content::Resynchronised));
    assert_eq!(opened.must_persist, Some(Mark { spi: 1, highest: 50, seen: u64::MAX, retired: false }));
    // Neither again, nor a second one of the same challenge; nor is anything older let in.
    assert_eq!(refused(&mut board, &done), Reject::Challenge { spi: 1 });
    assert_eq!(refused(&mut board, &resync(CHALLENGE, [4; 8])), Reject::Challenge { spi: 1 });
    assert_eq!(refused(&mut board, &frame(1, 50)).reason(), Reason::Replayed);
    assert!(board.open(0, &frame(1, 51)).is_ok());
    // Others can still use the challenge, and after a while a new one is asked for.
    assert!(!board.needs_challenge(1000 + CHALLENGE_LIFE_MS - 1));
    assert!(board.open(0, &sender_at(2, 9).resynchronise(CHALLENGE, [3; 8]).unwrap()).is_ok());
    assert!(board.needs_challenge(1000 + CHALLENGE_LIFE_MS));
}

#[test]
fn a_resynchronisation_goes_ahead_and_never_back() {
    let mut board = board();
    board.open(0, &frame(1, 1000)).unwrap();
    board.set_challenge(CHALLENGE, 0);
    let back = sender_at(1, 900).resynchronise(CHALLENGE, [1; 8]).unwrap();
    assert_eq!(refused(&mut board, &back), Reject::Backward { spi: 1, highest: 1000 });
    let ahead = sender_at(1, 5001).resynchronise(CHALLENGE, [2; 8]).unwrap();
    assert_eq!(board.open(0, &ahead).unwrap().counter, 5000);
    assert_eq!(refused(&mut board, &frame(1, 999)).reason(), Reason::TooOld);
    assert_eq!(refused(&mut board, &frame(1, 5000)).reason(), Reason::Replayed);
    board.set_challenge([5; 8], 1);
    assert_eq!(refused(&mut board, &ahead), Reject::Challenge { spi: 1 });
    let iv = Iv { salt: RESYNC_SALT, counter: 77 };
    let cipher = key(1).frame_key().cipher();
    for body in [&b"order"[..], &[5; 17], &[5; 15]] {
        let odd = frame::seal(&cipher, HERE, 1, iv, body).unwrap();
        assert_eq!(refused(&mut board, &odd), Reject::ResyncShape { spi: 1 });
    }
}

proptest! {
    #[test]
    fn any_bytes_are_refused_and_move_nothing(bytes in prop::collection::vec(any::<u8>(), 0..1100)) {
        let mut board = board();
        refused(&mut board, &bytes);
    }
}
