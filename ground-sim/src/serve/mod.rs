//! The web page: what the ground knows, for browsers and Open MCT, read only.
//!
//! | path | what |
//! | --- | --- |
//! | `/`, `/page.js`, `/page.css` | the page, embedded; it loads nothing from elsewhere |
//! | `/api/snapshot` | all that is shown, JSON |
//! | `/api/stream` | the same, as server-sent events, whenever it changes |
//! | `/api/detections` | plumes, GeoJSON |
//! | `/api/draft?line=` | what can be said of an order's words |
//! | `/api/dictionary` | the dictionary, JSON |
//! | `/picture/PATH` | a picture below OUT |
//! | `/openmct/dictionary`, `/openmct/history/KEY`, `/openmct/stream`, `/openmct/plugin.js` | for Open MCT |
//! | `/openmct/`, `/openmct/dist/PATH` | Open MCT itself, if a folder with it is given |
//!
//! Every answer but the one that asks for the token takes the token ([`access`]). Requests are GET (or HEAD), without a
//! body; their size, the connections, the streams, the work for history and all answers have a most. It holds no command
//! key and has no way to send an order: a draft is text that somebody has to give elsewhere.

mod access;
mod api;
mod assets;
mod files;
mod history;
mod net;
mod stream;

#[cfg(test)]
mod tests;

pub use access::Token;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::{FromRequestParts, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::screen::Feed;

/// Streams at once.
const MAX_STREAMS: usize = 16;
/// Questions for history that are worked on at once.
const MAX_QUERIES: usize = 2;
/// Longest path and query, bytes.
const MAX_URI_BYTES: usize = 8 << 10;
/// How often it is looked whether the page shall end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What the page may load and do: its own files, nothing else, in nobody's frame (Content Security Policy Level 3).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What every answer comes from.
#[derive(Debug)]
struct Ground {
    feed: Feed,
    out: PathBuf,
    openmct: Option<PathBuf>,
    token: Token,
    streams: Arc<Semaphore>,
    queries: Semaphore,
}

type Shared = Arc<Ground>;

/// A page that is ready to be served.
#[derive(Debug)]
pub struct Page {
    ground: Shared,
    listener: std::net::TcpListener,
    address: SocketAddr,
}

impl Page {
    /// Listens at an address. `out` is where pictures and detections lie, `openmct` a folder with Open MCT's `dist`.
    ///
    /// # Errors
    /// The address can't be listened at.
    pub fn bind(
        listen: SocketAddr,
        feed: Feed,
        out: PathBuf,
        openmct: Option<PathBuf>,
        token: Token,
    ) -> Result<Self> {
        let listener =
            std::net::TcpListener::bind(listen).with_context(|| format!("listening at {listen}"))?;
        listener.set_nonblocking(true).context("listening")?;
        let address = listener.local_addr().context("listening")?;
        let (streams, queries) = (Arc::new(Semaphore::new(MAX_STREAMS)), Semaphore::new(MAX_QUERIES));
        let ground = Arc::new(Ground { feed, out, openmct, token, streams, queries });
        Ok(Self { ground, listener, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is set.
    ///
    /// # Errors
    /// Threads can't be had.
    pub fn run(self, stop: &AtomicBool) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("starting the page")?;
        let router = router(Arc::clone(&self.ground), self.address.port());
        let listener = self.listener;
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).context("listening")?;
            let serving = tokio::spawn(net::serve(listener, router));
            while !stop.load(Ordering::Relaxed) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            serving.abort();
            Ok(())
        })
    }
}

fn router(ground: Shared, port: u16) -> Router {
    let gate = access::Gate { ground: Arc::clone(&ground), port };
    Router::new()
        .route("/", get(assets::page))
        .route("/page.js", get(assets::script))
        .route("/page.css", get(assets::style))
        .route("/api/snapshot", get(api::snapshot))
        .route("/api/stream", get(stream::snapshots))
        .route("/api/detections", get(api::detections))
        .route("/api/draft", get(api::draft))
        .route("/api/dictionary", get(api::dictionary))
        .route("/picture/{*path}", get(files::picture))
        .route("/openmct/plugin.js", get(assets::plugin))
        .route("/openmct/dictionary", get(history::dictionary))
        .route("/openmct/history/{key}", get(history::history))
        .route("/openmct/stream", get(stream::data))
        .route("/openmct/", get(assets::openmct))
        .route("/openmct/start.js", get(assets::openmct_start))
        .route("/openmct/dist/{*path}", get(files::openmct))
        .fallback(async || error(StatusCode::NOT_FOUND, "there is no such page"))
        .layer(from_fn_with_state(Arc::new(gate), access::guard))
        .layer(from_fn(bounded))
        .with_state(ground)
}

/// Refuses what no browser asks here, and puts the headers on that keep a page to itself.
async fn bounded(request: Request, next: Next) -> Response {
    let long = request.uri().to_string().len() > MAX_URI_BYTES;
    let mut answer = if request.method() != Method::GET && request.method() != Method::HEAD {
        error(StatusCode::METHOD_NOT_ALLOWED, "only GET: nothing can be changed here")
    } else if long {
        error(StatusCode::URI_TOO_LONG, "the address is too long")
    } else {
        next.run(request).await
    };
    let headers = answer.headers_mut();
    let mut put = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    put(header::CONTENT_SECURITY_POLICY, POLICY);
    put(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    put(header::REFERRER_POLICY, "no-referrer");
    put(header::CACHE_CONTROL, "no-store");
    put(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    put(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    answer
}

/// What is asked behind the `?` of an address; what can't be read is answered as everything else that is wrong.
struct Question<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Question<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(asked)| Self(asked)).map_err(|e| error(StatusCode::BAD_REQUEST, &e.body_text()))
    }
}

/// An answer that says what is wrong: `{"schema": 1, "error": …}`.
fn error(status: StatusCode, what: &str) -> Response {
    let body = serde_json::json!({ "schema": 1, "error": what }).to_string();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// A JSON document.
fn json(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// What failed on the ground: said in the log, not to whoever asks.
fn failed(e: &anyhow::Error) -> Response {
    tracing::warn!("{e:#}");
    error(StatusCode::INTERNAL_SERVER_ERROR, "it could not be read; the ground's log says why")
}

/// The state that handlers take.
type Of = State<Shared>;
