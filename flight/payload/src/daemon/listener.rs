//! Sockets that datagrams come in by. An interface may have its address only long after boot: a socket that can't be
//! bound is told of and tried again every few seconds, as long as the daemon lives, and all else is at work meanwhile.
//!
//! It never ends the daemon, and never gives up a socket that it has: a task that is begun anew goes on with it.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use passband_proto::dict::EventCode;
use tokio::net::UdpSocket;
use tokio::time::sleep;

use super::pulse::Beat;
use super::shared::Shared;
use super::{DaemonError, bind, tokio_socket};
use crate::telemetry::Report;

/// How often it is tried; tasks check in as often, so that it is less than their least deadline.
pub(super) const RETRY: Duration = Duration::from_secs(3);

/// A place where datagrams are to come in.
#[derive(Debug)]
pub(crate) struct Listener {
    what: &'static str,
    address: SocketAddr,
    code: EventCode,
    every: Duration,
    socket: OnceLock<Arc<UdpSocket>>,
}

impl Listener {
    /// Binds the address of a setting, if it can be bound now; `code` is the event that tells that it can't.
    /// To be called in the asynchronous loop.
    pub(crate) fn open(what: &'static str, address: SocketAddr, code: EventCode) -> Arc<Self> {
        let listener = Self { what, address, code, every: RETRY, socket: OnceLock::new() };
        // Whoever waits for it tells why it isn't there.
        let _later = listener.socket();
        Arc::new(listener)
    }

    /// Waits for the socket; `beat` is that of the task that does.
    pub(crate) async fn bound(&self, shared: &Shared, beat: &Beat) -> Arc<UdpSocket> {
        loop {
            beat.check_in();
            match self.socket() {
                Ok(socket) => return socket,
                Err(e) => {
                    let text = format!("{e}; it is tried again every {} s", self.every.as_secs());
                    shared.throttled(self.what, &Report::error(self.code, text));
                }
            }
            sleep(self.every).await;
        }
    }

    /// The socket, bound now if it wasn't.
    fn socket(&self) -> Result<Arc<UdpSocket>, DaemonError> {
        if let Some(socket) = self.socket.get() {
            return Ok(Arc::clone(socket));
        }
        let socket = Arc::new(tokio_socket(bind(self.what, self.address)?)?);
        Ok(Arc::clone(self.socket.get_or_init(|| socket)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::health::Task;

    #[test]
    fn an_address_that_comes_late_is_bound_and_told_of_once() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::parse("", &dir.path().join("c.toml")).unwrap();
        let shared = Shared::for_tests(config, dir.path());
        let other = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = other.local_addr().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let codes =
            || shared.catalogue.events(None, 9).unwrap().into_iter().map(|e| e.code).collect::<Vec<_>>();
        runtime.block_on(async {
            let open = Listener::open("uplink.listen", address, EventCode::UplinkError);
            let (every, socket) = (Duration::from_millis(5), OnceLock::new());
            let listener = Listener { every, socket, ..Arc::into_inner(open).unwrap() };
            let beat = shared.beat(Task::Uplink);
            let early = tokio::time::timeout(Duration::from_millis(50), listener.bound(&shared, &beat)).await;
            assert!(early.is_err());
            assert_eq!(codes(), ["uplink-error"]);
            drop(other);
            let socket = listener.bound(&shared, &beat).await;
            assert_eq!(socket.local_addr().unwrap(), address);
            assert!(
                Arc::ptr_eq(&socket, &listener.bound(&shared, &beat).await),
                "a task begun anew has the same"
            );
        });
        assert_eq!(codes(), ["uplink-error"]);
    }
}
