//! What stands in each pane, line by line; what doesn't fit is cut by the terminal's edge.

use passband_flight::telemetry::Level;
use passband_proto::dict::{Severity, Stage};
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};

use super::Scene;
use super::styles::{at, level_style, plain, size, soft, stage_style};
use crate::catalogue::time::rfc3339;
use crate::console::commanding::Outgoing;
use crate::screen::Snapshot;
use crate::screen::passes::clock;

/// The loss of the present pass, else of all that was heard.
pub(super) fn link_words(shown: &Snapshot) -> String {
    let Some(link) = &shown.ground.link else { return "link: no station".to_owned() };
    let pass = link.passes.last().filter(|pass| pass.sent > 0);
    let pass = pass.map(|pass| (1.0 - pass.heard as f64 / pass.sent as f64).max(0.0));
    match pass.or(link.loss) {
        Some(loss) => format!("link: {:.1} % lost, {} received", loss * 100.0, size(link.bytes)),
        None => "link: nothing heard".to_owned(),
    }
}

pub(super) fn digest_lines(shown: &Snapshot) -> Vec<Line<'static>> {
    let Some(satellite) = &shown.satellite else { return vec![Line::styled("nothing heard yet", soft())] };
    let since = &shown.since;
    let mut lines = vec![
        Line::raw(format!(
            "up {}, start {}",
            clock(u64::from(satellite.uptime_s) * 1000),
            satellite.boot_count
        )),
        Line::raw(format!(
            "since LOS: {} critical, {} error, {} warning",
            since.critical, since.error, since.warning
        )),
    ];
    if let Some(queue) = &satellite.queue {
        let [alert, suspect, routine, discard] = queue.waiting;
        lines.push(Line::raw(format!(
            "waiting {alert} alert {suspect} suspect {routine} routine {discard} discard"
        )));
        lines.push(Line::raw(format!(
            "on link {}, presumed {}, known {}; {} alerts unheard",
            queue.on_link, queue.presumed, queue.known, queue.alerts_pending
        )));
    }
    if let Some(beacon) = &satellite.beacon {
        let agrees = if beacon.dictionary_agrees { "" } else { " NOT OURS" };
        lines.push(Line::raw(format!("git {}  binary {}", beacon.git, beacon.binary)));
        lines.push(Line::raw(format!("dictionary {}{agrees}", beacon.dictionary)));
        lines.push(Line::raw(format!("parameters {} {}", beacon.parameters, beacon.parameters_state)));
        lines.push(Line::raw(format!("disk {}, update {}", beacon.disk, beacon.update)));
    }
    for upload in &shown.uploads {
        let there = upload.pieces - upload.missing;
        lines.push(Line::raw(format!("upload {} {there}/{}", plain(&upload.name), upload.pieces)));
    }
    lines
}

pub(super) fn pass_lines(shown: &Snapshot) -> Vec<Line<'static>> {
    let line = |pass: &passband_flight::passes::Pass| {
        let aos = rfc3339(pass.aos_unix_ms);
        let highest = pass.max_elevation_deg.map_or_else(|| "window".to_owned(), |deg| format!("{deg:.0}°"));
        let stale = if pass.stale { " stale" } else { "" };
        let text = format!(
            "{} {:<14} {} {highest}{stale}",
            aos.get(5..16).unwrap_or_default().replace('T', " "),
            plain(&pass.station),
            clock(pass.los_unix_ms.saturating_sub(pass.aos_unix_ms))
        );
        Line::raw(text)
    };
    if shown.passes.ahead.is_empty() {
        return vec![Line::styled("none: give --windows, or --elements and --stations", soft())];
    }
    shown.passes.ahead.iter().map(line).collect()
}

pub(super) fn link_lines(shown: &Snapshot) -> Vec<Line<'static>> {
    let Some(link) = &shown.ground.link else { return vec![Line::styled("no station writes here", soft())] };
    let refused: u64 = link.rejected.values().sum();
    vec![
        Line::raw(link_words(shown)),
        Line::raw(format!("{} datagrams, {} new, {} known", link.datagrams, link.new, link.known)),
        Line::raw(format!("{refused} not taken")),
    ]
}

pub(super) fn alert_lines(shown: &Snapshot) -> Vec<Line<'static>> {
    let line = |row: &crate::catalogue::query::Row| {
        let sure = row.probability.map(|p| format!("{:.0} %", p * 100.0)).unwrap_or_default();
        let place = row.positions.first().map(|[lat, lon]| format!("{lat:.4} {lon:.4}")).unwrap_or_default();
        let gas = row.gas.as_deref().unwrap_or("?");
        let frame = plain(row.frame.as_deref().unwrap_or("-"));
        Line::raw(format!("{} {gas} {sure} {place} {frame}", at(row.created_unix_ms)))
    };
    shown.ground.alerts.iter().map(line).collect()
}

pub(super) fn channel_title(shown: &Snapshot) -> String {
    format!("channels: {} red, {} yellow", shown.red, shown.yellow)
}

/// Those beyond a limit first, then those with limits, then the rest.
pub(super) fn channel_lines(shown: &Snapshot) -> Vec<Line<'static>> {
    let mut channels: Vec<_> = shown.channels.iter().collect();
    channels.sort_by_key(|c| {
        (std::cmp::Reverse(c.level.filter(|level| *level > Level::Green)), c.limits.is_none())
    });
    let line = |channel: &crate::screen::channels::Channel| {
        let value = format!("{:>9} {}", plain(&channel.text), channel.unit);
        Line::from(vec![
            Span::raw(format!("{:<18}", channel.name)),
            Span::styled(value, level_style(channel.level)),
        ])
    };
    channels.into_iter().map(line).collect()
}

pub(super) fn bundle_title(shown: &Snapshot) -> String {
    format!("bundles: {} filling, {} whole", shown.ground.bundles_open, shown.ground.bundles_whole)
}

pub(super) fn bundle_lines(shown: &Snapshot, width: u16) -> Vec<Line<'static>> {
    let line = |bundle: &crate::screen::ground::Filling| {
        let name = bundle.name.as_deref().unwrap_or(&bundle.id);
        let room = usize::from(width).saturating_sub(24).max(4);
        let name: String = plain(name).chars().take(room).collect();
        let (whole, of) = bundle.blocks;
        Line::from(vec![
            Span::styled(bar(bundle.percent), Style::new().fg(Color::Cyan)),
            Span::raw(format!(" {:>3.0}% {whole}/{of} ", bundle.percent)),
            Span::raw(name),
        ])
    };
    shown.ground.bundles.iter().map(line).collect()
}

/// Ten columns.
fn bar(percent: f64) -> String {
    let eighths = (0..10).map(|at| {
        let part = (percent / 10.0 - f64::from(at)).clamp(0.0, 1.0);
        if part >= 1.0 {
            '█'
        } else if part >= 0.5 {
            '▌'
        } else {
            '·'
        }
    });
    eighths.collect()
}

pub(super) fn event_title(scene: &Scene<'_>) -> String {
    match scene.app.scrolled() {
        0 => "events".to_owned(),
        by => format!("events, {by} newer above"),
    }
}

pub(super) fn event_lines(scene: &Scene<'_>) -> Vec<Line<'static>> {
    let line = |event: &crate::screen::log::ShownEvent| {
        let style = match event.severity {
            Severity::Info => Style::new(),
            Severity::Warning => Style::new().fg(Color::Yellow),
            Severity::Error | Severity::Critical => Style::new().fg(Color::Red),
        };
        Line::from(vec![
            Span::styled(format!("{} ", at(event.unix_ms)), soft()),
            Span::styled(event.code.to_owned(), style),
            Span::raw(format!(" {}", plain(&event.text))),
        ])
    };
    scene.shown.events.iter().skip(scene.app.scrolled()).map(line).collect()
}

/// Under which key the orders go that are given here.
pub(super) fn order_title(scene: &Scene<'_>) -> String {
    scene.key.as_ref().map_or_else(|| "orders".to_owned(), |key| format!("orders [{key}]"))
}

/// Orders given here with their answers, then the answers to others.
pub(super) fn order_lines(scene: &Scene<'_>) -> Vec<Line<'static>> {
    let answers = &scene.shown.answers;
    let answer_to =
        |order: &Outgoing| answers.iter().find(|a| a.source == scene.source && a.number == order.number);
    let mut lines = Vec::new();
    for order in scene.outgoing {
        let (state, style) = match answer_to(order) {
            // Until when, and what became of it then, the outbox knows.
            Some(answer) if answer.stage == Stage::Armed && order.state.starts_with("armed") => {
                (order.state.clone(), stage_style(answer.stage))
            }
            Some(answer) if answer.stage == Stage::Armed && order.state.starts_with("disarmed") => {
                (order.state.clone(), soft())
            }
            Some(answer) => (answer_words(answer), stage_style(answer.stage)),
            None => (order.state.clone(), soft()),
        };
        let step = order.step.name();
        lines.push(Line::from(vec![
            Span::raw(format!("{} {step} {}: ", order.number, plain(&order.words))),
            Span::styled(state, style),
        ]));
    }
    let is_ours = |a: &&crate::screen::log::ShownAnswer| {
        a.source == scene.source && scene.outgoing.iter().any(|order| order.number == a.number)
    };
    for answer in answers.iter().filter(|answer| !is_ours(answer)) {
        lines.push(Line::from(vec![
            Span::raw(format!("{}/{} {}: ", answer.source, answer.number, answer.order)),
            Span::styled(answer_words(answer), stage_style(answer.stage)),
        ]));
    }
    lines
}

fn answer_words(answer: &crate::screen::log::ShownAnswer) -> String {
    let reason = if answer.reason == "none" { String::new() } else { format!(" ({})", answer.reason) };
    let text = if answer.text.is_empty() { String::new() } else { format!(": {}", plain(&answer.text)) };
    format!("{}{reason}{text}", answer.stage)
}
