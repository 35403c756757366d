//! `passband-ground serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::orbit::OrbitArgs;
use super::stop_on_signals;
use crate::screen::{Feed, Sources};
use crate::serve::{Page, Token};
use crate::telemetry::TagKeys;

/// Where the ground's screens look, and what they know passes by.
#[derive(Debug, Args)]
pub struct SourceArgs {
    /// Where products and alerts are: what `receive` was given as --out.
    #[arg(long, value_name = "DIR", default_value = "products")]
    out: PathBuf,
    /// The station's symbol store; OUT/store if not given.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// The archive of telemetry.
    #[arg(long, value_name = "DIR")]
    archive: Option<PathBuf>,
    /// Listen here for telemetry over UDP and keep it in the archive; without it the archive is only read.
    #[arg(long, value_name = "ADDR:PORT", requires = "archive")]
    telemetry: Option<SocketAddr>,
    /// The mission's key file: packets whose tag holds under none of its telemetry keys are not shown. No other key of it
    /// is kept, and it holds none for commands.
    #[arg(long = "telemetry-keys", alias = "keys", value_name = "FILE")]
    keys: Option<PathBuf>,
    #[command(flatten)]
    orbit: OrbitArgs,
}

impl SourceArgs {
    /// Starts what fills the screen.
    ///
    /// # Errors
    /// Keys, passes, the archive or the telemetry address can't be used.
    pub fn start(&self) -> Result<Feed> {
        let keys = super::optional_keys(self.keys.as_deref())?;
        let keys = TagKeys::new(&keys, self.keys.as_deref());
        let sources = Sources {
            out: self.out.clone(),
            store: self.store.clone().unwrap_or_else(|| self.out.join("store")),
            archive: self.archive.clone(),
            telemetry: self.telemetry,
        };
        Feed::start(&sources, self.orbit.plan()?, keys)
    }
}

/// Serve what the ground knows as a web page, and to Open MCT: read only.
///
/// Shows the digest, bundles filling up, quicklooks, a map of detections, alerts, events, channels, orders and passes, live.
/// A token is needed; the address that is printed has it. Nothing can be sent from the page: an order that is drafted
/// there is a line to copy.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  passband-ground serve --out products --archive tlm --telemetry 0.0.0.0:47020 \\\n      --elements orbit.omm --stations stations.toml\n\nRuns until it is interrupted (Ctrl-C). Exit status: 0 then, 2 bad usage or input."
)]
pub struct ServeArgs {
    #[command(flatten)]
    sources: SourceArgs,
    /// Where to listen. There is no TLS: for an address that others can reach, put a proxy or a tunnel in front.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:47080")]
    listen: SocketAddr,
    /// Read the token from this file, which only its owner may read; it is made if there is none. Without it there is a new
    /// token at each start.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A folder with Open MCT's dist, to serve at /openmct/.
    #[arg(long, value_name = "DIR")]
    openmct: Option<PathBuf>,
}

/// Runs `passband-ground serve`.
///
/// # Errors
/// What it shows can't be had, the token's file can't be used, or the address not be listened at.
pub fn run(args: &ServeArgs) -> Result<ExitCode> {
    let token = args.token_file.as_deref().map_or_else(Token::random, Token::from_file)?;
    let feed = args.sources.start()?;
    if let Some(address) = feed.telemetry_address() {
        say!("listening on {address} (telemetry)");
    }
    let stop = stop_on_signals()?;
    let text = token.text().to_owned();
    let page = Page::bind(args.listen, feed, args.sources.out.clone(), args.openmct.clone(), token)?;
    let address = page.address();
    // A token of a file stands there, and in no terminal's history.
    if let Some(path) = &args.token_file {
        say!("serving http://{address}/?token=… (the token is in {})", path.display());
    } else {
        say!("serving http://{address}/?token={text}");
    }
    if !address.ip().is_loopback() {
        eprintln!(
            "passband-ground serve: {address} can be reached by others, and the token goes there in the clear"
        );
    }
    page.run(&stop)?;
    Ok(ExitCode::SUCCESS)
}
