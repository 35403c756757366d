//! The dictionary as plans see it: both ends compile and read plans by the very tables of [`crate::dict`].

use std::string::{String, ToString};
use std::vec::Vec;

use super::Orders;
use crate::dict::{EventCode, Hazard, Housekeeping, Order, Packet, Source, digest};

/// The program's own dictionary.
///
/// An order that a plan may not give, or that takes two steps, is refused when the plan is compiled. The channels are the
/// fields of [`Housekeeping`], numbered from 0.
#[derive(Debug, Clone, Copy)]
pub struct Dictionary {
    digest: [u8; 4],
}

impl Default for Dictionary {
    fn default() -> Self {
        let [a, b, c, d, ..] = digest();
        Self { digest: [a, b, c, d] }
    }
}

impl Orders for Dictionary {
    fn encode(&self, words: &str) -> Result<Vec<u8>, String> {
        let order = Order::from_line(words).map_err(|e| e.to_string())?;
        if let Some(def) = order.def() {
            if def.hazard != Hazard::None {
                return Err(std::format!("{:?} takes two steps, which a plan can't do", def.words));
            }
            if !def.sources.has(Source::Plan) {
                return Err(std::format!("a plan may not give the order {:?}", def.words));
            }
        }
        Ok(order.encode().to_vec())
    }

    fn decode(&self, bytes: &[u8]) -> Result<String, String> {
        Order::decode(bytes).map(|order| order.to_string()).map_err(|e| e.to_string())
    }

    fn dictionary_digest(&self) -> [u8; 4] {
        self.digest
    }

    fn event(&self, name: &str) -> Option<u16> {
        EventCode::from_name(name).map(EventCode::code)
    }

    fn event_name(&self, event: u16) -> Option<String> {
        EventCode::from_code(event).map(|code| code.name().to_string())
    }

    fn channel(&self, name: &str) -> Option<u16> {
        Housekeeping::DEF.field(name).map(|(number, _)| number)
    }

    fn channel_name(&self, channel: u16) -> Option<String> {
        Housekeeping::DEF.fields.get(usize::from(channel)).map(|field| field.name.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_names_the_orders_that_a_plan_may_not_give() {
        let refused = crate::dict::ORDERS
            .iter()
            .filter(|def| def.hazard != Hazard::None || !def.sources.has(Source::Plan))
            .map(|def| std::format!("`{}`", def.words));
        let list = refused.collect::<Vec<_>>().join(", ");
        let text = include_str!("../../PLAN.md").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&std::format!("A plan may not give {list}.")), "PLAN.md lacks:\n{list}");
    }

    #[test]
    fn words_events_and_channels_are_found_both_ways() {
        let dictionary = Dictionary::default();
        let bytes = dictionary.encode("pass start 300").unwrap();
        assert_eq!(dictionary.decode(&bytes).unwrap(), "pass start 300 --rate 0");
        let event = dictionary.event("disk-full").unwrap();
        assert_eq!(dictionary.event_name(event).as_deref(), Some("disk-full"));
        let channel = dictionary.channel("temperature").unwrap();
        assert_eq!(dictionary.channel_name(channel).as_deref(), Some("temperature"));
        assert!(dictionary.encode("answers seen 3").unwrap_err().contains("may not give"));
        assert!(dictionary.encode("update start 0a0b0c0d").unwrap_err().contains("two steps"));
        assert_eq!((dictionary.channel("x"), dictionary.channel_name(9_999)), (None, None));
    }
}
