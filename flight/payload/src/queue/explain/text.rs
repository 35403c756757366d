//! An explanation for people: one screen of 80 columns and 24 lines.

use core::fmt;

use super::{Cost, Explanation, Forecast, Moment, NotExpected, Reason};
use crate::command::{date, duration, size, wrap};

impl Explanation {
    /// For a screen: at most 23 lines of at most 80 columns.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        let mut line = |text: &str| wrap(text, 2, &mut out);
        let place = self.place.map_or_else(String::new, |place| format!(", place {place}"));
        line(&format!("{} {}: {}{place}", self.kind.name(), self.id, self.state.name()));
        self.reasons.iter().for_each(|reason| line(&format!("  - {reason}")));
        line(&format!("ahead        {}", Self::cost(&self.ahead)));
        line(&format!("itself       {}", Self::cost(&self.own)));
        match &self.forecast {
            Forecast::Expected { first, last, probability } => {
                line(&format!("first symbol {}", self.moment(first)));
                line(&format!("last symbol  {}", self.moment(last)));
                line(&format!("down then    with probability {}", rounded(*probability)));
            }
            Forecast::NotExpected { because } => line(&format!("not expected {because}")),
        }
        line(&format!("down now     with probability {}", rounded(self.probability)));
        out
    }

    fn cost(cost: &Cost) -> String {
        let Cost { bundles, symbols, link_bytes } = cost;
        format!("{bundles} bundle(s): {symbols} symbols to send, {}", size(*link_bytes))
    }

    fn moment(&self, at: &Moment) -> String {
        let away = duration(at.unix_ms.saturating_sub(self.now_unix_ms) / 1000);
        let into = duration(at.unix_ms.saturating_sub(at.aos_unix_ms) / 1000);
        format!("{}, in {away}: {into} into the pass", date(at.unix_ms))
    }
}

/// A probability, with one digit more than it has nines.
fn rounded(probability: f64) -> String {
    let nines = (0..9).take_while(|nth| probability > 1.0 - 0.1_f64.powi(*nth)).count();
    if probability < 1.0 { format!("{probability:.digits$}", digits = nines + 1) } else { "1".to_owned() }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { since_unix_ms } => write!(f, "held by operator since {}", date(*since_unix_ms)),
            Self::Damaged => f.write_str("found broken on the disk"),
            Self::Known => f.write_str("the ground reported that it is whole"),
            Self::Presumed { probability } => {
                write!(f, "presumed down with probability {}", rounded(*probability))
            }
            Self::OnLink { others } => write!(f, "on the link, with {others} other(s)"),
            Self::Promoted { before } => write!(f, "promoted by operator, {before} promoted before it"),
            Self::Class { class, higher, same } => {
                write!(f, "class {class}, {higher} of higher class ahead, {same} of its own")
            }
            Self::Tasking { name, share, of, lead_bytes } => {
                write!(f, "tasking '{name}' has share {share} of {of}")?;
                if *lead_bytes > 0 { write!(f, " and is ahead by {}", size(*lead_bytes)) } else { Ok(()) }
            }
            Self::Smaller { bundles } => write!(f, "{bundles} smaller of its class and tasking go first"),
            Self::LetIn { bundles } => write!(f, "{bundles} overdue of lower class are let in ahead"),
            Self::Overdue { by_s } => write!(f, "overdue by {by_s} s"),
            Self::Due { in_s } => write!(f, "due in {}", duration(*in_s)),
            Self::PartlySent { sent_symbols, source_symbols } => {
                write!(f, "{sent_symbols} symbols of it were sent; it has {source_symbols}")
            }
        }
    }
}

impl fmt::Display for NotExpected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IsKnown => f.write_str("it is down"),
            Self::IsPresumed => f.write_str("it is presumed down: only left-over capacity goes to it"),
            Self::IsHeld => f.write_str("it is held"),
            Self::IsDamaged => f.write_str("it is broken"),
            Self::NoPass => f.write_str("no pass is planned"),
            Self::TooShort { lacking_bytes } => {
                write!(f, "the passes planned are too short for it by {}", size(*lacking_bytes))
            }
        }
    }
}
