//! Connections: so many at once, with short headers that come in time.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Connections at once; who comes then waits.
const MAX_CONNECTIONS: usize = 64;
/// Headers have to be there within this time, also those of the next request on a connection.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// Headers of a request, and their bytes.
const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 << 10;
/// After an error of `accept`, such as too many open files.
const REST: Duration = Duration::from_millis(100);

/// Serves for ever.
pub(super) async fn serve(listener: TcpListener, router: Router) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(e) => {
                tracing::warn!("accepting a connection: {e}");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN);
            http.max_headers(MAX_HEADERS).max_buf_size(MAX_HEADER_BYTES);
            if let Err(e) = http.serve_connection(TokioIo::new(stream), service).await {
                tracing::debug!("a connection: {e}");
            }
            drop(place);
        });
    }
}
