//! Candidates: connected pixels that stand out together, found while the frame goes by. Finds and measures them; whether
//! one is a plume is decided elsewhere.
//!
//! Lines come one after the other and only groups that the last line touches stay open, so the memory used follows the
//! width of the frame, not its length.

use super::chip::whole;
use super::params::Params;
use super::report::{BoundingBox, Chip};

/// Most pixels of a candidate that are kept, and of all that wait; what is larger is cut off.
const MOST_PIXELS: usize = 1 << 18;
const MOST_WAITING: usize = 1 << 21;

/// Neighbouring pixels of one line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) line: usize,
    pub(super) from: usize,
    /// One past the last.
    pub(super) to: usize,
    /// The enhancement of each, whole ppm·m.
    pub(super) enhancement: Vec<i16>,
}

/// A connected group of pixels above [`Params::grow_score`].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Candidate {
    /// Its pixels, by line, then sample.
    pub(super) spans: Vec<Span>,
    pub(super) bbox: BoundingBox,
    pub(super) pixels: usize,
    /// The greatest score.
    pub(super) peak_score: f32,
    /// Sum of the scores: what candidates are ordered by.
    pub(super) weight: f64,
}

impl Candidate {
    /// Is the pixel one of its own?
    pub(super) fn holds(&self, line: usize, sample: usize) -> bool {
        self.covers(line, sample, sample + 1)
    }

    /// The enhancement of one of its pixels.
    pub(super) fn enhancement_at(&self, line: usize, sample: usize) -> Option<i16> {
        let after = self.spans.partition_point(|s| (s.line, s.to) <= (line, sample));
        let span = self.spans.get(after).filter(|s| s.line == line && s.from <= sample)?;
        span.enhancement.get(sample - span.from).copied()
    }

    /// Line, sample and enhancement of each pixel that was measured.
    pub(super) fn values(&self) -> impl Iterator<Item = (f64, f64, f64)> {
        self.spans.iter().flat_map(|span| {
            let pixels = (span.from..).zip(&span.enhancement).filter(|(_, v)| **v != Chip::NO_DATA);
            pixels.map(|(sample, value)| (span.line as f64, sample as f64, f64::from(*value)))
        })
    }

    /// Is one of the pixels `from..to` of the line one of its own?
    pub(super) fn covers(&self, line: usize, from: usize, to: usize) -> bool {
        let after = self.spans.partition_point(|s| (s.line, s.to) <= (line, from));
        self.spans.get(after).is_some_and(|s| s.line == line && s.from < to)
    }

    /// Is one of its pixels at most `reach` away, along and across?
    pub(super) fn is_near(&self, line: usize, sample: usize, reach: usize) -> bool {
        let lines = line.saturating_sub(reach)..=line + reach;
        lines.into_iter().any(|l| self.covers(l, sample.saturating_sub(reach), sample + reach + 1))
    }
}

/// Finds candidates in lines that come in order.
#[derive(Debug)]
pub(super) struct Finder<'a> {
    params: &'a Params,
    open: Vec<Group>,
    /// Closed, not yet taken.
    closed: Vec<Candidate>,
}

#[derive(Debug)]
struct Group {
    candidate: Candidate,
    /// Spans of its last line.
    edge: Vec<(usize, usize)>,
    last: usize,
}

impl<'a> Finder<'a> {
    pub(super) fn new(params: &'a Params) -> Self {
        Self { params, open: Vec::new(), closed: Vec::new() }
    }

    /// Takes the scores and the enhancements of the next line.
    pub(super) fn line(&mut self, line: usize, score: &[f32], enhancement: &[f32]) {
        let mut edges: Vec<Vec<usize>> = Vec::new();
        let mut fresh: Vec<Group> = Vec::new();
        for (from, to) in runs(score, enhancement, self.params.grow_score) {
            // Corners touch.
            let touches = |g: &Group| g.last + 1 == line && g.edge.iter().any(|e| e.0 <= to && from <= e.1);
            edges.push((0..self.open.len()).filter(|&i| self.open.get(i).is_some_and(touches)).collect());
            fresh.push(Group::of(line, (from, to), score, enhancement));
        }
        self.join(line, fresh, &edges);
        let (open, done): (Vec<Group>, Vec<Group>) =
            std::mem::take(&mut self.open).into_iter().partition(|g| g.last == line);
        self.open = open;
        done.into_iter().for_each(|group| self.close(group));
    }

    /// Joins the new line's groups with those that they touch.
    fn join(&mut self, line: usize, fresh: Vec<Group>, edges: &[Vec<usize>]) {
        let mut old: Vec<Option<Group>> = std::mem::take(&mut self.open).into_iter().map(Some).collect();
        // Where each old group went.
        let mut home: Vec<Option<usize>> = vec![None; old.len()];
        let mut joined: Vec<Option<Group>> = Vec::new();
        for (new, met) in fresh.into_iter().zip(edges) {
            let at = joined.len();
            let mut group = new;
            let mut merged = Vec::new();
            for &i in met {
                let earlier = home.get(i).copied().flatten();
                let part = match earlier {
                    Some(h) => joined.get_mut(h).and_then(Option::take),
                    None => old.get_mut(i).and_then(Option::take),
                };
                if let Some(part) = part {
                    group.absorb(part, line);
                }
                merged.extend(earlier);
                if let Some(home) = home.get_mut(i) {
                    *home = Some(at);
                }
            }
            for home in home.iter_mut().flatten() {
                if merged.contains(home) {
                    *home = at;
                }
            }
            joined.push(Some(group));
        }
        self.open = joined.into_iter().flatten().chain(old.into_iter().flatten()).collect();
    }

    fn close(&mut self, group: Group) {
        let mut candidate = group.candidate;
        let enough = candidate.pixels >= self.params.min_plume_pixels.max(1);
        if !enough || candidate.peak_score < self.params.seed_score {
            return;
        }
        candidate.spans.sort_unstable();
        self.closed.push(candidate);
        let waiting: usize = self.closed.iter().map(|c| c.pixels.min(MOST_PIXELS)).sum();
        if self.closed.len() > 2 * self.params.max_candidates.max(1) || waiting > MOST_WAITING {
            self.keep_strongest();
        }
    }

    fn keep_strongest(&mut self) {
        // Ties are broken by place, so that the order is the same everywhere.
        self.closed.sort_by(|a, b| b.weight.total_cmp(&a.weight).then(a.spans.first().cmp(&b.spans.first())));
        let mut room = MOST_WAITING;
        self.closed.truncate(self.params.max_candidates);
        self.closed.retain(|c| {
            let fits = c.pixels.min(MOST_PIXELS) <= room;
            room = room.saturating_sub(c.pixels.min(MOST_PIXELS));
            fits
        });
    }

    /// The candidates that are complete, the strongest first.
    pub(super) fn take(&mut self) -> Vec<Candidate> {
        self.keep_strongest();
        std::mem::take(&mut self.closed)
    }

    /// All that is left once the frame has ended.
    pub(super) fn finish(&mut self) -> Vec<Candidate> {
        let open = std::mem::take(&mut self.open);
        open.into_iter().for_each(|group| self.close(group));
        self.take()
    }
}

/// The runs of measured pixels at or above a score.
fn runs(score: &[f32], enhancement: &[f32], least: f32) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    let stands_out =
        |(_, (score, enhancement)): &(usize, (&f32, &f32))| **score >= least && enhancement.is_finite();
    for (sample, _) in score.iter().zip(enhancement).enumerate().filter(stands_out) {
        match runs.last_mut() {
            Some((_, to)) if *to == sample => *to += 1,
            _ => runs.push((sample, sample + 1)),
        }
    }
    runs
}

impl Group {
    fn of(line: usize, (from, to): (usize, usize), score: &[f32], enhancement: &[f32]) -> Self {
        let index = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let scores = score.get(from..to).unwrap_or_default();
        let enhancement = enhancement.get(from..to).unwrap_or_default().iter().map(|v| whole(*v)).collect();
        let candidate = Candidate {
            spans: vec![Span { line, from, to, enhancement }],
            bbox: BoundingBox {
                line0: index(line),
                line1: index(line + 1),
                sample0: index(from),
                sample1: index(to),
            },
            pixels: to - from,
            peak_score: scores.iter().copied().fold(f32::NEG_INFINITY, f32::max),
            weight: scores.iter().map(|s| f64::from(*s)).sum(),
        };
        Self { candidate, edge: vec![(from, to)], last: line }
    }

    fn absorb(&mut self, other: Self, line: usize) {
        let (own, theirs) = (&mut self.candidate, other.candidate);
        if own.pixels + theirs.pixels <= MOST_PIXELS {
            own.spans.extend(theirs.spans);
        } else if theirs.pixels > own.pixels {
            own.spans = theirs.spans;
        }
        own.bbox.line0 = own.bbox.line0.min(theirs.bbox.line0);
        own.bbox.line1 = own.bbox.line1.max(theirs.bbox.line1);
        own.bbox.sample0 = own.bbox.sample0.min(theirs.bbox.sample0);
        own.bbox.sample1 = own.bbox.sample1.max(theirs.bbox.sample1);
        own.pixels += theirs.pixels;
        own.peak_score = own.peak_score.max(theirs.peak_score);
        own.weight += theirs.weight;
        if other.last == line {
            self.edge.extend(other.edge);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rows: &[&str], params: &Params) -> Vec<Candidate> {
        let value = |c: char| match c {
            '#' => 30.0,
            '+' => params.grow_score,
            '?' => f32::NAN,
            _ => 0.0,
        };
        let mut finder = Finder::new(params);
        for (line, row) in rows.iter().enumerate() {
            let row: Vec<f32> = row.chars().map(value).collect();
            finder.line(line, &row, &row);
        }
        finder.finish()
    }

    fn params() -> Params {
        Params { min_plume_pixels: 6, ..Params::default() }
    }

    #[test]
    fn connected_pixels_with_a_seed_are_one_candidate() {
        let rows = ["..++....?.", ".+##....+.", "...+.+..++", "....+...++"];
        let found = found(&rows, &params());
        assert_eq!(found.len(), 1, "the group on the right has no seed");
        assert_eq!((found[0].pixels, found[0].spans.len()), (8, 5));
        assert_eq!(found[0].bbox, BoundingBox { line0: 0, line1: 4, sample0: 1, sample1: 6 });
        assert!(found[0].holds(1, 3) && !found[0].holds(1, 4) && found[0].is_near(1, 5, 2));
    }

    #[test]
    fn branches_that_meet_later_are_one_whatever_their_order() {
        for rows in [
            ["#..#..#", "#..#..#", "##.####", ".###..."],
            ["#######", "#..#..#", "#..#..#", "#..#..#"],
            ["..###..", ".#...#.", "#..#..#", "#######"],
            ["#.#.#.#", "#.#.#.#", ".#.#.#.", "......."],
        ] {
            let found = found(&rows, &params());
            let total: usize = rows.iter().map(|r| r.matches('#').count()).sum();
            assert_eq!(found.iter().map(|c| c.pixels).collect::<Vec<_>>(), [total], "{rows:?}");
            let of_spans: usize = found[0].spans.iter().map(|s| s.to - s.from).sum();
            assert_eq!(of_spans, total);
            assert!(found[0].spans.is_sorted());
        }
    }

    #[test]
    fn the_strongest_come_first_and_their_number_is_bounded() {
        let rows = ["###...####", "###...####"];
        assert_eq!(found(&rows, &params()).iter().map(|c| c.pixels).collect::<Vec<_>>(), [8, 6]);
        let few = Params { max_candidates: 1, ..params() };
        assert_eq!(found(&rows, &few).len(), 1);
    }
}
