//! `passband-ground release keys`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::tell;
use crate::release::facts::Facts;
use crate::release::keys::{PublicKey, either, is_exposed, make};
use crate::station::hex;

/// Make and show the keys of those who sign releases and roots.
///
/// Each person has one, made on that person's own machine. The secret file never leaves it; the public file goes to whoever makes
/// the root.
#[derive(Debug, Args)]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key: NAME.secret (mode 0600) and NAME.public; never overwrites a file.
    New {
        /// Whose it is: letters, digits, `.`, `-`, `_`.
        name: String,
        /// The folder that both files are made in.
        #[arg(long, value_name = "FOLDER", default_value = ".")]
        dir: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show a key's name, id and public key, of either file; never the secret.
    Show {
        /// The file.
        file: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(args: &KeysArgs) -> Result<ExitCode> {
    match &args.command {
        Command::New { name, dir, json } => {
            let (key, secret, public) = make(name, dir)?;
            let facts = Facts::new()
                .with("name", key.name.as_str())
                .with("id", key.id().to_string())
                .with("secret_file", secret.display().to_string())
                .with("public_file", public.display().to_string());
            tell(&facts, *json)
        }
        Command::Show { file, json } => tell(&facts(&either(file)?, file)?, *json),
    }
}

/// What is told of a key file.
pub(super) fn facts((key, is_secret): &(PublicKey, bool), file: &Path) -> Result<Facts> {
    let exposed = *is_secret && is_exposed(file)?;
    if exposed {
        tracing::warn!("key file {}: others may read it; chmod 600 it", file.display());
    }
    Ok(Facts::new()
        .with("kind", if *is_secret { "secret key" } else { "public key" })
        .with("name", key.name.as_str())
        .with("id", key.id().to_string())
        .with("key", hex(&key.key))
        .with("exposed", exposed))
}
