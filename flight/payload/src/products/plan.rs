//! The plan of a frame's products: which, as which class, which pixels.

use core::ops::Range;

use passband_proto::ids::Class;
use passband_spectral::cube::Cut;
use passband_spectral::envi::Header;
use passband_spectral::triage::{BoundingBox, Report};

use super::{Kind, Rule, Rules};
use crate::ordered;

/// Most regions of a frame; with more detections apart from each other there is one around all of them.
const MAX_REGIONS: usize = 16;
/// A region of more than this part of the frame is not made: the cube stands for it.
const MOST_OF_FRAME: f64 = 0.8;

/// A frame with more bytes than this before its data isn't cut.
const MAX_LEAD_BYTES: u64 = 1 << 20;

/// A part of a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Which, from 1.
    pub number: u32,
    /// Of how many.
    pub of: u32,
    /// The pixels.
    pub cut: Cut,
}

/// A bundle to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// What it is.
    pub kind: Kind,
    /// Its class.
    pub class: Class,
    /// Of a region or a cube that is cut: which part; `None`: the frame's files as they came.
    pub part: Option<Part>,
}

/// What is made of a frame with this header, by `rules` and the detector's `report` (whose class as the link names it
/// is `class`), in the order in which it is made.
pub fn plan(header: &Header, class: Class, report: &Report, rules: &Rules) -> Vec<Planned> {
    let rule = rules.of(class);
    let regions = regions(header, report, rules.region_margin);
    let small = [(Kind::Evidence, rule.evidence), (Kind::Quicklook, rule.quicklook)];
    let mut out: Vec<Planned> = small
        .into_iter()
        .filter_map(|(kind, make)| Some(Planned { kind, class: make.0?, part: None }))
        .collect();
    let cube = cube_class(*rule, &regions, report);
    if let Some(class) = rule.region.0 {
        out.extend(parts(Kind::Region, class, header, regions, rules.strip_bytes));
    }
    if let Some(class) = cube {
        if header.data_bytes() <= rules.strip_bytes || header.header_offset > MAX_LEAD_BYTES {
            out.push(Planned { kind: Kind::Cube, class, part: None });
        } else {
            let whole = vec![Cut::lines(header, 0..header.lines)];
            out.extend(parts(Kind::Cube, class, header, whole, rules.strip_bytes));
        }
    }
    out
}

/// The class of the cube: the region's too, where the cube stands for it.
fn cube_class(rule: Rule, regions: &[Cut], report: &Report) -> Option<Class> {
    let stands_for = regions.is_empty() && !report.detections.is_empty();
    match (rule.region.0, rule.cube.0) {
        (Some(region), cube) if stands_for => Some(cube.map_or(region, |cube| cube.min(region))),
        (_, cube) => cube,
    }
}

/// Rectangles cut into strips that are no larger than `most_bytes`, but have a line at least.
fn parts(kind: Kind, class: Class, header: &Header, rectangles: Vec<Cut>, most_bytes: u64) -> Vec<Planned> {
    let mut cuts = Vec::new();
    for Cut { lines, samples } in rectangles {
        let line = Cut { lines: 0..1, samples: samples.clone() }.bytes(header).unwrap_or(usize::MAX);
        let fit = usize::try_from(most_bytes).unwrap_or(usize::MAX) / line.max(1);
        let each = fit.clamp(1, lines.len().max(1));
        // Equal shares rather than a small rest.
        let count = lines.len().div_ceil(each).max(1);
        let each = lines.len().div_ceil(count).max(1);
        let strips = lines.clone().step_by(each).map(|from| Cut {
            lines: from..from.saturating_add(each).min(lines.end),
            samples: samples.clone(),
        });
        cuts.extend(strips);
    }
    let of = u32::try_from(cuts.len()).unwrap_or(u32::MAX);
    let part = |(number, cut)| Planned { kind, class, part: Some(Part { number, of, cut }) };
    (1..).zip(cuts).map(part).collect()
}

/// The rectangles around the detections, each with its margin, those that touch joined. None if there is no detection,
/// or if they take most of the frame.
fn regions(header: &Header, report: &Report, margin: u32) -> Vec<Cut> {
    let mut boxes: Vec<Cut> =
        report.detections.iter().map(|detection| around(header, &detection.bbox, margin)).collect();
    boxes.retain(|b| !b.lines.is_empty() && !b.samples.is_empty());
    join_those_that_touch(&mut boxes);
    if boxes.len() > MAX_REGIONS {
        boxes = boxes.into_iter().reduce(|a, b| joined(&a, &b)).into_iter().collect();
    }
    let area = |cut: &Cut| cut.lines.len() as f64 * cut.samples.len() as f64;
    let all = header.lines as f64 * header.samples as f64;
    if boxes.iter().map(area).sum::<f64>() > all * MOST_OF_FRAME {
        return Vec::new();
    }
    ordered::sort_by_key(&mut boxes, |b| (b.lines.start, b.samples.start));
    boxes
}

fn around(header: &Header, bbox: &BoundingBox, margin: u32) -> Cut {
    let range = |from: u32, to: u32, all: usize| {
        let end = (to.saturating_add(margin) as usize).min(all);
        (from.saturating_sub(margin) as usize).min(end)..end
    };
    Cut {
        lines: range(bbox.line0, bbox.line1, header.lines),
        samples: range(bbox.sample0, bbox.sample1, header.samples),
    }
}

fn join_those_that_touch(boxes: &mut Vec<Cut>) {
    let touch = |a: &Range<usize>, b: &Range<usize>| a.start <= b.end && b.start <= a.end;
    let mut done: Vec<Cut> = Vec::new();
    while let Some(mut next) = boxes.pop() {
        let near = done.iter().position(|b| touch(&b.lines, &next.lines) && touch(&b.samples, &next.samples));
        match near {
            Some(at) => {
                // The joined one may touch others now.
                next = joined(&done.swap_remove(at), &next);
                boxes.push(next);
            }
            None => done.push(next),
        }
    }
    *boxes = done;
}

fn joined(a: &Cut, b: &Cut) -> Cut {
    let join = |a: &Range<usize>, b: &Range<usize>| a.start.min(b.start)..a.end.max(b.end);
    Cut { lines: join(&a.lines, &b.lines), samples: join(&a.samples, &b.samples) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::products::Make;
    use crate::triage::tests::with_plume;
    use passband_spectral::envi::DataType;

    fn header() -> Header {
        Header::new(100, 1000, 10, DataType::U16)
    }

    fn boxes(report: &mut Report, boxes: &[[u32; 4]]) {
        let one = report.detections.first().cloned().unwrap();
        let with = |[line0, line1, sample0, sample1]: &[u32; 4]| BoundingBox {
            line0: *line0,
            line1: *line1,
            sample0: *sample0,
            sample1: *sample1,
        };
        report.detections = boxes
            .iter()
            .map(|b| passband_spectral::triage::Detection { bbox: with(b), ..one.clone() })
            .collect();
    }

    fn cuts(planned: &[Planned], kind: Kind) -> Vec<(Range<usize>, Range<usize>)> {
        let parts = planned.iter().filter(|p| p.kind == kind).filter_map(|p| p.part.as_ref());
        parts.map(|part| (part.cut.lines.clone(), part.cut.samples.clone())).collect()
    }

    #[test]
    fn an_alert_gives_all_products_and_strips_cover_every_line_once() {
        let mut report = with_plume();
        boxes(&mut report, &[[30, 33, 2, 6], [40, 50, 10, 12], [900, 950, 50, 60]]);
        let rules = Rules { strip_bytes: 300_000, region_margin: 5, ..Rules::default() };
        let planned = plan(&header(), Class::Alert, &report, &rules);
        assert_eq!(cuts(&planned, Kind::Region), [(25..55, 0..17), (895..955, 45..65)]);
        // 2,000 bytes a line: 150 lines at most, in seven strips of like size.
        let strips = cuts(&planned, Kind::Cube);
        assert_eq!(strips.len(), 7);
        let lines: Vec<usize> = strips.iter().flat_map(|(lines, _)| lines.clone()).collect();
        assert_eq!(lines, (0..1000).collect::<Vec<_>>());
        assert!(strips.iter().all(|(lines, samples)| lines.len() >= 142 && *samples == (0..100)));
        let kinds: Vec<_> = planned.iter().map(|p| p.kind).collect();
        assert_eq!(kinds[..4], [Kind::Evidence, Kind::Quicklook, Kind::Region, Kind::Region]);
        assert!(planned.iter().all(|p| p.class == Class::Alert));
        let last = planned.last().and_then(|p| p.part.as_ref()).unwrap();
        assert_eq!((last.number, last.of), (7, 7));
    }

    #[test]
    fn what_is_made_is_configured() {
        let report = Report { detections: vec![], ..with_plume() };
        let made = |class, rules: &Rules| {
            let planned = plan(&header(), class, &report, rules);
            planned.iter().map(|p| (p.kind, p.class)).collect::<Vec<_>>()
        };
        let rules = Rules::default();
        let routine = Class::Routine;
        assert_eq!(made(routine, &rules), [(Kind::Quicklook, routine), (Kind::Cube, routine)]);
        let own = Rules {
            routine: Rule {
                quicklook: Make(None),
                evidence: Make(Some(Class::Suspect)),
                region: Make(Some(Class::Suspect)),
                cube: Make(None),
            },
            ..rules
        };
        assert_eq!(made(routine, &own), [(Kind::Evidence, Class::Suspect)], "no detections, no region");
    }

    #[test]
    fn a_region_of_most_of_the_frame_lends_its_class_to_the_cube() {
        let mut report = with_plume();
        boxes(&mut report, &[[0, 990, 0, 100]]);
        let suspect = Rule { cube: Make(Some(Class::Routine)), ..Rule::all(Class::Suspect) };
        let rules = Rules { suspect, ..Rules::default() };
        let planned = plan(&header(), Class::Suspect, &report, &rules);
        assert!(cuts(&planned, Kind::Region).is_empty());
        let cube = planned.iter().find(|p| p.kind == Kind::Cube).unwrap();
        assert_eq!((cube.class, &cube.part), (Class::Suspect, &None), "2 MB: not cut");
    }

    #[test]
    fn many_detections_far_apart_give_one_region() {
        let mut report = with_plume();
        let apart: Vec<_> = (0..20).map(|i| [i * 30, i * 30 + 2, 2, 4]).collect();
        boxes(&mut report, &apart);
        let rules = Rules { region_margin: 1, strip_bytes: 1, ..Rules::default() };
        let planned = plan(&header(), Class::Suspect, &report, &rules);
        let regions = cuts(&planned, Kind::Region);
        assert_eq!((regions.len(), &regions[0]), (573, &(0..1, 1..5)), "a line is the least");
    }
}
