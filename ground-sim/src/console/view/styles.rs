//! Colours, and how times, sizes and texts are written.

use passband_flight::telemetry::Level;
use passband_proto::dict::{Mode, Stage};
use ratatui::style::{Color, Modifier, Style};

use crate::catalogue::time::rfc3339;
use crate::console::app::Tone;

pub(super) fn at(unix_ms: u64) -> String {
    rfc3339(unix_ms).get(11..19).unwrap_or_default().to_owned()
}

pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..=999_999 => format!("{} kB", bytes / 1000),
        1_000_000..=999_999_999 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

/// Without what a terminal would take for more than text.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

pub(super) fn soft() -> Style {
    Style::new().fg(Color::DarkGray)
}

pub(super) fn mode_style(mode: Mode) -> Style {
    Style::new().fg(match mode {
        Mode::Nominal => Color::Green,
        Mode::Shedding => Color::Yellow,
        Mode::Safe => Color::Red,
    })
}

pub(super) fn level_style(level: Option<Level>) -> Style {
    match level {
        Some(Level::Red) => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
        Some(Level::Yellow) => Style::new().fg(Color::Yellow),
        Some(Level::Green) | None => Style::new(),
    }
}

pub(super) fn stage_style(stage: Stage) -> Style {
    match stage {
        Stage::Done => Style::new().fg(Color::Green),
        Stage::Armed => Style::new().fg(Color::Yellow),
        Stage::Refused | Stage::Failed => Style::new().fg(Color::Red),
        Stage::Accepted | Stage::Started => Style::new(),
    }
}

pub(super) fn tone_style(tone: Tone) -> Style {
    match tone {
        Tone::Plain => soft(),
        Tone::Warning => Style::new().fg(Color::Yellow),
        Tone::Error => Style::new().fg(Color::Red),
    }
}
