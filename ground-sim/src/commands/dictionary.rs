//! `passband-ground dictionary`: orders, telemetry, events and parameters in the forms that other programs read.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::dictionary::{File, Format, files};

/// Write the dictionary of orders, telemetry, events and parameters for another program.
///
/// It is made from the same tables that the satellite was built with: `passband_proto::dict`. Each form but COSMOS's is
/// one file, printed unless --out names a file, or a folder that there is.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  passband-ground dictionary --format xtce --out passband.xtce.xml\n  passband-ground dictionary --format cosmos --out openc3-cosmos-passband"
)]
pub struct DictionaryArgs {
    /// For which program.
    #[arg(long, value_enum)]
    format: Format,
    /// File or folder to write.
    #[arg(long, value_name = "FILE|DIR")]
    out: Option<PathBuf>,
}

/// Runs `passband-ground dictionary`.
///
/// # Errors
/// There is no room for a file, or COSMOS's folder isn't named.
pub fn run(args: &DictionaryArgs) -> Result<ExitCode> {
    let files = files(args.format);
    match (&args.out, files.as_slice()) {
        (Some(out), [file]) if !out.is_dir() => write(out, &file.text)?,
        (Some(out), files) => write_all(out, files)?,
        (None, [file]) => {
            std::io::stdout().write_all(file.text.as_bytes()).context("writing to standard output")?;
        }
        (None, files) => ensure!(files.is_empty(), "{} files: name a folder with --out", files.len()),
    }
    Ok(ExitCode::SUCCESS)
}

fn write_all(folder: &Path, files: &[File]) -> Result<()> {
    for file in files {
        let path = folder.join(&file.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("folder {}", parent.display()))?;
        }
        write(&path, &file.text)?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_of_many_files_wants_a_folder_and_one_of_one_takes_either() {
        let dir = tempfile::tempdir().unwrap();
        let with = |format, out: Option<PathBuf>| run(&DictionaryArgs { format, out });
        assert!(with(Format::Cosmos, None).unwrap_err().to_string().contains("--out"));
        let plugin = dir.path().join("plugin");
        with(Format::Cosmos, Some(plugin.clone())).unwrap();
        assert!(plugin.join("targets/PASSBAND/cmd_tlm/tlm.txt").is_file());
        with(Format::Json, Some(dir.path().to_owned())).unwrap();
        with(Format::Json, Some(dir.path().join("mine.json"))).unwrap();
        let read = |name: &str| fs::read(dir.path().join(name)).unwrap();
        assert_eq!(read("passband.json"), read("mine.json"));
    }
}
