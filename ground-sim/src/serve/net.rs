//! Connections: so many at once, with short headers that come in time, and readers that read.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;

/// Connections at once; who comes then waits.
const MAX_CONNECTIONS: usize = 64;
/// Headers have to be there within this time, also those of the next request on a connection.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// What is sent has to find room within this time: who doesn't read keeps no place.
const TAKEN_WITHIN: Duration = Duration::from_secs(30);
/// Headers of a request, and their bytes.
const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 << 10;
/// After an error of `accept`, such as too many open files.
const REST: Duration = Duration::from_millis(100);

/// Serves for ever.
pub(super) async fn serve(listener: TcpListener, router: Router) {
    serve_within(listener, router, TAKEN_WITHIN).await;
}

async fn serve_within(listener: TcpListener, router: Router, taken_within: Duration) {
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
            let mut stream = TimeoutStream::new(stream);
            stream.set_write_timeout(Some(taken_within));
            if let Err(e) = http.serve_connection(TokioIo::new(Box::pin(stream)), service).await {
                tracing::debug!("a connection: {e}");
            }
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::routing::get;
    use std::convert::Infallible;
    use std::io::Write;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Answers that are under way.
    static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

    struct UnderWay;

    impl UnderWay {
        fn begin() -> Self {
            UNDER_WAY.fetch_add(1, Ordering::Relaxed);
            Self
        }
    }

    impl Drop for UnderWay {
        fn drop(&mut self) {
            UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
        }
    }

    async fn endless() -> Body {
        let begun = UnderWay::begin();
        Body::from_stream(futures_util::stream::repeat_with(move || {
            let _begun = &begun;
            Ok::<_, Infallible>(vec![b'x'; 1 << 16])
        }))
    }

    /// Waits until so many are under way.
    async fn wait_for(count: usize) {
        for _ in 0..1_000 {
            if UNDER_WAY.load(Ordering::Relaxed) == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} are under way, not {count}", UNDER_WAY.load(Ordering::Relaxed));
    }

    #[test]
    fn who_does_not_read_keeps_no_place() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let router = Router::new().route("/", get(endless));
            let serving = tokio::spawn(serve_within(listener, router, Duration::from_millis(200)));
            let mut client = std::net::TcpStream::connect(address).unwrap();
            client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            wait_for(1).await;
            wait_for(0).await;
            serving.abort();
        });
    }
}
