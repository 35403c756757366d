//! `passband-ground open`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::{print_json, read_keys};
use crate::catalogue::Catalogue;
use crate::station::open_sealed_file;

/// Open sealed bundles (.pbb): check their seals and write their files out.
///
/// Each bundle gets a folder of its own below the output folder, with its files, its preview and a
/// bundle.json that says what it is. Files are checked against the digests in the manifest.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  passband-ground open --keys keys.txt --out products 5e0c….pbb\n\nExit status: 0 all opened, 1 some did not open, 2 bad usage or input."
)]
pub struct OpenArgs {
    /// The sealed bundles.
    #[arg(required = true, value_name = "FILE")]
    bundles: Vec<PathBuf>,
    /// The key file.
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,
    /// Where the products go.
    #[arg(long, value_name = "DIR", default_value = "products")]
    out: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs `passband-ground open`.
///
/// # Errors
/// The key file can't be used.
pub fn run(args: &OpenArgs) -> Result<ExitCode> {
    let keys = read_keys(&args.keys)?;
    let mut all = true;
    let mut list = Vec::new();
    let mut catalogue = Catalogue::new(&args.out);
    for path in &args.bundles {
        match open_sealed_file(path, &keys, &args.out) {
            Ok(opened) => {
                let m = &opened.manifest;
                match catalogue.add(&opened.output) {
                    Ok(faults) => faults.iter().for_each(|fault| eprintln!("passband-ground open: {fault}")),
                    Err(e) => eprintln!("passband-ground open: not in the catalogue: {e:#}"),
                }
                if !args.json {
                    say!(
                        "{}: {} ({}, {}) → {}",
                        path.display(),
                        m.name,
                        m.product,
                        m.class,
                        opened.output.display()
                    );
                    opened.files.iter().for_each(|f| say!("  {:>12}  {}  {}", f.bytes, f.sha256, f.name));
                }
                list.push(serde_json::json!({
                    "bundle": path, "name": m.name, "product": m.product, "class": m.class,
                    "output": opened.output, "files": opened.files, "error": null,
                }));
            }
            Err(e) => {
                all = false;
                eprintln!("passband-ground open: {e:#}");
                list.push(serde_json::json!({ "bundle": path, "error": format!("{e:#}") }));
            }
        }
    }
    if let Err(e) = catalogue.close() {
        eprintln!("passband-ground open: {e:#}");
    }
    if args.json {
        print_json(&serde_json::json!({ "schema": 1, "bundles": list }))?;
    }
    Ok(ExitCode::from(u8::from(!all)))
}
