//! The options of `receive` that say where alerts are told.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use zeroize::Zeroizing;

use crate::webhook::{Limits, Target, Webhook};

/// Largest file that says where alerts are told, bytes.
const MAX_FILE_BYTES: u64 = 64 << 10;
/// Anybody on this machine may read the file (inode(7)).
const OTHERS_READ: u32 = 0o004;

/// Where alerts are told.
#[derive(Debug, Args)]
pub(super) struct WebhookArgs {
    /// Tell each alert to a webhook at once, and its picture when it is down: an http or https address of Slack,
    /// Mattermost, Discord or anything that takes JSON, on the first line of this file, which is a secret. Further
    /// lines are headers of each request, such as 'Authorization: Bearer …'; empty lines, and those that begin with #,
    /// are passed over. What could not be told is told later (OUT/webhook).
    #[arg(long = "webhook-file", value_name = "FILE", group = "webhook-to")]
    file: Option<PathBuf>,
    /// The same by its address. Everybody on this machine can read it while this runs: good for trying out.
    #[arg(long = "webhook", value_name = "URL", group = "webhook-to")]
    url: Option<String>,
    /// In whose name.
    #[arg(long = "webhook-name", value_name = "NAME", default_value = "Robin", requires = "webhook-to")]
    name: String,
    /// A header of each request that is no secret: everybody on this machine can read it, too. May be given several times.
    #[arg(long = "webhook-header", value_name = "K: V", requires = "webhook-to")]
    headers: Vec<String>,
}

impl WebhookArgs {
    /// The webhook, if one is asked for. One that can't be begun is told of: reception goes on without.
    ///
    /// # Errors
    /// The options can't be used.
    pub(super) fn start(&self, out: &Path) -> Result<Option<Webhook>> {
        let Some(target) = self.target()? else { return Ok(None) };
        let webhook = Webhook::start(out, &target, Limits::default());
        if let Err(e) = &webhook {
            eprintln!("passband-ground receive: alerts are NOT told: {e:#}");
        }
        Ok(webhook.ok())
    }

    fn target(&self) -> Result<Option<Target>> {
        if let Some(path) = &self.file {
            let text = read(path)?;
            let target = parse(&text, &self.name, &self.headers);
            return target.with_context(|| format!("webhook file {}", path.display())).map(Some);
        }
        self.url.as_ref().map(|url| Target::new(url, &self.name, &self.headers)).transpose()
    }
}

/// The text of a file that says where alerts are told, wiped from memory when it is dropped.
fn read(path: &Path) -> Result<Zeroizing<String>> {
    let at = || format!("webhook file {}", path.display());
    let file = File::open(path).with_context(at)?;
    if file.metadata().with_context(at)?.mode() & OTHERS_READ != 0 {
        eprintln!("passband-ground receive: {} can be read by everybody: chmod 600 it", path.display());
    }
    // Room beforehand: a string that grows leaves its old memory behind.
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(MAX_FILE_BYTES)? + 1));
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).with_context(at)?;
    ensure!(text.len() as u64 <= MAX_FILE_BYTES, "{} is too long", at());
    Ok(text)
}

/// An address, and headers: a line each.
fn parse(text: &str, name: &str, more: &[String]) -> Result<Target> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let url = lines.next().context("it names no address")?;
    let headers: Vec<_> = lines.map(str::to_owned).chain(more.iter().cloned()).collect();
    Target::new(url, name, &headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        webhook: WebhookArgs,
    }

    fn cli(args: &[&str]) -> Result<WebhookArgs, clap::Error> {
        Cli::try_parse_from([&["x"], args].concat()).map(|cli| cli.webhook)
    }

    #[test]
    fn the_address_comes_from_a_file_or_the_command_line_and_not_from_both() {
        assert!(cli(&[]).unwrap().target().unwrap().is_none());
        assert!(cli(&["--webhook", "http://x", "--webhook-name", "R"]).unwrap().target().unwrap().is_some());
        assert!(cli(&["--webhook", "http://x", "--webhook-file", "f"]).is_err());
        assert!(cli(&["--webhook-name", "R"]).is_err() && cli(&["--webhook-header", "A: b"]).is_err());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hook.txt");
        let target = |text: &str| {
            std::fs::write(&path, text).unwrap();
            cli(&["--webhook-file", path.to_str().unwrap(), "--webhook-header", "A: b"]).unwrap().target()
        };
        let text = "# the team's\n\n https://chat.example.org/hooks/abc \r\nAuthorization: Bearer k\n";
        let shown = format!("{:?}", target(text).unwrap().unwrap());
        assert!(shown.contains("hooks/abc") && shown.contains("\"authorization\": Sensitive"), "{shown}");
        assert!(shown.contains("\"a\""), "{shown}");
        for bad in ["", "# nothing\n", "Authorization: Bearer k\n", "https://x\nno header\n"] {
            let error = format!("{:#}", target(bad).unwrap_err());
            assert!(error.contains("hook.txt") && !error.contains("Bearer"), "{error}");
        }
        assert!(target(&"#".repeat(70_000)).is_err());
    }
}
