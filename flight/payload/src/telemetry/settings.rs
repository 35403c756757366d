//! What an operator can change of telemetry: the parameters `telemetry.*`, `limits.*`, `actions.*` and
//! `command.answer`. Here are the values that are in force; how they are changed is none of this module's business.

use std::collections::BTreeMap;

use passband_proto::dict::{PARAMETERS, ParameterId, Severity, Value};

/// What telemetry does by; the dictionary's defaults until it is told otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How often the beacon is sent, s; 0: never.
    pub beacon_s: u32,
    /// How often housekeeping is sent, s; 0: never.
    pub housekeeping_s: u32,
    /// The most that is sent, bit/s of packets.
    pub rate_bps: u32,
    /// The least severe event that is sent as a packet.
    pub least_severity: Severity,
    /// How often an answer that nobody acknowledged is sent again at first, s.
    pub answer_s: u32,
    pub(super) limits: BTreeMap<ParameterId, [f32; 4]>,
    pub(super) plans: BTreeMap<ParameterId, String>,
}

impl Default for Settings {
    fn default() -> Self {
        let mut settings = Self {
            beacon_s: 30,
            housekeeping_s: 60,
            rate_bps: 4_800,
            least_severity: Severity::Warning,
            answer_s: 10,
            limits: BTreeMap::new(),
            plans: BTreeMap::new(),
        };
        for def in PARAMETERS {
            if let Ok(Some(value)) = def.parse(def.default, &mut Vec::new()) {
                settings.set(def.id, &value);
            }
        }
        settings
    }
}

impl Settings {
    /// Puts a parameter's value in force, in range by the dictionary. `false`: it is none of telemetry's, or not of
    /// its kind, and nothing has changed.
    pub fn set(&mut self, id: ParameterId, value: &Value<'_>) -> bool {
        let number = || value.number().map(|n| n.clamp(0.0, f64::from(u32::MAX)));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to the range just above"
        )]
        let whole = || number().map(|n| n as u32);
        let severity = || match value {
            Value::Name(_, code) => Severity::from_code(*code),
            _ => None,
        };
        match id {
            ParameterId::BeaconEvery => put(&mut self.beacon_s, whole()),
            ParameterId::HousekeepingEvery => put(&mut self.housekeeping_s, whole()),
            ParameterId::TelemetryRate => put(&mut self.rate_bps, whole()),
            ParameterId::AnswerEvery => put(&mut self.answer_s, whole()),
            ParameterId::EventSeverity => put(&mut self.least_severity, severity()),
            _ => self.set_of_channel(id, value),
        }
    }

    /// The limits that a parameter names: red low, yellow low, yellow high, red high; NaN: no such limit.
    pub fn limits(&self, id: ParameterId) -> [f32; 4] {
        self.limits.get(&id).copied().unwrap_or([f32::NAN; 4])
    }

    /// The plan to start when a channel with these limits is red, if there is to be one: that of the parameter
    /// `actions.X` beside `limits.X`.
    pub fn plan(&self, limits: ParameterId) -> Option<&str> {
        self.plans.get(&action_of(limits)?).map(String::as_str).filter(|name| !name.is_empty())
    }

    fn set_of_channel(&mut self, id: ParameterId, value: &Value<'_>) -> bool {
        match value {
            Value::Limits(limits) => drop(self.limits.insert(id, *limits)),
            Value::Text(name) if id.name().starts_with("actions.") => {
                drop(self.plans.insert(id, (*name).to_owned()));
            }
            _ => return false,
        }
        true
    }
}

fn put<T>(place: &mut T, value: Option<T>) -> bool {
    let Some(value) = value else { return false };
    *place = value;
    true
}

/// The parameter `actions.X` of the parameter `limits.X`.
fn action_of(limits: ParameterId) -> Option<ParameterId> {
    ParameterId::from_code(limits.code().checked_add(0x100)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use passband_proto::dict::{Housekeeping, Packet, ParameterDef};

    #[test]
    fn the_defaults_are_the_dictionarys() {
        let settings = Settings::default();
        assert_eq!((settings.beacon_s, settings.housekeeping_s, settings.rate_bps), (30, 60, 4_800));
        assert_eq!((settings.least_severity, settings.answer_s), (Severity::Warning, 10));
        let power = settings.limits(ParameterId::PowerLimits);
        assert!(power[0].is_nan() && power[2..] == [25.0, 30.0]);
        assert_eq!(settings.plan(ParameterId::PowerLimits), None);
    }

    #[test]
    fn every_channel_with_limits_has_an_action_of_the_same_name() {
        for field in Housekeeping::DEF.fields {
            let Some(limits) = field.limits else { continue };
            let name = limits.name().strip_prefix("limits.").unwrap();
            assert_eq!(name, field.name);
            assert_eq!(action_of(limits).unwrap().name(), format!("actions.{name}"));
        }
    }

    #[test]
    fn parameters_of_telemetry_are_taken_and_others_are_not() {
        let mut settings = Settings::default();
        let mut set = |id, text: &str| {
            let (def, mut bytes) = (ParameterDef::get(id).unwrap(), Vec::new());
            settings.set(id, &def.parse(text, &mut bytes).unwrap().unwrap())
        };
        assert!(set(ParameterId::BeaconEvery, "0") && set(ParameterId::TelemetryRate, "300"));
        assert!(set(ParameterId::EventSeverity, "critical") && set(ParameterId::PowerAction, "cool"));
        assert!(set(ParameterId::PowerLimits, "-,-,1,2"));
        assert!(!set(ParameterId::Wind, "3") && !set(ParameterId::TransmitBy, "plan"));
        assert_eq!((settings.beacon_s, settings.rate_bps), (0, 300));
        assert_eq!(settings.plan(ParameterId::PowerLimits), Some("cool"));
        assert_eq!(settings.limits(ParameterId::PowerLimits)[2..], [1.0, 2.0]);
        assert!(!settings.set(ParameterId::BeaconEvery, &Value::Text("x")), "of another kind");
    }
}
