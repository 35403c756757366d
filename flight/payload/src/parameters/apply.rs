//! Where each parameter stands in the configuration, and the configuration with parameters put there.
//!
//! Never refuses a whole set for one value: what doesn't go with the rest is left out, and named. Texts are those that
//! the dictionary prints.

use passband_proto::dict::{Kind, ParameterId, Severity, Shed, Transmit, Value, words};

use super::live::{Live, PlanName};
use crate::config::{Config, TransmitMode};

/// A configuration with parameters in their places.
#[derive(Debug, Clone)]
pub struct Effective {
    /// The configuration.
    pub config: Config,
    /// What counts at once.
    pub live: Live,
    /// Parameters that are not in their places, as they don't go with the rest, and why.
    pub left_out: Vec<(ParameterId, String)>,
}

/// The configuration with values in their places; each is one of its parameter.
pub fn apply<'a>(
    configured: &Config,
    values: impl Iterator<Item = (ParameterId, &'a str)> + Clone,
) -> Effective {
    let whole = put_all(configured, values.clone());
    if whole.config.fault().is_none() {
        return whole;
    }
    // One after the other, then: what brings the fault is left out.
    let mut kept: Vec<(ParameterId, &str)> = Vec::new();
    let mut left_out = Vec::new();
    for value in values {
        kept.push(value);
        if let Some(fault) = put_all(configured, kept.iter().copied()).config.fault() {
            kept.pop();
            left_out.push((value.0, fault));
        }
    }
    Effective { left_out, ..put_all(configured, kept.into_iter()) }
}

fn put_all<'a>(configured: &Config, values: impl Iterator<Item = (ParameterId, &'a str)>) -> Effective {
    let mut config = configured.clone();
    let mut live = Live::of(&config);
    let mut left_out = Vec::new();
    for (id, text) in values {
        if !place(id, &mut config, &mut live).put(text) {
            left_out.push((id, format!("{text:?} is no value of it")));
        }
    }
    (live.telemetry, live.command) = (config.telemetry.clone(), config.command.clone());
    Effective { config, live, left_out }
}

impl Effective {
    /// A parameter's value, as the dictionary prints it.
    pub(super) fn text(&mut self, id: ParameterId) -> String {
        place(id, &mut self.config, &mut self.live).text()
    }
}

/// Where a parameter stands.
enum Place<'a> {
    U32(&'a mut u32),
    U64(&'a mut u64),
    Size(&'a mut usize),
    F32(&'a mut f32),
    F64(&'a mut f64),
    Transmit(&'a mut TransmitMode),
    Severity(&'a mut Severity),
    Shed(&'a mut Shed),
    Limits(&'a mut [f32; 4]),
    Plan(&'a mut PlanName),
}

/// Every parameter has its place here: one without doesn't compile.
fn place<'a>(id: ParameterId, config: &'a mut Config, live: &'a mut Live) -> Place<'a> {
    use ParameterId as Id;
    let (limits, actions) = (&mut live.limits, &mut live.actions);
    match id {
        Id::AlertProbability => Place::F32(&mut config.triage.params.alert_probability),
        Id::SuspectProbability => Place::F32(&mut config.triage.params.suspect_probability),
        Id::DiscardCloud => Place::F32(&mut config.triage.params.discard_cloud),
        Id::TriageThreads => Place::Size(&mut config.triage.params.threads),
        Id::Wind => Place::F64(&mut config.triage.params.wind_m_s),
        Id::DownlinkRate => Place::U64(&mut config.downlink.rate_bps),
        Id::ExpectedLoss => Place::F64(&mut config.downlink.expected_loss),
        Id::TransmitBy => Place::Transmit(&mut config.downlink.transmit),
        Id::AlertsPerMinute => Place::U32(&mut config.alerts.per_minute),
        Id::AlertsStale => Place::U64(&mut config.alerts.stale_s),
        Id::AlertsSameSite => Place::U32(&mut config.alerts.same_site_m),
        Id::OverdueShare => Place::F64(&mut config.queue.overdue_share),
        Id::StoreQuota => Place::U64(&mut config.store.quota_bytes),
        Id::ScrubRate => Place::U64(&mut config.store.scrub_bytes_per_s),
        Id::NotesEvery => Place::U64(&mut config.products.notes_s),
        Id::BeaconEvery => Place::U32(&mut config.telemetry.beacon_s),
        Id::HousekeepingEvery => Place::U32(&mut config.telemetry.housekeeping_s),
        Id::TelemetryRate => Place::U32(&mut config.telemetry.rate_bps),
        Id::EventSeverity => Place::Severity(&mut config.telemetry.events),
        Id::ArmFor => Place::U32(&mut config.command.arm_s),
        Id::AnswerEvery => Place::U32(&mut config.command.answer_s),
        Id::ShedAlways => Place::Shed(&mut live.shed),
        Id::TemperatureLimits => Place::Limits(&mut limits.temperature),
        Id::PowerLimits => Place::Limits(&mut limits.power),
        Id::MemoryLimits => Place::Limits(&mut limits.memory_free),
        Id::DiskLimits => Place::Limits(&mut limits.disk_free),
        Id::FrameAgeLimits => Place::Limits(&mut limits.frame_age),
        Id::AlertLimits => Place::Limits(&mut limits.alerts_pending),
        Id::RefusedLimits => Place::Limits(&mut limits.uplink_refused),
        Id::TemperatureAction => Place::Plan(&mut actions.temperature),
        Id::PowerAction => Place::Plan(&mut actions.power),
        Id::MemoryAction => Place::Plan(&mut actions.memory_free),
        Id::DiskAction => Place::Plan(&mut actions.disk_free),
        Id::FrameAgeAction => Place::Plan(&mut actions.frame_age),
        Id::AlertAction => Place::Plan(&mut actions.alerts_pending),
        Id::RefusedAction => Place::Plan(&mut actions.uplink_refused),
    }
}

impl Place<'_> {
    /// Puts a value there; whether the text is one.
    fn put(self, text: &str) -> bool {
        match self {
            Self::U32(to) => put(to, text.parse().ok()),
            Self::U64(to) => put(to, text.parse().ok()),
            Self::Size(to) => put(to, text.parse().ok()),
            Self::F32(to) => put(to, text.parse().ok()),
            // The text, not the number that the dictionary makes of it: 0.2 is another f32 than f64.
            Self::F64(to) => put(to, text.parse().ok()),
            Self::Transmit(to) => put(to, Transmit::from_name(text).map(mode_of)),
            Self::Severity(to) => put(to, Severity::from_name(text)),
            Self::Shed(to) => put(to, Shed::from_name(text)),
            Self::Limits(to) => put(to, limits_of(text)),
            Self::Plan(to) => put(to, Some(PlanName::cut(text))),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::U32(value) => value.to_string(),
            Self::U64(value) => value.to_string(),
            Self::Size(value) => value.to_string(),
            Self::F32(value) => value.to_string(),
            Self::F64(value) => short(**value),
            Self::Transmit(value) => value.name().to_owned(),
            Self::Severity(value) => value.to_string(),
            Self::Shed(value) => value.to_string(),
            Self::Limits(value) => Value::Limits(**value).to_string(),
            Self::Plan(value) => value.0.as_str().to_owned(),
        }
    }
}

fn put<T>(to: &mut T, value: Option<T>) -> bool {
    value.map(|value| *to = value).is_some()
}

fn limits_of(text: &str) -> Option<[f32; 4]> {
    match words::parse(Kind::Limits, text, &mut Vec::new())? {
        Value::Limits(limits) => Some(limits),
        _ => None,
    }
}

/// No more digits than the dictionary has: those of an f32.
#[expect(clippy::cast_possible_truncation, reason = "fewer digits are what is wanted")]
fn short(value: f64) -> String {
    (value as f32).to_string()
}

fn mode_of(transmit: Transmit) -> TransmitMode {
    match transmit {
        Transmit::Bus => TransmitMode::Bus,
        Transmit::Manual => TransmitMode::Manual,
        Transmit::Plan => TransmitMode::Plan,
        Transmit::Always => TransmitMode::Always,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use passband_proto::dict::{PARAMETERS, ParameterDef};
    use std::path::Path;

    /// With windows, so that a plan may open the transmitter.
    fn configured() -> Config {
        Config::parse("[passes]\nwindows = 'w'", Path::new("/c.toml")).unwrap()
    }

    /// The ends of a parameter's range and its names: what must all be in order in its place.
    fn samples(def: &ParameterDef) -> Vec<String> {
        match def.kind {
            Kind::Name8(names) | Kind::Name16(names) => {
                names.values.iter().map(|v| v.name.to_owned()).collect()
            }
            Kind::Limits => vec!["-3.5,-,0.25,900".into(), "-,-,-,-".into()],
            Kind::FixedText(_) => vec!["cool-down".into(), String::new()],
            Kind::F32 => [def.least, def.most, f64::midpoint(def.least, def.most)].map(short).into(),
            _ => [def.least, def.most, f64::midpoint(def.least, def.most).floor()]
                .map(|x| format!("{x}"))
                .into(),
        }
    }

    #[test]
    fn the_dictionary_s_defaults_are_the_configuration_s() {
        let mut defaults = apply(&Config::default(), std::iter::empty());
        for def in PARAMETERS {
            assert_eq!(defaults.text(def.id), def.default, "{}", def.id);
        }
    }

    #[test]
    fn every_parameter_changes_its_own_place_and_both_ends_of_its_range_are_in_order() {
        let configured = configured();
        let mut before = apply(&configured, std::iter::empty());
        for def in PARAMETERS {
            for text in samples(def) {
                let value = def.parse(&text, &mut Vec::new()).unwrap().unwrap().to_string();
                let mut after = apply(&configured, [(def.id, value.as_str())].into_iter());
                assert_eq!(after.left_out, [], "{} = {value}", def.id);
                for other in PARAMETERS {
                    let (was, is) = (before.text(other.id), after.text(other.id));
                    let wanted = if other.id == def.id { &value } else { &was };
                    assert_eq!(&is, wanted, "{} = {value}: {}", def.id, other.id);
                }
                let moved = after.config != before.config
                    || format!("{:?}", after.live) != format!("{:?}", before.live);
                assert_eq!(moved, before.text(def.id) != value, "{} = {value}", def.id);
            }
        }
    }

    #[test]
    fn what_does_not_go_with_the_rest_is_left_out_alone() {
        let values =
            [(ParameterId::Wind, "3.5"), (ParameterId::TransmitBy, "plan"), (ParameterId::BeaconEvery, "7")];
        let effective = apply(&Config::default(), values.into_iter());
        let [(id, why)] = &effective.left_out[..] else { panic!("{:?}", effective.left_out) };
        assert!(*id == ParameterId::TransmitBy && why.contains("needs [passes]"), "{why}");
        assert_eq!((effective.config.triage.params.wind_m_s, effective.live.telemetry.beacon_s), (3.5, 7));
        assert_eq!(effective.config.telemetry.beacon_s, 7);
    }

    #[test]
    fn a_share_is_the_number_that_the_text_says() {
        let effective = apply(&Config::default(), [(ParameterId::ExpectedLoss, "0.3")].into_iter());
        assert_eq!(effective.config.downlink.expected_loss.to_bits(), 0.3_f64.to_bits());
    }
}
