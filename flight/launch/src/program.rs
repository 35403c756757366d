//! Whether a file can be started as far as its first bytes and its length tell: a script, or a whole
//! ELF file of this processor.
//!
//! Asked before the exec, because some C libraries hand whatever the kernel refuses to a shell, and
//! because the kernel starts a file that lacks its end. Says nothing about what the program does.

/// Bytes of an ELF-64 header.
pub const HEAD_BYTES: usize = 64;

const ELF_64_LITTLE_ENDIAN: &[u8] = b"\x7fELF\x02\x01";

/// `e_machine` of this processor (System V ABI, its processor supplements); `None`: any will do.
const MACHINE: Option<u16> = if cfg!(target_arch = "aarch64") {
    Some(183)
} else if cfg!(target_arch = "x86_64") {
    Some(62)
} else {
    None
};

/// Whether a file of `file_bytes` that begins with `head` (up to [`HEAD_BYTES`]) is a script, and not a program.
///
/// # Errors
/// Why it can't be started.
pub fn check(head: &[u8], file_bytes: u64) -> Result<bool, &'static str> {
    if head.starts_with(b"#!") {
        return Ok(true);
    }
    if !head.starts_with(ELF_64_LITTLE_ENDIAN) {
        return Err("neither a 64-bit ELF file nor a script");
    }
    let field = |at: usize| head.get(at..at.saturating_add(2)).and_then(|bytes| bytes.try_into().ok());
    let number = |at: usize| field(at).map(u16::from_le_bytes).ok_or("its ELF header is cut off");
    if MACHINE.is_some_and(|machine| Ok(machine) != number(18)) {
        return Err("built for another processor");
    }
    // The table of sections is the last thing in what linkers write.
    let table: Option<[u8; 8]> = head.get(40..48).and_then(|bytes| bytes.try_into().ok());
    let table = u64::from_le_bytes(table.ok_or("its ELF header is cut off")?);
    let table_bytes = u64::from(number(58)?).saturating_mul(u64::from(number(60)?));
    if table.saturating_add(table_bytes) > file_bytes {
        return Err("its end is missing");
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This very test program.
    fn program() -> Vec<u8> {
        std::fs::read(std::env::current_exe().unwrap()).unwrap()
    }

    #[test]
    fn a_whole_program_and_a_script_can_be_started() {
        let program = program();
        assert_eq!(check(&program[..HEAD_BYTES], program.len() as u64), Ok(false));
        assert_eq!(check(b"#!/bin/sh\n", 10), Ok(true));
    }

    #[test]
    fn a_cut_program_cannot() {
        let program = program();
        let whole = program.len();
        for bytes in (0..HEAD_BYTES).chain([HEAD_BYTES, whole / 2, whole - 1]) {
            let head = &program[..bytes.min(HEAD_BYTES)];
            assert!(check(head, bytes as u64).is_err(), "{bytes} of {whole} bytes");
        }
    }

    #[test]
    fn what_is_no_program_of_this_processor_cannot() {
        let mut head = program()[..HEAD_BYTES].to_vec();
        head[18] ^= 0xff;
        assert_eq!(check(&head, u64::MAX), Err("built for another processor"));
        assert_eq!(check(&[0; HEAD_BYTES], 1 << 20), Err("neither a 64-bit ELF file nor a script"));
    }

    #[test]
    fn no_header_makes_it_panic() {
        for byte in [0, 0x7f, 0xff] {
            for bytes in 0..=HEAD_BYTES {
                let mut head = vec![byte; bytes];
                for (to, from) in head.iter_mut().zip(ELF_64_LITTLE_ENDIAN) {
                    *to = *from;
                }
                assert!(check(&head, 0).is_err(), "{bytes} bytes of {byte}");
            }
        }
    }
}
