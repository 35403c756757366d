//! The dictionary as a plan's compiler sees it: words of orders, names of events, channels of housekeeping.

use passband_proto::dict::{EventCode, Hazard, Housekeeping, Order, Packet, Source, digest};
use passband_proto::plan::Orders;

/// This program's dictionary. Channels are the fields of housekeeping, numbered from 0.
///
/// An order that a plan may not give is refused here, and so is one that takes two steps: nobody is there to take the second.
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
            if !def.sources.has(Source::Plan) {
                return Err(format!("{} may not be given by a plan", def.words));
            }
            if def.hazard != Hazard::None {
                return Err(format!("{} takes two steps, which a plan can't do", def.words));
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
        EventCode::from_code(event).map(|code| code.name().to_owned())
    }

    fn channel(&self, name: &str) -> Option<u16> {
        Housekeeping::DEF.field(name).map(|(number, _)| number)
    }

    fn channel_name(&self, channel: u16) -> Option<String> {
        Housekeeping::DEF.fields.get(usize::from(channel)).map(|field| field.name.to_owned())
    }
}
