//! Floods: from outsiders, who can't be told from each other, and from one holder.

use super::*;

/// Ten seconds at line rate, 256 kbit/s: 842 of the shortest frames a second, made by `flood`. Beside it holder 2 sends
/// 20 frames a second. Gives how many of the flood were accepted.
fn flooded(mut flood: impl FnMut(u64) -> Vec<u8>) -> (Associations, u64) {
    let mut board = board_within(Limits::default());
    let (mut sender, mut accepted) = (sender_at(2, 1), 0);
    for i in 0..8420_u64 {
        let now_ms = 5_000 + i * 1000 / 842;
        accepted += u64::from(board.open(now_ms, &flood(i)).is_ok());
        if i % 42 == 0 {
            let opened = board.open(now_ms, &sender.seal(b"order").unwrap());
            assert!(opened.is_ok(), "{opened:?} at {now_ms} ms");
        }
    }
    (board, accepted)
}

#[test]
fn floods_at_line_rate_lock_nobody_out() {
    let garbage = flooded(|i| i.to_be_bytes().repeat(5));
    assert_eq!((garbage.1, garbage.0.counts().rejected(Reason::Flooded)), (0, 0), "garbage takes no pass");
    let mut forged = frame(1, 9);
    let (board, accepted) = flooded(move |i| {
        forged[11..19].copy_from_slice(&(i + 10).to_be_bytes());
        repair(&mut forged);
        forged.clone()
    });
    assert_eq!(accepted, 0);
    assert_eq!(board.counts().rejected(Reason::Tag), 8420, "the line can't outrun the cipher");
    let replayed = frame(1, 9);
    let (board, accepted) = flooded(move |_| replayed.clone());
    assert_eq!((accepted, board.counts().rejected(Reason::Replayed)), (1, 8419));
    let mut holder = sender_at(1, 1);
    let (board, accepted) = flooded(move |_| holder.seal(b"order").unwrap());
    assert_eq!(accepted, 120 + 400 - 1, "its burst, and its rate for ten seconds");
    assert_eq!(board.counts().rejected(Reason::Busy), 8420 - 519);
}

#[test]
fn forged_frames_of_one_key_never_take_the_share_of_another() {
    // A hundred times the line's rate, as from a broken bus computer.
    let mut board = board_within(Limits::default());
    let mut forged = frame(1, 9);
    let last = forged.len() - 3;
    forged[last] ^= 1;
    repair(&mut forged);
    for i in 0..20_000_u64 {
        assert!(board.open(5000 + i / 84, &forged).is_err());
    }
    let passes = board.counts().rejected(Reason::Tag);
    assert!((1100..1450).contains(&passes), "{passes} passes in a quarter of a second");
    assert_eq!(board.counts().rejected(Reason::Flooded), 20_000 - passes);
    let mut sender = sender_at(2, 1);
    assert!((0..100).all(|_| board.open(5238, &sender.seal(b"order").unwrap()).is_ok()));
}

#[test]
fn a_frame_refused_for_its_holders_rate_is_taken_later() {
    let limits = Limits { holder: Rate { per_s: 1, burst: 1 }, ..Limits::default() };
    let mut board = board_within(limits);
    assert!(board.open(0, &frame(1, 1)).is_ok());
    assert_eq!(refused(&mut board, &frame(1, 2)), Reject::Busy { spi: 1 });
    assert!(board.open(1000, &frame(1, 2)).is_ok());
}
