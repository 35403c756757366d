//! Key files of those who sign. A person has a secret file, which never leaves that person, and a public file, which goes to
//! whoever makes the root. No secret is ever printed, nor is a line that could hold one.
//!
//! ```text
//! passband-release-secret v1 name=alice 64 hexadecimal digits: the ed25519 seed (RFC 8032 §5.1.5)
//! passband-release-public v1 name=alice id=16 hexadecimal digits 64 hexadecimal digits: the public key
//! ```
//!
//! A file holds one key. Empty lines and those that begin with `#` are passed over.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use passband_proto::ids::parse_hex;
use passband_proto::release::envelope::{KeyId, public_key};
use passband_proto::release::image::is_name;
use zeroize::Zeroizing;

use super::files::{self, Old};
use crate::station::hex;

/// Longest key file, bytes.
const MAX_BYTES: usize = 4_096;
const SECRET: &str = "passband-release-secret";
const PUBLIC: &str = "passband-release-public";

/// Who may be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// Whose it is: for people, nothing hangs on it.
    pub name: String,
    /// The ed25519 public key.
    pub key: [u8; 32],
}

/// What signs.
pub struct SecretKey {
    name: String,
    seed: Zeroizing<[u8; 32]>,
}

impl PublicKey {
    /// The key's id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId::of(&self.key)
    }

    /// Reads a public key file. One with a secret is refused, so that none is handed on by mistake.
    ///
    /// # Errors
    /// It can't be read, or isn't one: which field.
    pub fn read(path: &Path) -> Result<Self> {
        let text = text(path)?;
        Self::parse(&text).with_context(|| format!("public key file {}", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let (kind, words) = line(text)?;
        if kind == SECRET {
            bail!("it holds the secret: name the public file, and give this one to nobody");
        }
        ensure!(kind == PUBLIC, "it doesn't begin with {PUBLIC}");
        let ["v1", name, id, key] = words.as_slice() else { bail!("v1, name=, id= and the key are wanted") };
        let name = named(name)?;
        let key = parse_hex(key).context("the key isn't 64 hexadecimal digits")?;
        let told = id.strip_prefix("id=").and_then(parse_hex).map(KeyId);
        let id = told.context("the id isn't 16 hexadecimal digits")?;
        ensure!(id == KeyId::of(&key), "the id is not that of the key: one of them is mistyped");
        Ok(Self { name, key })
    }

    fn text(&self) -> String {
        let head = "# Passband release key, public: whoever makes the root needs it.\n";
        format!("{head}{PUBLIC} v1 name={} id={} {}\n", self.name, self.id(), hex(&self.key))
    }
}

impl SecretKey {
    /// Reads a secret key file; warns if others may read it, too.
    ///
    /// # Errors
    /// It can't be read, or isn't one: which field.
    pub fn read(path: &Path) -> Result<Self> {
        let text = text(path)?;
        let key = Self::parse(&text).with_context(|| format!("secret key file {}", path.display()))?;
        if is_exposed(path)? {
            tracing::warn!("key file {}: others may read it; chmod 600 it", path.display());
        }
        Ok(key)
    }

    fn parse(text: &str) -> Result<Self> {
        let (kind, words) = line(text)?;
        ensure!(kind != PUBLIC, "it holds a public key only: the secret file is wanted");
        ensure!(kind == SECRET, "it doesn't begin with {SECRET}");
        let ["v1", name, seed] = words.as_slice() else { bail!("v1, name= and the key are wanted") };
        let seed = parse_hex(seed).map(Zeroizing::new).context("the key isn't 64 hexadecimal digits")?;
        Ok(Self { name: named(name)?, seed })
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey { name: self.name.clone(), key: public_key(&self.seed) }
    }

    /// What signs.
    #[must_use]
    pub fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    fn fresh(name: &str) -> Result<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice())
            .map_err(|e| anyhow!("the system's random source failed: {e}"))?;
        Ok(Self { name: named(&format!("name={name}"))?, seed })
    }

    /// Room beforehand: a string that grows leaves its old memory behind.
    fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(512));
        text.push_str("# Passband release key. Secret: whoever holds it signs as its owner.\n");
        let _ = write!(text, "{SECRET} v1 name={} ", self.name);
        for byte in self.seed.iter() {
            let _ = write!(text, "{byte:02x}");
        }
        text.push('\n');
        text
    }
}

/// Draws a key, and makes `NAME.secret` (mode 0600) and `NAME.public` in a folder.
///
/// # Errors
/// The name can't be one, or one of the files is there already: neither is made then.
pub fn make(name: &str, folder: &Path) -> Result<(PublicKey, PathBuf, PathBuf)> {
    let key = SecretKey::fresh(name)?;
    let public = key.public();
    let [secret_path, public_path] = ["secret", "public"].map(|kind| folder.join(format!("{name}.{kind}")));
    ensure!(!public_path.exists(), "{} is there already, and is not written over", public_path.display());
    files::put(&secret_path, key.text().as_bytes(), 0o600, Old::Kept)?;
    if let Err(e) = files::put(&public_path, public.text().as_bytes(), 0o644, Old::Kept) {
        // Nobody knows this key yet.
        let _ = std::fs::remove_file(&secret_path);
        return Err(e);
    }
    Ok((public, secret_path, public_path))
}

/// The public key of a file, whichever of both it is; and whether it holds the secret.
///
/// # Errors
/// It can't be read, or is neither.
pub fn either(path: &Path) -> Result<(PublicKey, bool)> {
    let text = text(path)?;
    let is_secret = line(&text).is_ok_and(|(kind, _)| kind == SECRET);
    let key =
        if is_secret { SecretKey::parse(&text).map(|key| key.public()) } else { PublicKey::parse(&text) };
    Ok((key.with_context(|| format!("key file {}", path.display()))?, is_secret))
}

/// Whether others than its owner may read a file.
///
/// # Errors
/// It isn't there.
pub fn is_exposed(path: &Path) -> Result<bool> {
    let about = std::fs::metadata(path).with_context(|| format!("key file {}", path.display()))?;
    Ok(about.permissions().mode() & 0o077 != 0)
}

fn text(path: &Path) -> Result<Zeroizing<String>> {
    let at = || format!("key file {}", path.display());
    let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES + 1));
    let file = File::open(path).with_context(at)?;
    file.take(MAX_BYTES as u64 + 1).read_to_string(&mut text).with_context(at)?;
    ensure!(text.len() <= MAX_BYTES, "{}: more than {MAX_BYTES} bytes are too many", at());
    Ok(text)
}

/// The one line that counts, in words.
fn line(text: &str) -> Result<(&str, Vec<&str>)> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let line = lines.next().context("it holds no key")?;
    ensure!(lines.next().is_none(), "it holds more than one key");
    let mut words = line.split_ascii_whitespace();
    Ok((words.next().unwrap_or_default(), words.collect()))
}

fn named(word: &str) -> Result<String> {
    let name = word.strip_prefix("name=").filter(|name| is_name(name));
    Ok(name.context("the name isn't of letters, digits, . - _, 64 at most")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn both_files_hold_one_key_and_none_is_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let (public, secret_path, public_path) = make("alice", dir.path()).unwrap();
        assert_eq!(SecretKey::read(&secret_path).unwrap().public(), public);
        assert_eq!(PublicKey::read(&public_path).unwrap(), public);
        assert_eq!(either(&secret_path).unwrap(), (public.clone(), true));
        assert_eq!(either(&public_path).unwrap(), (public, false));
        assert!(!is_exposed(&secret_path).unwrap() && is_exposed(&public_path).unwrap());
        let before = fs::read(&secret_path).unwrap();
        assert!(make("alice", dir.path()).is_err());
        fs::remove_file(&public_path).unwrap();
        assert!(make("alice", dir.path()).unwrap_err().to_string().contains("alice.secret"));
        assert_eq!(fs::read(&secret_path).unwrap(), before);
        assert!(!public_path.exists(), "neither or both");
        assert!(make("../x", dir.path()).is_err() && make("", dir.path()).is_err());
    }

    #[test]
    fn a_file_that_is_none_says_which_field_and_no_secret() {
        let key = SecretKey::fresh("bob").unwrap();
        let (secret, public) = (key.text(), key.public().text());
        let error = format!("{:#}", PublicKey::parse(&secret).unwrap_err());
        assert!(error.contains("holds the secret") && !error.contains(&hex(key.seed())), "{error}");
        assert!(SecretKey::parse(&public).is_err_and(|e| e.to_string().contains("secret file is wanted")));
        let mistyped = public.replacen("id=", "id=0", 1);
        assert!(PublicKey::parse(&mistyped).is_err_and(|e| e.to_string().contains("16 hexadecimal")));
        let other = SecretKey::fresh("bob").unwrap().public();
        let swapped = public.replace(&hex(&key.public().key), &hex(&other.key));
        assert!(PublicKey::parse(&swapped).is_err_and(|e| e.to_string().contains("mistyped")));
        let cut = secret.trim_end();
        let error = SecretKey::parse(&cut[..cut.len() - 1]).err().unwrap().to_string();
        assert!(error.contains("64 hexadecimal") && !error.contains(&hex(&key.seed()[..8])), "{error}");
        for (text, why) in
            [("", "no key"), ("x y", "begin with"), (&format!("{public}{public}"), "more than one")]
        {
            assert!(PublicKey::parse(text).is_err_and(|e| e.to_string().contains(why)), "{why}");
        }
    }
}
