//! Other programs on the same images: makers of deltas, and compressors. Each at its highest setting that makes one file which the
//! same program can apply. One that isn't installed is named as such; nothing is remembered from another run.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a program came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Peer {
    /// Its name and setting.
    pub(super) name: &'static str,
    /// Bytes of what it made.
    pub(super) bytes: Option<u64>,
    /// Why there is no figure.
    pub(super) missing: Option<String>,
}

/// Makers of deltas; `python` is one that has detools.
pub(super) fn deltas(python: Option<&[OsString]>, old: &Path, new: &Path, folder: &Path) -> Vec<Peer> {
    let out = folder.join("peer");
    let [o, n, p] = [old, new, &out].map(|path| path.as_os_str().to_owned());
    let mut from = OsString::from("--patch-from=");
    from.push(&o);
    let words = |words: &[&str], files: &[&OsString]| -> Vec<OsString> {
        words.iter().map(OsString::from).chain(files.iter().map(|file| (*file).clone())).collect()
    };
    let zstd = ["-q", "-f", "--ultra", "-22", "--long=27"];
    let mut all = vec![
        measured("bsdiff", "bsdiff".as_ref(), words(&[], &[&o, &n, &p]), &out),
        measured(
            "zstd --patch-from",
            "zstd".as_ref(),
            [words(&zstd, &[&from, &n]), words(&["-o"], &[&p])].concat(),
            &out,
        ),
        measured(
            "xdelta3",
            "xdelta3".as_ref(),
            words(&["-e", "-f", "-9", "-S", "lzma", "-s"], &[&o, &n, &p]),
            &out,
        ),
    ];
    let Some((python, first)) = python.and_then(<[_]>::split_first) else {
        let missing =
            Some("detools is a Python package: --peers-python names a Python that has it".to_owned());
        all.push(Peer { name: "detools", bytes: None, missing });
        return all;
    };
    let settings: [(_, &[&str]); 3] = [
        ("detools", &[]),
        ("detools -a hdiffpatch", &["-t", "hdiffpatch", "-a", "hdiffpatch"]),
        ("detools --data-format aarch64", &["--data-format", "aarch64"]),
    ];
    for (name, setting) in settings {
        let detools = [&["-m", "detools", "create_patch"], setting].concat();
        let args = [first.to_vec(), words(&detools, &[&o, &n, &p])].concat();
        all.push(measured(name, python, args, &out));
    }
    all
}

/// Compressors.
pub(super) fn compressors(new: &Path, folder: &Path) -> Vec<Peer> {
    let out = folder.join("peer");
    let [n, p] = [new, &out].map(|path| path.as_os_str().to_owned());
    let zstd = ["-q", "-f", "--ultra", "-22", "--long=27"].map(OsString::from).to_vec();
    let zstd = [zstd, vec![n.clone(), "-o".into(), p]].concat();
    let xz = vec![
        "--format=xz".into(),
        "--arm64".into(),
        "--lzma2=preset=9e,lc=2,lp=2,pb=2".into(),
        "-k".into(),
        "-c".into(),
        n,
    ];
    vec![measured("zstd -22", "zstd".as_ref(), zstd, &out), piped("xz with its arm64 filter", "xz", xz)]
}

/// Runs a program that writes a file, and takes its length.
fn measured(name: &'static str, program: &OsStr, args: Vec<OsString>, out: &Path) -> Peer {
    let _ = fs::remove_file(out);
    let ran = Command::new(program).args(args).stdin(Stdio::null()).output();
    let bytes = fs::metadata(out).ok().map(|about| about.len());
    let missing = match ran {
        Err(_) => Some(format!("{} is not installed", program.display())),
        Ok(done) if !done.status.success() => {
            let said = String::from_utf8_lossy(&done.stderr);
            Some(format!("{}: {}", done.status, said.lines().last().unwrap_or_default()))
        }
        Ok(_) => bytes.is_none().then(|| "it made no file".to_owned()),
    };
    Peer { name, bytes: bytes.filter(|_| missing.is_none()), missing }
}

/// Runs a program that writes to its standard output, and takes the length.
fn piped(name: &'static str, program: &str, args: Vec<OsString>) -> Peer {
    match Command::new(program).args(args).stdin(Stdio::null()).output() {
        Err(_) => Peer { name, bytes: None, missing: Some(format!("{program} is not installed")) },
        Ok(done) if done.status.success() => {
            Peer { name, bytes: Some(done.stdout.len() as u64), missing: None }
        }
        Ok(done) => Peer { name, bytes: None, missing: Some(format!("it ended with {}", done.status)) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_or_fails_is_named_and_has_no_figure() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let shell = |script: &str| {
            let args = vec!["-c".into(), script.into(), "sh".into(), out.clone().into_os_string()];
            measured("sh", "sh".as_ref(), args, &out)
        };
        assert_eq!(shell("printf four >\"$1\"").bytes, Some(4));
        assert!(shell("true").missing.is_some_and(|why| why.contains("no file")));
        let failed = shell("printf four >\"$1\"; echo broken >&2; exit 3");
        assert!(failed.bytes.is_none() && failed.missing.is_some_and(|why| why.contains("broken")));
        let none = measured("none", "no-such-program".as_ref(), Vec::new(), &out);
        assert_eq!(none.missing.as_deref(), Some("no-such-program is not installed"));
        assert_eq!(piped("sh", "sh", vec!["-c".into(), "printf four".into()]).bytes, Some(4));
        assert!(piped("none", "no-such-program", Vec::new()).missing.is_some());
    }
}
