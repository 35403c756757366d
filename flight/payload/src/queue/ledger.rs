//! The ledger: who was served how much, and so whose turn it is.
//!
//! Two accounts in bytes. Within a class, taskings share by start-time fair queueing (P. Goyal, H. M. Vin,
//! H. Cheng, "Start-time Fair Queueing", SIGCOMM 1996, section 2; the same as the stride scheduling of C. A.
//! Waldspurger and W. E. Weihl, MIT/LCS/TM-528, 1995, with bytes for quanta): each has a virtual time that
//! grows by bytes / share, the least goes first, and one that had nothing to send begins again at the virtual
//! time of the one served last. Against starvation, what is overdue and would be last has a credit that grows
//! by the overdue share of what is served ahead of it, and goes once the credit pays for it.
//!
//! Everything is whole numbers: the same history gives the same order on every machine. Nothing here knows
//! entries; costs come in as bytes.

use passband_proto::ids::Class;

use super::lanes::{Head, SlotKey};
use super::settings::Settings;

/// Steps of virtual time that a byte takes at share 1.
const STEPS: u128 = 1 << 20;
/// A whole, in millionths.
const WHOLE_PPM: i128 = 1_000_000;

/// A tasking's account in a class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Account {
    /// Its virtual time.
    time: u128,
    /// How many of its bundles wait in turn or are on the link.
    active: u32,
}

/// How a bundle came to be next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It was its turn; `crediting`: something overdue stood behind it.
    Fair {
        /// Whether it paid into the credit.
        crediting: bool,
    },
    /// Overdue, it was let in ahead of this class.
    Overdue {
        /// The class whose turn it was.
        over: Class,
    },
}

/// Who was served how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ledger {
    shares: Vec<u32>,
    /// By class, then tasking.
    accounts: [Vec<Account>; 4],
    /// By class: the virtual time of the one served last.
    now: [u128; 4],
    overdue_ppm: i128,
    /// Credit of what is overdue, bytes × 10⁻⁶.
    credit: i128,
}

impl Ledger {
    /// Nobody was served.
    pub(super) fn new(settings: &Settings) -> Self {
        let shares: Vec<u32> = settings.taskings.iter().map(|t| t.share.max(1)).collect();
        let accounts = [(); 4].map(|()| vec![Account::default(); shares.len()]);
        #[expect(clippy::cast_possible_truncation, reason = "the share is 0 to 0.5")]
        let overdue_ppm = i128::from((settings.overdue_share * 1e6).round() as i64);
        Self { shares, accounts, now: [0; 4], overdue_ppm, credit: 0 }
    }

    /// A bundle of a class and tasking competes from now on.
    pub(super) fn enter(&mut self, class: Class, tasking: u16) {
        let now = self.now.get(class as usize).copied().unwrap_or_default();
        let Some(account) = self.account(class, tasking) else { return };
        if account.active == 0 {
            account.time = account.time.max(now);
        }
        account.active = account.active.saturating_add(1);
    }

    /// A bundle of a class and tasking competes no more.
    pub(super) fn leave(&mut self, class: Class, tasking: u16) {
        if let Some(account) = self.account(class, tasking) {
            account.active = account.active.saturating_sub(1);
        }
    }

    /// Bytes are served.
    pub(super) fn charge(&mut self, class: Class, tasking: u16, bytes: u64) {
        let time = self.steps(tasking, bytes);
        if let Some(account) = self.account(class, tasking) {
            account.time = account.time.saturating_add(time);
        }
    }

    /// Bytes that were charged were not served.
    pub(super) fn refund(&mut self, class: Class, tasking: u16, bytes: u64) {
        let time = self.steps(tasking, bytes);
        if let Some(account) = self.account(class, tasking) {
            account.time = account.time.saturating_sub(time);
        }
    }

    /// Bytes are served in turn while something overdue waits; fewer than none: they were not.
    pub(super) fn earn(&mut self, bytes: i128) {
        self.credit = self.credit.saturating_add(bytes.saturating_mul(self.overdue_ppm)).max(0);
    }

    /// Bytes of something overdue are served ahead of its turn; fewer than none: they were not.
    pub(super) fn spend(&mut self, bytes: i128) {
        self.credit = self.credit.saturating_sub(bytes.saturating_mul(WHOLE_PPM - self.overdue_ppm));
    }

    /// Decides whose turn it is among the first of each lane, which come by class, and charges it. `cost` is
    /// what sending costs, bytes.
    pub(super) fn turn(
        &mut self,
        heads: impl Iterator<Item = Head> + Clone,
        now_unix_ms: u64,
        cost: impl Fn(SlotKey) -> u64,
    ) -> Option<(Head, Turn)> {
        let first = self.in_turn(heads.clone())?;
        let late = if self.overdue_ppm > 0 { most_overdue(heads, first, now_unix_ms) } else { None };
        let bytes = cost(first.key);
        let Some(late) = late else {
            self.credit = 0;
            self.serve_in_turn(first, bytes);
            return Some((first, Turn::Fair { crediting: false }));
        };
        let late_bytes = cost(late.key);
        if self.credit >= i128::from(late_bytes).saturating_mul(WHOLE_PPM - self.overdue_ppm) {
            self.spend(i128::from(late_bytes));
            self.charge(late.lane.class, late.lane.tasking, late_bytes);
            return Some((late, Turn::Overdue { over: first.lane.class }));
        }
        self.earn(i128::from(bytes));
        self.serve_in_turn(first, bytes);
        Some((first, Turn::Fair { crediting: true }))
    }

    /// How far a tasking is ahead of the one of its class that is served next, bytes of its own.
    pub(super) fn lead_bytes(&self, class: Class, tasking: u16) -> u64 {
        let accounts = self.accounts.get(class as usize).map_or(&[][..], Vec::as_slice);
        let least = accounts.iter().filter(|a| a.active > 0).map(|a| a.time).min().unwrap_or_default();
        let time = accounts.get(usize::from(tasking)).map_or(0, |a| a.time.saturating_sub(least));
        u64::try_from(time.saturating_mul(u128::from(self.share(tasking))) / STEPS).unwrap_or(u64::MAX)
    }

    /// The share of a tasking, and of all that compete in a class together.
    pub(super) fn share_of(&self, class: Class, tasking: u16) -> (u32, u32) {
        let accounts = self.accounts.get(class as usize).map_or(&[][..], Vec::as_slice);
        let all = accounts.iter().zip(&self.shares).filter(|(a, _)| a.active > 0);
        (self.share(tasking), all.fold(0, |sum, (_, share)| sum.saturating_add(*share)))
    }

    /// How many bundles compete for a class and tasking.
    #[cfg(test)]
    pub(super) fn active(&self, class: Class, tasking: u16) -> u32 {
        self.accounts[class as usize][usize::from(tasking)].active
    }

    /// The head of the most valuable class whose tasking is furthest behind.
    fn in_turn(&self, heads: impl Iterator<Item = Head> + Clone) -> Option<Head> {
        let class = heads.clone().next()?.lane.class;
        let accounts = self.accounts.get(class as usize)?;
        let of_class = heads.take_while(|head| head.lane.class == class);
        let time = |head: &Head| accounts.get(usize::from(head.lane.tasking)).map_or(u128::MAX, |a| a.time);
        of_class.min_by_key(|head| (time(head), head.lane))
    }

    fn serve_in_turn(&mut self, head: Head, bytes: u64) {
        let class = head.lane.class;
        let time = self.account(class, head.lane.tasking).map_or(0, |account| account.time);
        if let Some(now) = self.now.get_mut(class as usize) {
            *now = time.max(*now);
        }
        self.charge(class, head.lane.tasking, bytes);
    }

    fn steps(&self, tasking: u16, bytes: u64) -> u128 {
        u128::from(bytes) * STEPS / u128::from(self.share(tasking).max(1))
    }

    fn share(&self, tasking: u16) -> u32 {
        self.shares.get(usize::from(tasking)).copied().unwrap_or(1)
    }

    fn account(&mut self, class: Class, tasking: u16) -> Option<&mut Account> {
        self.accounts.get_mut(class as usize)?.get_mut(usize::from(tasking))
    }
}

/// The head that is overdue longest, of those that strict order would serve last: of a lower class than
/// `first`, or of its class and tasking but larger.
fn most_overdue(heads: impl Iterator<Item = Head>, first: Head, now_unix_ms: u64) -> Option<Head> {
    let behind = |head: &Head| {
        let (a, b) = (head.lane, first.lane);
        a.class > b.class || (a.class == b.class && a.tasking == b.tasking && a.band > b.band)
    };
    let late = heads.filter(|head| head.key.first_ms() < now_unix_ms && behind(head));
    late.min_by_key(|head| head.key)
}
