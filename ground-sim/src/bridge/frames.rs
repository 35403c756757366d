//! Command packets out of a stream of TCP, by their length field: the stream comes from a program on this machine, whole or not at
//! all. Whatever can't be the beginning of a command ends the stream.

use passband_proto::packet::{COMMAND_APID, CommandPacket, PRIMARY_BYTES};

/// Packets of one stream.
#[derive(Debug, Default)]
pub struct Frames {
    held: Vec<u8>,
}

/// The stream holds something else than command packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoCommand;

impl Frames {
    /// Takes the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next packet, if it is whole.
    ///
    /// # Errors
    /// What stands there is no command packet.
    pub fn next_packet(&mut self) -> Result<Option<Vec<u8>>, NoCommand> {
        let Some((head, _)) = self.held.split_first_chunk::<PRIMARY_BYTES>() else { return Ok(None) };
        let [id_high, id_low, _, _, long_high, long_low] = *head;
        let whole = usize::from(u16::from_be_bytes([long_high, long_low])) + PRIMARY_BYTES + 1;
        if u16::from_be_bytes([id_high, id_low]) != 0x1000 | COMMAND_APID || whole > CommandPacket::MAX_BYTES
        {
            return Err(NoCommand);
        }
        if self.held.len() < whole {
            return Ok(None);
        }
        Ok(Some(self.held.drain(..whole).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_cut_by_their_length_and_junk_ends_the_stream() {
        let packet = [0x10, 0xFF, 0xC0, 0, 0, 6, 0, 0, 0, 0, 1, 0, 1];
        let mut frames = Frames::default();
        for byte in [packet, packet].concat() {
            frames.push(&[byte]);
        }
        assert_eq!(frames.next_packet(), Ok(Some(packet.to_vec())));
        assert_eq!(frames.next_packet(), Ok(Some(packet.to_vec())));
        frames.push(&packet[..9]);
        assert_eq!(frames.next_packet(), Ok(None));
        let mut frames = Frames::default();
        frames.push(b"GET / HTTP/1.1");
        assert_eq!(frames.next_packet(), Err(NoCommand));
        let mut frames = Frames::default();
        frames.push(&[0x10, 0xFF, 0xC0, 0, 0xFF, 0xFF]);
        assert_eq!(frames.next_packet(), Err(NoCommand));
    }
}
