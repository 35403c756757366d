//! A request to the server, and what its answer means. Never tries twice, never follows a redirection, never waits
//! longer than it may, and never says the address beyond its host: it is a secret.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use ureq::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Timeout};

use super::Limits;
use super::message::{Body, Kind};
use crate::catalogue::time::parse_http;

/// A server may ask for so much patience at most.
const MOST_PATIENCE: Duration = Duration::from_hours(1);

/// Where messages go, and in whose name.
#[derive(Debug, Clone)]
pub struct Target {
    url: Uri,
    name: String,
    headers: HeaderMap,
}

impl Target {
    /// A target from an address (http or https), the name of who tells, and further headers as `Name: value`.
    ///
    /// # Errors
    /// One of them can't be used.
    pub fn new(url: &str, name: &str, headers: &[String]) -> Result<Self> {
        let url: Uri = url.parse().context("the webhook's address is no URL")?;
        ensure!(
            matches!(url.scheme_str(), Some("http" | "https"))
                && url.host().is_some_and(|host| !host.is_empty()),
            "the webhook's address must begin with http:// or https:// and name a host"
        );
        ensure!(!name.is_empty() && name.chars().count() <= 80, "the webhook's name has 1 to 80 characters");
        let mut map = HeaderMap::new();
        for header in headers {
            let (name, value) =
                header.split_once(':').context("a webhook's header is written 'Name: value'")?;
            let name: HeaderName =
                name.trim().parse().with_context(|| format!("{name:?} is no header's name"))?;
            let mut value =
                HeaderValue::from_str(value.trim()).with_context(|| format!("the value of header {name}"))?;
            value.set_sensitive(true);
            map.insert(name, value);
        }
        Ok(Self { url, name: name.to_owned(), headers: map })
    }

    /// Who tells.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The server, for people.
    pub(super) fn host(&self) -> &str {
        self.url.host().unwrap_or("?")
    }
}

/// Whose fault it is that a message wasn't taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// The server wasn't reached.
    Connection,
    /// It asks for patience.
    Server,
    /// It was reached; maybe another message fares better.
    Message,
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It has the message.
    Taken,
    /// It may take it another time, after so long if it says so.
    Later { why: String, whose: Whose, after: Duration },
    /// It will never take this message.
    Refused { why: String },
}

/// Sends requests.
#[derive(Debug)]
pub(super) struct Poster {
    agent: Agent,
    target: Target,
}

impl Poster {
    pub(super) fn new(target: &Target, limits: Limits) -> Result<Self> {
        let secure = target.url.scheme_str() == Some("https");
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .timeout_global(Some(limits.try_for))
            .user_agent(concat!("passband-ground/", env!("CARGO_PKG_VERSION")));
        if secure {
            config = config.tls_config(tls()?);
        }
        if is_local(target.host()) {
            config = config.proxy(None);
        }
        Ok(Self { agent: config.build().new_agent(), target: target.clone() })
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// Sends a message. `id` is the same whenever the same message is sent, so that a server can know it again.
    pub(super) fn post(&self, kind: Kind, body: &Body, id: &str, now_unix_ms: u64) -> Outcome {
        let mut request = self.agent.post(&self.target.url).header("Content-Type", &body.content_type);
        request = request.header("Idempotency-Key", id);
        for (name, value) in &self.target.headers {
            request = request.header(name, value);
        }
        match request.send(body.bytes.as_slice()) {
            Ok(response) => {
                let after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
                let after = after.and_then(|text| patience(text, now_unix_ms));
                meaning(kind, response.status(), after)
            }
            Err(e) => {
                let whose = if is_unreached(&e) { Whose::Connection } else { Whose::Message };
                Outcome::Later { why: e.to_string(), whose, after: Duration::ZERO }
            }
        }
    }
}

/// What an answer means. A message that is faulty in itself is not tried again. With an alert anything else may be set
/// right by whoever runs the server, or the station; a picture is not worth that, and many a server takes none.
fn meaning(kind: Kind, status: StatusCode, after: Option<Duration>) -> Outcome {
    let why = format!("the server answered {status}");
    let whose = match status.as_u16() {
        200..=299 => return Outcome::Taken,
        400 | 413 | 415 | 422 => return Outcome::Refused { why },
        429 => Whose::Server,
        503 if after.is_some() => Whose::Server,
        408 | 425 => Whose::Message,
        400..=499 | 501 if kind == Kind::Picture => return Outcome::Refused { why },
        _ => Whose::Message,
    };
    Outcome::Later { why, whose, after: after.unwrap_or_default() }
}

/// Whether there was no connection over which the message could have gone.
fn is_unreached(error: &ureq::Error) -> bool {
    use std::io::ErrorKind::{AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkUnreachable};
    match error {
        ureq::Error::Io(e) => {
            matches!(e.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable | AddrNotAvailable)
        }
        ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::ConnectProxyFailed(_)
        | ureq::Error::Tls(_)
        | ureq::Error::Rustls(_)
        | ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => true,
        _ => false,
    }
}

/// `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3). Discord writes fractions of seconds.
fn patience(text: &str, now_unix_ms: u64) -> Option<Duration> {
    let wait = match text.trim().parse::<f64>() {
        Ok(seconds) if seconds >= 0.0 => Duration::from_secs_f64(seconds.min(MOST_PATIENCE.as_secs_f64())),
        Ok(_) => return None,
        Err(_) => Duration::from_millis(parse_http(text.trim())?.saturating_sub(now_unix_ms)),
    };
    Some(wait.min(MOST_PATIENCE))
}

/// TLS by the certificates that the machine trusts.
fn tls() -> Result<TlsConfig> {
    let found = rustls_native_certs::load_native_certs();
    let roots: Vec<_> = found.certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    if roots.is_empty() {
        let why = found.errors.first().map(|e| format!(": {e}")).unwrap_or_default();
        bail!("this machine has no certificates of authorities that the webhook could be checked by{why}");
    }
    let provider = rustls::crypto::ring::default_provider();
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .unversioned_rustls_crypto_provider(Arc::new(provider))
        .build())
}

/// Whether a server is on this machine, where no proxy leads to.
fn is_local(host: &str) -> bool {
    host == "localhost" || host == "[::1]" || host.starts_with("127.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_that_can_not_be_used_are_refused() {
        assert!(
            Target::new("https://hooks.example.org/services/T/B/x", "Robin", &["X-Key: abc".into()]).is_ok()
        );
        for bad in ["", "ftp://x/y", "hooks.example.org", "http://", "http:///x"] {
            assert!(Target::new(bad, "Robin", &[]).is_err(), "{bad}");
        }
        assert!(Target::new("http://x", "", &[]).is_err());
        for bad in ["no colon", "bad name: x", "X: a\nb"] {
            assert!(Target::new("http://x", "R", &[bad.into()]).is_err(), "{bad}");
        }
        let shown = format!("{:?}", Target::new("http://x", "R", &["X-Key: secret".into()]).unwrap().headers);
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_at_most_an_hour() {
        assert_eq!(patience("3", 0), Some(Duration::from_secs(3)));
        assert_eq!(patience("0.5", 0), Some(Duration::from_millis(500)));
        assert_eq!(patience("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_770_000), Some(Duration::from_secs(7)));
        assert_eq!(patience("Sun, 06 Nov 1994 08:49:37 GMT", 0), Some(MOST_PATIENCE));
        assert_eq!(patience("99999999999999999999", 0), Some(MOST_PATIENCE));
        assert_eq!((patience("-1", 0), patience("soon", 0), patience("NaN", 0)), (None, None, None));
    }

    #[test]
    fn an_answer_is_about_the_message_or_about_the_server() {
        let means = |kind, status, after: Option<u64>| match meaning(
            kind,
            StatusCode::from_u16(status).unwrap(),
            after.map(Duration::from_secs),
        ) {
            Outcome::Taken => "taken",
            Outcome::Refused { .. } => "refused",
            Outcome::Later { whose: Whose::Message, .. } => "message",
            Outcome::Later { whose: Whose::Server, after, .. } if after.as_secs() == 9 => "server",
            Outcome::Later { .. } => "later",
        };
        for (status, after, alert, picture) in [
            (200, None, "taken", "taken"),
            (204, None, "taken", "taken"),
            (302, None, "message", "message"),
            (400, None, "refused", "refused"),
            (401, None, "message", "refused"),
            (403, None, "message", "refused"),
            (404, None, "message", "refused"),
            (405, None, "message", "refused"),
            (408, None, "message", "message"),
            (413, None, "refused", "refused"),
            (425, None, "message", "message"),
            (429, None, "later", "later"),
            (429, Some(9), "server", "server"),
            (500, Some(9), "message", "message"),
            (501, None, "message", "refused"),
            (503, None, "message", "message"),
            (503, Some(9), "server", "server"),
        ] {
            assert_eq!(means(Kind::Alert, status, after), alert, "{status}");
            assert_eq!(means(Kind::Picture, status, after), picture, "{status}");
        }
    }

    #[test]
    fn tls_can_be_set_up_where_the_machine_has_certificates() {
        if !rustls_native_certs::load_native_certs().certs.is_empty() {
            let target = Target::new("https://example.org", "R", &[]).unwrap();
            Poster::new(&target, Limits::default()).unwrap();
        }
    }
}
