//! A clear command packet of another ground system: checked against the dictionary, before anything is sent.
//!
//! What comes is `proto/FORMAT.md`'s clear command packet, as the dictionaries for Yamcs and COSMOS lay it out. Its number and its
//! sequence count say nothing here: the outbox gives others. A length of 0 is filled in: Yamcs's `GenericCommandPostprocessor`
//! leaves it, and a datagram has a length of its own. Never sends anything.

use passband_proto::dict::{Hazard, Order, Source};
use passband_proto::packet::{CommandPacket, Mode, PRIMARY_BYTES};

use crate::commands::order::one_step;
use crate::uplink::names::check_order;

/// Why a command isn't sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// What a packet orders, if whoever holds the key may order it.
///
/// # Errors
/// It is no command packet, no order, not for this role, or skips a step of a hazardous order.
pub fn accept(packet: &[u8], role: Source) -> Result<(Mode, Order), Refused> {
    let mut packet = packet.to_vec();
    fill_length(&mut packet);
    let command = CommandPacket::parse(&packet)
        .map_err(|e| Refused(format!("{} bytes are no command: {e}", packet.len())))?;
    let order = Order::decode(command.order).map_err(|e| Refused(e.to_string()))?;
    let def = order.def().ok_or_else(|| Refused("the dictionary has no such order".to_owned()))?;
    if !def.sources.has(role) {
        return Err(Refused(format!("{} may not be given by {role}", def.words)));
    }
    check_order(&order).map_err(|e| Refused(e.to_string()))?;
    match (def.hazard, command.mode) {
        (Hazard::None, Mode::Run) | (Hazard::TwoSteps | Hazard::TwoKeys, Mode::Arm | Mode::Fire) => {
            Ok((command.mode, order))
        }
        (Hazard::None, Mode::Arm | Mode::Fire) => {
            Err(Refused(format!("{}; order_flags has to be run", one_step(def))))
        }
        (Hazard::TwoSteps | Hazard::TwoKeys, Mode::Run) => {
            Err(Refused(format!("{} is hazardous: send it with order_flags arm, then with fire", def.words)))
        }
    }
}

fn fill_length(packet: &mut [u8]) {
    let behind = packet.len().checked_sub(PRIMARY_BYTES + 1).and_then(|behind| u16::try_from(behind).ok());
    if let (Some(behind), Some(field)) = (behind, packet.get_mut(4..6))
        && field == [0, 0]
    {
        field.copy_from_slice(&behind.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(mode: Mode, line: &str) -> Vec<u8> {
        let order = Order::from_line(line).unwrap().encode();
        let mut out = [0; CommandPacket::MAX_BYTES];
        let command = CommandPacket { sequence_count: 9, mode, number: 77, order: &order };
        let bytes = command.write(&mut out).unwrap();
        out[..bytes].to_vec()
    }

    #[test]
    fn commands_are_checked_and_hazardous_ones_take_two_steps() {
        let takes =
            |mode, line| accept(&packet(mode, line), Source::Operator).map(|(_, order)| order.to_string());
        let says = |mode, line| takes(mode, line).unwrap_err().to_string();
        assert_eq!(takes(Mode::Run, "pass stop").unwrap(), "pass stop");
        assert_eq!(takes(Mode::Arm, "board reboot").unwrap(), "board reboot");
        assert!(says(Mode::Run, "board reboot").contains("order_flags arm, then with fire"));
        assert!(says(Mode::Fire, "ping").contains("one step"));
        assert!(says(Mode::Run, "script run ../x").contains("a script's name is"));
        let science = accept(&packet(Mode::Run, "pass stop"), Source::Science).unwrap_err().to_string();
        assert_eq!(science, "pass stop may not be given by science");
    }

    #[test]
    fn a_length_that_isn_t_filled_in_is_and_junk_is_refused() {
        let mut bytes = packet(Mode::Run, "ping");
        bytes[4..6].fill(0);
        assert!(accept(&bytes, Source::Operator).is_ok());
        bytes[5] = 1;
        assert!(accept(&bytes, Source::Operator).unwrap_err().to_string().contains("no command"));
        for bytes in [&[][..], &[0x10], &[0x10, 0xFF, 0xC0, 0, 0, 0], &[0; 900]] {
            assert!(accept(bytes, Source::Operator).is_err());
        }
    }
}
