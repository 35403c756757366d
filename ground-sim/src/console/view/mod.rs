//! A snapshot and the application, drawn as panes: the same at 80×24 and at 200×60, where there are more of them.
//!
//! What comes from the satellite or is typed is drawn without its control characters.

mod panes;
mod styles;

use passband_flight::telemetry::Level;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Paragraph};

use self::panes::{
    alert_lines, bundle_lines, bundle_title, channel_lines, channel_title, digest_lines, event_lines,
    event_title, link_lines, link_words, order_lines, order_title, pass_lines,
};
use self::styles::{level_style, mode_style, plain, soft, tone_style};
use super::app::{App, Tone};
use super::commanding::Outgoing;
use super::guard::Guard;
use crate::catalogue::time::rfc3339;
use crate::screen::Snapshot;
use crate::screen::passes::{Countdown, clock};

/// From so many columns and rows on there are three columns of panes.
const WIDE: (u16, u16) = (120, 36);
/// Rows of the header and of the prompt.
const HEAD_ROWS: u16 = 2;
const PROMPT_ROWS: u16 = 4;

/// What is drawn.
#[derive(Debug)]
pub struct Scene<'a> {
    /// What is known.
    pub shown: &'a Snapshot,
    /// The application.
    pub app: &'a App,
    /// Orders given here, the newest first.
    pub outgoing: &'a [Outgoing],
    /// By which way they go.
    pub source: u16,
    /// What the key is called that orders given here go under.
    pub key: Option<String>,
    /// A steady clock, ms.
    pub now_ms: u64,
}

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, scene: &Scene<'_>) {
    let rows = [Constraint::Length(HEAD_ROWS), Constraint::Min(0), Constraint::Length(PROMPT_ROWS)];
    let [head, body, prompt] = Layout::vertical(rows).areas(frame.area());
    frame.render_widget(Paragraph::new(header(scene, head.width)), head);
    if body.width >= WIDE.0 && frame.area().height >= WIDE.1 {
        wide(frame, scene, body);
    } else {
        narrow(frame, scene, body);
    }
    draw_prompt(frame, scene, prompt);
}

fn narrow(frame: &mut Frame<'_>, scene: &Scene<'_>, area: Rect) {
    let [left, right] = Layout::horizontal([Constraint::Percentage(45), Constraint::Fill(1)]).areas(area);
    let [channels, bundles] = Layout::vertical([Constraint::Percentage(55), Constraint::Fill(1)]).areas(left);
    let [events, orders] = Layout::vertical([Constraint::Percentage(55), Constraint::Fill(1)]).areas(right);
    pane(frame, channels, &channel_title(scene.shown), channel_lines(scene.shown));
    pane(frame, bundles, &bundle_title(scene.shown), bundle_lines(scene.shown, bundles.width));
    pane(frame, events, &event_title(scene), event_lines(scene));
    pane(frame, orders, &order_title(scene), order_lines(scene));
}

fn wide(frame: &mut Frame<'_>, scene: &Scene<'_>, area: Rect) {
    let thirds = [Constraint::Percentage(30), Constraint::Fill(1), Constraint::Percentage(32)];
    let [left, middle, right] = Layout::horizontal(thirds).areas(area);
    let [digest, channels] = Layout::vertical([Constraint::Length(12), Constraint::Fill(1)]).areas(left);
    let [events, orders] = Layout::vertical([Constraint::Percentage(55), Constraint::Fill(1)]).areas(middle);
    let quarters =
        [Constraint::Length(10), Constraint::Length(6), Constraint::Fill(1), Constraint::Length(9)];
    let [passes, link, bundles, alerts] = Layout::vertical(quarters).areas(right);
    pane(frame, digest, "digest", digest_lines(scene.shown));
    pane(frame, channels, &channel_title(scene.shown), channel_lines(scene.shown));
    pane(frame, events, &event_title(scene), event_lines(scene));
    pane(frame, orders, &order_title(scene), order_lines(scene));
    pane(frame, passes, "passes", pass_lines(scene.shown));
    pane(frame, link, "fast link", link_lines(scene.shown));
    pane(frame, bundles, &bundle_title(scene.shown), bundle_lines(scene.shown, bundles.width));
    pane(frame, alerts, "alerts", alert_lines(scene.shown));
}

fn pane(frame: &mut Frame<'_>, area: Rect, title: &str, lines: Vec<Line<'_>>) {
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(soft())
        .title(Span::styled(format!(" {title} "), Style::new().add_modifier(Modifier::BOLD)));
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn header(scene: &Scene<'_>, width: u16) -> Vec<Line<'static>> {
    let shown = scene.shown;
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mut first = vec![Span::styled(" PASSBAND ", bold.fg(Color::Cyan))];
    if let Some(satellite) = &shown.satellite {
        if let Some(beacon) = &satellite.beacon {
            first.push(Span::raw(format!("sc {} ", beacon.spacecraft)));
        }
        first.push(Span::styled(satellite.mode.to_string(), mode_style(satellite.mode)));
        let age_s = shown.now_unix_ms.saturating_sub(satellite.received_unix_ms) / 1000;
        first.push(Span::styled(format!("  heard {} ago", clock(age_s * 1000)), soft()));
    } else {
        first.push(Span::styled("nothing heard yet", soft()));
    }
    let hidden = [(shown.refused, "of ANOTHER KEY"), (shown.untagged, "WITHOUT A TAG")];
    for (count, what) in hidden.into_iter().filter(|(count, _)| *count > 0) {
        first.push(Span::styled(format!("  {count} {what}"), Style::new().fg(Color::Red)));
    }
    let levels = [(shown.red, "red", Level::Red), (shown.yellow, "yellow", Level::Yellow)];
    for (count, name, level) in levels.into_iter().filter(|(count, ..)| *count > 0) {
        first.push(Span::styled(format!("  {count} {name}"), level_style(Some(level))));
    }
    let time = rfc3339(shown.now_unix_ms);
    let time = format!("{} UTC", time.get(11..19).unwrap_or_default());
    let mut second = vec![Span::raw(" "), countdown(&shown.passes.countdown, bold), Span::raw("  ")];
    second.push(Span::raw(link_words(shown)));
    let lines = [Line::from(first), Line::from(second)];
    let [mut first, second] = lines;
    let gap = usize::from(width).saturating_sub(first.width() + time.len() + 1);
    first.push_span(Span::raw(" ".repeat(gap)));
    first.push_span(Span::styled(time, soft()));
    vec![first, second]
}

fn countdown(countdown: &Countdown, bold: Style) -> Span<'static> {
    match countdown {
        Countdown::Aos { station, ms, .. } => {
            Span::styled(format!("AOS {} T-{}", plain(station), clock(*ms)), bold)
        }
        Countdown::Los { station, ms, .. } => {
            Span::styled(format!("LOS {} T-{}", plain(station), clock(*ms)), bold.fg(Color::Green))
        }
        Countdown::None => Span::styled("no pass is known", soft()),
    }
}

fn draw_prompt(frame: &mut Frame<'_>, scene: &Scene<'_>, area: Rect) {
    let app = scene.app;
    let (message, tone) = match (app.message(), &scene.shown.hint) {
        // As long as nothing else is to be said.
        ((_, Tone::Plain), Some(hint)) if app.is_fresh() => (hint.as_str(), Tone::Error),
        (message, _) => message,
    };
    let said = Line::styled(format!(" {}", plain(message)), tone_style(tone));
    let width = usize::from(area.width.saturating_sub(3)).max(1);
    if let Some(guard) = app.guard() {
        let hot = Style::new().fg(Color::White).bg(Color::Red).add_modifier(Modifier::BOLD);
        let [first, second] = guard_lines(guard, scene.now_ms);
        let lines = vec![Line::styled(first, hot), Line::styled(second, hot), said];
        frame.render_widget(Paragraph::new(lines), area);
        return;
    }
    let (text, cursor) = (app.entry().text(), app.entry().cursor());
    let skipped = (cursor + 1).saturating_sub(width);
    let visible: String = text.chars().skip(skipped).take(width).collect();
    let before: String = text.chars().skip(skipped).take(cursor - skipped).collect();
    let draft = app.draft();
    let hint = match (&draft.error, &draft.usage) {
        _ if text.trim().is_empty() => Line::raw(""),
        (Some(error), _) => Line::styled(format!(" {}", plain(error)), Style::new().fg(Color::Red)),
        (None, Some(usage)) => Line::styled(format!(" {usage}"), Style::new().fg(Color::Green)),
        (None, None) => Line::raw(""),
    };
    let onward = format!(" {}", draft.completions.join(" "));
    let prompt = Line::from(vec![Span::styled("> ", Style::new().fg(Color::Cyan)), Span::raw(visible)]);
    let lines = vec![prompt, hint, Line::styled(onward, soft()), said];
    frame.render_widget(Paragraph::new(lines), area);
    let column = u16::try_from(Span::raw(before).width()).unwrap_or(u16::MAX);
    frame.set_cursor_position(Position::new(area.x.saturating_add(column).saturating_add(2), area.y));
}

fn guard_lines(guard: &Guard, now_ms: u64) -> [String; 2] {
    let order = guard.order();
    match guard {
        Guard::ToArm(_) if guard.takes_two_keys() => [
            format!(" HAZARDOUS: {order} "),
            " It takes two keys. y arms it, f fires what another key has armed, anything else gives it up. "
                .to_owned(),
        ],
        Guard::ToArm(_) => {
            [format!(" HAZARDOUS: {order} "), " ARM it? y arms it, anything else gives it up. ".to_owned()]
        }
        Guard::ToFire { number, arming, typed, .. } => {
            let left = clock(guard.left_ms(now_ms).unwrap_or_default().saturating_add(999));
            let stands = match arming {
                Some(state) => format!(" arming under {number} ({state}): {order}   {left} left "),
                None if *number == 0 => format!(" TO FIRE what another key armed: {order}   {left} left "),
                None => format!(" ARMED under {number}: {order}   {left} left "),
            };
            [stands, format!(" Type FIRE and Enter to fire it, Esc gives it up: {typed}_ ")]
        }
        Guard::Fired { number, state, .. } => [
            format!(" to be FIRED under {number} ({state}): {order} "),
            " Esc takes it back as long as it hasn't left; anything else goes on. ".to_owned(),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::app::Key;
    use crate::console::commanding::{Commanding, NoUplink};
    use crate::screen::tests::{event, housekeeping, sealed};
    use crate::screen::{Ground, Model};
    use crate::uplink::hold::ARM_MS;
    use passband_flight::passes::{PassPlan, Window};
    use passband_proto::dict::{Housekeeping, Severity};
    use passband_proto::packet::TelemetryPacket;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn shown() -> Snapshot {
        let window =
            Window { station: "Kiruna".into(), aos_unix_ms: 100_000, los_unix_ms: 400_000, rate_bps: None };
        let mut model = Model::new(PassPlan::new(vec![window], None, &[], 0).unwrap());
        let packets = [
            sealed(&Housekeeping { power: 31.0, ..housekeeping() }, 1, 1000, None),
            sealed(&event(9, 2000, Severity::Error), 1, 2000, None),
        ];
        for packet in &packets {
            model.take(&TelemetryPacket::parse(packet).unwrap(), 3000);
        }
        model.snapshot(40_000, Ground::default())
    }

    fn text(width: u16, height: u16, app: &App) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let shown = shown();
        let (outgoing, source) = (NoUplink.outgoing(), NoUplink.source());
        let scene = Scene { shown: &shown, app, outgoing: &outgoing, source, key: None, now_ms: 0 };
        terminal.draw(|frame| draw(frame, &scene)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn what_matters_is_there_at_80_by_24_and_more_at_200_by_60() {
        let app = App::new(Vec::new(), ARM_MS);
        let small = text(80, 24, &app);
        for wanted in ["AOS Kiruna T-01:00", "power", "31.0 W", "frame-rejected", "1 red", "link:", "> "] {
            assert!(small.contains(wanted), "{wanted} in\n{small}");
        }
        assert!(small.contains("a frame of no"), "without its line break");
        let large = text(200, 60, &app);
        for wanted in ["digest", "passes", "fast link", "alerts", "uplink_refused"] {
            assert!(large.contains(wanted), "{wanted} in\n{large}");
        }
    }

    #[test]
    fn no_size_of_terminal_panics_and_prompts_are_seen() {
        let mut app = App::new(Vec::new(), ARM_MS);
        "board reboot".chars().for_each(|c| app.key(Key::Char(c), 0, &mut NoUplink));
        for (width, height) in [(1, 1), (2, 3), (10, 5), (79, 23), (121, 37), (400, 3)] {
            text(width, height, &app);
        }
        app.key(Key::Enter, 0, &mut NoUplink);
        assert!(text(80, 24, &app).contains("ARM it?"));
    }
}
