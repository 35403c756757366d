//! What a supervisor is told: systemd's protocol of datagrams to `$NOTIFY_SOCKET` (sd_notify(3)), a path, or with a
//! leading `@` an abstract name. Without that variable nothing is told to nobody.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Where the supervisor listens.
pub const SOCKET_VARIABLE: &str = "NOTIFY_SOCKET";
/// Set where it ends a process that doesn't say it is alive, µs.
pub const WATCHDOG_VARIABLE: &str = "WATCHDOG_USEC";
/// The process that this is asked of, if not of any.
const WATCHDOG_PID_VARIABLE: &str = "WATCHDOG_PID";

/// A supervisor that listens, or nobody.
#[derive(Debug, Default)]
pub struct Notify {
    to: Option<(UnixDatagram, SocketAddr)>,
    wants_life: bool,
}

impl Notify {
    /// The supervisor that the environment names, if it names one.
    ///
    /// # Errors
    /// What it names can't be spoken to.
    pub fn from_env() -> io::Result<Self> {
        let Some(name) = env::var_os(SOCKET_VARIABLE).filter(|name| !name.is_empty()) else {
            return Ok(Self::default());
        };
        let pid = env::var(WATCHDOG_PID_VARIABLE).ok();
        let asked = pid.is_none_or(|pid| pid == std::process::id().to_string());
        let wants_life =
            env::var(WATCHDOG_VARIABLE).is_ok_and(|usec| usec.parse::<u64>().is_ok_and(|n| n > 0));
        Self::to(&name, wants_life && asked)
    }

    /// The supervisor at `name`; `wants_life`: it ends a process that doesn't say it is alive.
    ///
    /// # Errors
    /// It can't be spoken to.
    pub fn to(name: &OsStr, wants_life: bool) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
            _ => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { to: Some((socket, address)), wants_life })
    }

    /// The payload is at work.
    pub fn ready(&self) -> io::Result<()> {
        self.tell("READY=1")
    }

    /// It is alive.
    pub fn alive(&self) -> io::Result<()> {
        if self.wants_life { self.tell("WATCHDOG=1") } else { Ok(()) }
    }

    /// How it is, in a line for people.
    pub fn status(&self, text: &str) -> io::Result<()> {
        self.tell(&format!("STATUS={}", crate::telemetry::printable(text)))
    }

    /// It stops.
    pub fn stopping(&self) -> io::Result<()> {
        self.tell("STOPPING=1")
    }

    fn tell(&self, text: &str) -> io::Result<()> {
        let Some((socket, address)) = &self.to else { return Ok(()) };
        socket.send_to_addr(text.as_bytes(), address).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 200];
        let bytes = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..bytes].to_vec()).unwrap()
    }

    #[test]
    fn a_supervisor_is_told_by_path_or_abstract_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        let name = format!("passband-test-{}", std::process::id());
        let abstract_name = SocketAddr::from_abstract_name(&name).unwrap();
        let by_name = UnixDatagram::bind_addr(&abstract_name).unwrap();
        for (socket, name) in [(by_path, path.into_os_string()), (by_name, format!("@{name}").into())] {
            let notify = Notify::to(&name, true).unwrap();
            notify.ready().unwrap();
            notify.alive().unwrap();
            notify.status("safe mode\nREADY=1").unwrap();
            notify.stopping().unwrap();
            let all: Vec<_> = (0..4).map(|_| heard(&socket)).collect();
            assert_eq!(all, ["READY=1", "WATCHDOG=1", "STATUS=safe mode READY=1", "STOPPING=1"]);
        }
    }

    #[test]
    fn nobody_is_told_nothing_and_one_that_is_gone_is_an_error() {
        Notify::default().ready().unwrap();
        Notify::default().alive().unwrap();
        assert!(Notify::to(OsStr::new("/nowhere/notify"), false).unwrap().ready().is_err());
        assert!(Notify::to(OsStr::new(&"x".repeat(200)), false).is_err());
    }
}
