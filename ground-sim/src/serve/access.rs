//! The token: who may look.
//!
//! It is given as `Authorization: Bearer TOKEN`, or once as `?token=TOKEN` in an address: that is answered with a cookie
//! (`HttpOnly`, `SameSite=Strict`) and the same address without the token, so that it stays in no history. The cookie
//! holds a digest of the token and has the port in its name, as cookies of one host know no ports. Digests are compared in
//! constant time. A token is 256 random bits, or what a file holds that nobody else can read.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Shared, error};
use crate::station::hex;

/// Shortest token of a file, bytes.
const MIN_BYTES: usize = 16;
/// Longest one.
const MAX_BYTES: usize = 256;

/// What whoever looks has to know.
#[derive(Clone)]
pub struct Token {
    text: String,
    digest: [u8; 32],
    /// What the cookie holds.
    pass: String,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(hidden)")
    }
}

impl Token {
    /// A new one of 32 random bytes.
    ///
    /// # Errors
    /// There is no randomness to be had.
    pub fn random() -> Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|e| anyhow::anyhow!("no random bytes: {e}"))?;
        Ok(Self::of(hex(&bytes)))
    }

    /// The one in a file, which only its owner may read; a new one is written where there is no file.
    ///
    /// # Errors
    /// The file can't be read or written, others may read it, or what it holds is no token.
    pub fn from_file(path: &Path) -> Result<Self> {
        let failed = || format!("the token's file {}", path.display());
        let about = match fs::metadata(path) {
            Ok(about) => about,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Self::into_file(path),
            Err(e) => return Err(e).with_context(failed),
        };
        let mode = about.permissions().mode() & 0o777;
        // Nothing in the digits of the group and of others.
        ensure!(mode.is_multiple_of(0o100), "{}: mode {mode:03o}, others can read it: chmod 600", failed());
        ensure!(about.len() <= MAX_BYTES as u64 + 2, "{}: more than {MAX_BYTES} bytes", failed());
        let text = fs::read_to_string(path).with_context(failed)?.trim().to_owned();
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
        ensure!(
            plain && (MIN_BYTES..=MAX_BYTES).contains(&text.len()),
            "{}: a token has {MIN_BYTES} to {MAX_BYTES} letters, digits, '-', '.', '_' or '~'",
            failed()
        );
        Ok(Self::of(text))
    }

    fn into_file(path: &Path) -> Result<Self> {
        let token = Self::random()?;
        let failed = || format!("the token's file {}", path.display());
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let written = file.and_then(|mut file| writeln!(file, "{}", token.text));
        written.with_context(failed).map(|()| token)
    }

    fn of(text: String) -> Self {
        let digest: [u8; 32] = Sha256::digest(&text).into();
        let pass = hex(&Sha256::digest([b"passband page ".as_slice(), text.as_bytes()].concat()));
        Self { text, digest, pass }
    }

    /// The token itself: for the operator's terminal, nothing else.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    fn is(&self, given: &str) -> bool {
        let given: [u8; 32] = Sha256::digest(given).into();
        given.ct_eq(&self.digest).into()
    }

    fn is_pass(&self, given: &str) -> bool {
        Sha256::digest(given).as_slice().ct_eq(Sha256::digest(&self.pass).as_slice()).into()
    }
}

/// Who is let through.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) ground: Shared,
    pub(super) port: u16,
}

impl Gate {
    fn cookie_name(&self) -> String {
        format!("passband-{}", self.port)
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let token = &self.ground.token;
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if bearer.and_then(|value| value.strip_prefix("Bearer ")).is_some_and(|given| token.is(given.trim()))
        {
            return true;
        }
        let name = self.cookie_name();
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs =
            cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.any(|(key, value)| key == name && token.is_pass(value))
    }
}

/// Lets through who has the token, gives a cookie for it, and says 401 to all others.
pub(super) async fn guard(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    if let Some((given, rest)) = token_of(request.uri()) {
        if !gate.ground.token.is(&given) {
            return unauthorized();
        }
        let (name, pass) = (gate.cookie_name(), &gate.ground.token.pass);
        let cookie = format!("{name}={pass}; HttpOnly; SameSite=Strict; Path=/");
        let headers = [(header::SET_COOKIE, cookie), (header::LOCATION, rest)];
        return (StatusCode::SEE_OTHER, headers).into_response();
    }
    if gate.admits(request.headers()) { next.run(request).await } else { unauthorized() }
}

fn unauthorized() -> Response {
    let mut answer =
        error(StatusCode::UNAUTHORIZED, "a token is needed: open the address that `serve` printed");
    let bearer = axum::http::HeaderValue::from_static("Bearer");
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
    answer
}

/// The token of an address, and the address without it.
fn token_of(uri: &Uri) -> Option<(String, String)> {
    let query = uri.query()?;
    let (tokens, others): (Vec<_>, Vec<_>) = query.split('&').partition(|part| part.starts_with("token="));
    let given = tokens.first()?.strip_prefix("token=")?.to_owned();
    // A path that begins with two slashes would be another host's.
    let path = format!("/{}", uri.path().trim_start_matches('/'));
    let rest = if others.is_empty() { path } else { format!("{path}?{}", others.join("&")) };
    Some((given, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_others_can_read_is_refused_and_one_that_is_missing_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let made = Token::from_file(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Token::from_file(&path).unwrap().text(), made.text());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(Token::from_file(&path).unwrap_err().to_string().contains("others can read it"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for bad in ["short", "with blanks in between them", &"x".repeat(300)] {
            fs::write(&path, bad).unwrap();
            assert!(Token::from_file(&path).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_the_token_is_the_token_and_its_text_is_never_in_a_cookie_or_a_log() {
        let token = Token::random().unwrap();
        assert!(token.is(token.text()) && token.is_pass(&token.pass));
        assert!(!token.is("") && !token.is(&token.pass) && !token.is_pass(token.text()));
        assert!(!format!("{token:?}{}", token.pass).contains(token.text()));
    }

    #[test]
    fn the_token_leaves_the_address() {
        let of = |uri: &str| token_of(&uri.parse().unwrap());
        assert_eq!(of("/?token=abc"), Some(("abc".into(), "/".into())));
        assert_eq!(of("/x?a=1&token=abc&b=2"), Some(("abc".into(), "/x?a=1&b=2".into())));
        assert_eq!(of("//evil.example/?token=abc").unwrap().1, "/evil.example/");
        assert_eq!(of("/x?a=token"), None);
    }
}
