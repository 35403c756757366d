//! What follows from the end of an entry: its followers, the next round of its chain, the end of the plan.

use passband_proto::plan::Repeat;

use super::Sequencer;
use super::clock::Instants;
use super::instance::Place;
use super::record::{End, State, Status};

impl Sequencer {
    /// An entry has ended; of one that was missed, all that follow it are.
    pub(super) fn end(&mut self, now: Instants, place: Place, end: End) {
        let at_ms = self.elapsed_ms(now, place);
        let Some(root) = self.running.get(&place.run).map(|run| run.root(place.entry)) else { return };
        let mut left = vec![(place.entry, end)];
        let mut over = false;
        while let Some((entry, end)) = left.pop() {
            let one = Place { entry, ..place };
            over |= self.close(one, end, at_ms);
            // What follows from that need not be kept: it is found again from what is.
            if entry == place.entry {
                self.persist(one);
            }
            let followers = self.running.get(&place.run).map(|run| run.followers(entry).to_vec());
            for follower in followers.unwrap_or_default() {
                match end {
                    End::Missed => left.push((follower, End::Missed)),
                    End::Done | End::Failed | End::Skipped => {
                        self.follow(now, Place { entry: follower, ..place });
                    }
                }
            }
        }
        if over {
            self.end_round(now, Place { entry: root, ..place });
        }
    }

    /// Whether that was the last of the round of its chain.
    fn close(&mut self, place: Place, end: End, at_ms: u64) -> bool {
        self.disarm(place);
        let Some(run) = self.running.get_mut(&place.run) else { return false };
        run.unset_ready(place.entry);
        let Some(cell) = run.cell_mut(place.entry) else { return false };
        if let State::Issued { number, .. } = cell.kept.state
            && self.in_flight.get(&number) == Some(&place)
        {
            self.in_flight.remove(&number);
        }
        cell.kept.state = State::Ended { end, at_ms };
        run.close(place.entry)
    }

    /// The entry before it has ended.
    fn follow(&mut self, now: Instants, place: Place) {
        if let Some(cell) = self.cell_mut(place) {
            cell.kept.state = State::Armed;
        }
        self.arm(now, place);
    }

    /// All of a chain has ended: it goes on with the next round, if it has one.
    pub(super) fn end_round(&mut self, now: Instants, root: Place) {
        let Some((rule, cell)) = self.look(root) else { return };
        let occurrence = cell.kept.occurrence.saturating_add(1);
        let Some(run) = self.running.get_mut(&root.run) else { return };
        if is_last(rule.repeat, occurrence) {
            if run.close_chain() {
                self.finish(root.run, Status::Done, "all its entries have ended");
            }
            return;
        }
        run.reopen(root.entry, occurrence);
        self.persist(root);
        self.arm(now, root);
    }
}

/// Whether there is no such round, counted from 0.
fn is_last(repeat: Repeat, occurrence: u32) -> bool {
    repeat.times().is_some_and(|times| occurrence >= times)
}
