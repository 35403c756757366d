//! Several streams at once: the senders of UDP datagrams, TCP connections, the flows of a capture.
//!
//! Each route has a [`Reader`] of its own, so that a packet whose parts come over one of them isn't torn by what comes
//! over another. There are so many at most: a forger can name any number, and the one that was silent longest makes
//! room. Every packet is handed out with what its bytes were pushed with: when they came, mostly.

use std::collections::BTreeMap;

use passband_proto::packet::TelemetryPacket;

use super::reader::{Reader, ReaderStats};

/// Routes that are read side by side, unless told otherwise: a quarter of a MiB.
pub const MAX_ROUTES: usize = 64;

/// Streams by name `K`, whose bytes come with a `T`.
#[derive(Debug)]
pub struct Routes<K, T, L> {
    lengths: L,
    most: usize,
    open: BTreeMap<K, Route<T, L>>,
    pushes: u64,
    opened: u64,
    /// Of those that are closed.
    stats: ReaderStats,
}

#[derive(Debug)]
struct Route<T, L> {
    reader: Reader<L>,
    last_push: u64,
    with: T,
}

impl<K: Ord + Clone, T: Copy, L: Fn(u16) -> Option<usize> + Clone> Routes<K, T, L> {
    /// No routes yet, and at most `most`, one at least.
    pub fn new(lengths: L, most: usize) -> Self {
        let (open, stats) = (BTreeMap::new(), ReaderStats::default());
        Self { lengths, most: most.max(1), open, pushes: 0, opened: 0, stats }
    }

    /// Takes the next bytes of a route, as [`Reader::push`] does.
    pub fn push(&mut self, key: &K, bytes: &[u8], with: T, mut sink: impl FnMut(&TelemetryPacket<'_>, T)) {
        self.pushes += 1;
        if !self.open.contains_key(key) {
            if self.open.len() >= self.most {
                let silent = self.open.iter().min_by_key(|(_, route)| route.last_push);
                let silent = silent.map(|(key, _)| key.clone());
                silent.iter().for_each(|key| self.close(key, &mut sink));
            }
            self.opened += 1;
            let route = Route { reader: Reader::new(self.lengths.clone()), last_push: 0, with };
            self.open.insert(key.clone(), route);
        }
        if let Some(route) = self.open.get_mut(key) {
            (route.last_push, route.with) = (self.pushes, with);
            route.reader.push(bytes, |packet| sink(packet, with));
        }
    }

    /// Nothing has come for a while, over any route: see [`Reader::idle`].
    pub fn idle(&mut self, mut sink: impl FnMut(&TelemetryPacket<'_>, T)) {
        for route in self.open.values_mut() {
            let with = route.with;
            route.reader.idle(|packet| sink(packet, with));
        }
    }

    /// A route has ended: decides what is left of it.
    pub fn close(&mut self, key: &K, mut sink: impl FnMut(&TelemetryPacket<'_>, T)) {
        if let Some(mut route) = self.open.remove(key) {
            route.reader.finish(|packet| sink(packet, route.with));
            self.stats.add(route.reader.stats());
        }
    }

    /// All routes have ended.
    pub fn finish(&mut self, mut sink: impl FnMut(&TelemetryPacket<'_>, T)) {
        while let Some((key, _)) = self.open.first_key_value() {
            let key = key.clone();
            self.close(&key, &mut sink);
        }
    }

    /// Of all routes together, those that are closed too.
    pub fn stats(&self) -> ReaderStats {
        let mut stats = self.stats;
        self.open.values().for_each(|route| stats.add(route.reader.stats()));
        stats
    }

    /// Routes that there were.
    pub fn opened(&self) -> u64 {
        self.opened
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use passband_proto::packet::{Cuc, seal_telemetry};

    fn lengths(apid: u16) -> Option<usize> {
        (apid == 0x101).then_some(60)
    }

    fn packet(count: u16) -> Vec<u8> {
        let mut out = vec![0; 60];
        seal_telemetry(&mut out, 0x101, count, Cuc::new(1, 2), &[7; 35], None).unwrap();
        out
    }

    #[test]
    fn parts_that_come_in_turn_are_put_together_route_by_route() {
        let mut routes = Routes::new(lengths, MAX_ROUTES);
        let packets: Vec<_> = (0..3).map(packet).collect();
        let mut out = Vec::new();
        for (part, at) in (0..60).step_by(20).zip(0..) {
            for (key, packet) in packets.iter().enumerate() {
                routes.push(&key, &packet[part..part + 20], at, |p, at| out.push((p.sequence_count(), at)));
            }
        }
        assert_eq!(out, [(0, 2), (1, 2), (2, 2)]);
        assert_eq!((routes.opened(), routes.stats().packets, routes.stats().skipped_bytes), (3, 3, 0));
    }

    #[test]
    fn the_most_silent_route_makes_room_and_loses_no_whole_packet() {
        let mut routes = Routes::new(lengths, 2);
        let cut_and_whole = [&packet(1)[..30], &packet(2)[..29]].concat();
        let mut out = Vec::new();
        let mut take = |p: &TelemetryPacket<'_>, at: u8| out.push((p.sequence_count(), at));
        routes.push(&'a', &cut_and_whole, 1, &mut take);
        routes.push(&'b', &packet(3), 2, &mut take);
        routes.push(&'a', &[&packet(4)[..20], &packet(5)].concat()[..70], 3, &mut take);
        routes.push(&'c', &packet(6), 4, &mut take);
        routes.push(&'d', &packet(7), 5, &mut take);
        routes.finish(&mut take);
        assert_eq!(out, [(3, 2), (6, 4), (7, 5)]);
        let stats = routes.stats();
        assert_eq!(stats.bytes, stats.skipped_bytes + 60 * stats.packets);
        assert_eq!(routes.opened(), 4);
    }
}
