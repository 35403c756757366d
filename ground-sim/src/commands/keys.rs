//! `passband-ground keys`.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use clap::{Args, Subcommand};
use passband_proto::keys::{EpochKey, SECRET_BYTES};

use super::{print_json, read_keys};

/// Make and show key files.
///
/// A key file is text with one key a line; the satellite and the ground hold the same one. Whoever has
/// it can read and forge bundles and alerts: keep it from others (it is made with mode 0600).
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  passband-ground keys new --spacecraft 1 --out keys.txt\n  passband-ground keys show keys.txt"
)]
pub struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Make a key file with one fresh key; never overwrites a file.
    New {
        /// Number of the spacecraft, 0 to 65535.
        #[arg(long, default_value_t = 1)]
        spacecraft: u16,
        /// Number of the key epoch, 0 to 65535.
        #[arg(long, default_value_t = 1)]
        epoch: u16,
        /// The file to make.
        #[arg(long, value_name = "FILE", default_value = "keys.txt")]
        out: PathBuf,
    },
    /// List the keys of a file, without their secrets.
    Show {
        /// The key file.
        file: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Runs `passband-ground keys`.
///
/// # Errors
/// The file is there already, can't be written, or is not a key file.
pub fn run(args: KeysArgs) -> Result<ExitCode> {
    match args.command {
        KeysCommand::New { spacecraft, epoch, out } => {
            let mut secret = [0; SECRET_BYTES];
            getrandom::fill(&mut secret).map_err(|e| anyhow!("the system's random source failed: {e}"))?;
            let mut text =
                String::from("# Passband key file. Secret: whoever holds it can read and forge.\n");
            EpochKey::new(spacecraft, epoch, secret).write_line(&mut text)?;
            text.push('\n');
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&out)
                .with_context(|| format!("making the key file {}", out.display()))?;
            file.write_all(text.as_bytes())
                .and_then(|()| file.sync_all())
                .with_context(|| format!("writing {}", out.display()))?;
            println!("{}: a new key for spacecraft {spacecraft}, epoch {epoch}", out.display());
        }
        KeysCommand::Show { file, json } => {
            let keys = read_keys(&file)?;
            let list: Vec<_> = keys
                .iter()
                .map(|k| serde_json::json!({ "spacecraft": k.spacecraft(), "epoch": k.epoch() }))
                .collect();
            if json {
                print_json(&serde_json::json!({ "schema": 1, "keys": list }))?;
            } else {
                println!("spacecraft  epoch");
                keys.iter().for_each(|k| println!("{:>10}  {:>5}", k.spacecraft(), k.epoch()));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
