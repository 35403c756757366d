//! Files of the disk: pictures below OUT, and Open MCT's own. A path is never followed out of its folder.

use std::fs;
use std::path::{Component, Path, PathBuf};

use axum::extract::{Path as Given, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::{Of, error};
use crate::screen::ground::is_picture;

/// Largest file that is given, bytes: Open MCT is 6 MB.
const MAX_FILE_BYTES: u64 = 32 << 20;

/// A picture of a product or a frame.
pub(super) async fn picture(State(ground): Of, Given(path): Given<String>) -> Response {
    let picture = Path::new(&path).file_name().and_then(|name| name.to_str()).is_some_and(is_picture);
    if !picture {
        return none();
    }
    give(ground.out.clone(), path, "image/png").await
}

/// A file of Open MCT.
pub(super) async fn openmct(State(ground): Of, Given(path): Given<String>) -> Response {
    let Some(folder) = ground.openmct.clone() else { return none() };
    let kind = match Path::new(&path).extension().and_then(|ext| ext.to_str()) {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff") => "font/woff",
        Some("woff2") => "font/woff2",
        Some("ttf") => "font/ttf",
        _ => return none(),
    };
    give(folder, path, kind).await
}

async fn give(folder: PathBuf, path: String, kind: &'static str) -> Response {
    let read = tokio::task::spawn_blocking(move || read(&folder, Path::new(&path))).await;
    match read.ok().flatten() {
        Some(bytes) => ([(header::CONTENT_TYPE, kind)], bytes).into_response(),
        None => none(),
    }
}

fn none() -> Response {
    error(StatusCode::NOT_FOUND, "there is no such file")
}

/// The file at a path of plain names below a folder, links resolved; `None` for anything else.
fn read(folder: &Path, path: &Path) -> Option<Vec<u8>> {
    let plain = |part: Component<'_>| matches!(part, Component::Normal(name) if !name.as_encoded_bytes().starts_with(b"."));
    if !path.components().all(plain) || path.components().next().is_none() {
        return None;
    }
    let folder = fs::canonicalize(folder).ok()?;
    let file = fs::canonicalize(folder.join(path)).ok().filter(|file| file.starts_with(&folder))?;
    let about = fs::metadata(&file).ok()?;
    if !about.is_file() || about.len() > MAX_FILE_BYTES {
        return None;
    }
    fs::read(file).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_the_folder_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        fs::create_dir_all(out.join("frames/x")).unwrap();
        fs::write(out.join("frames/x/a.png"), b"png").unwrap();
        fs::write(out.join(".hidden.png"), b"no").unwrap();
        fs::write(dir.path().join("secret.png"), b"no").unwrap();
        std::os::unix::fs::symlink(dir.path().join("secret.png"), out.join("link.png")).unwrap();
        std::os::unix::fs::symlink(dir.path(), out.join("up")).unwrap();
        assert_eq!(read(&out, Path::new("frames/x/a.png")).as_deref(), Some(b"png".as_slice()));
        let absolute = dir.path().join("secret.png").display().to_string();
        for path in [
            "../secret.png",
            "frames/../../secret.png",
            "link.png",
            "up/secret.png",
            ".hidden.png",
            &absolute,
            "",
            ".",
            "frames",
            "frames/x/b.png",
        ] {
            assert_eq!(read(&out, Path::new(path)), None, "{path}");
        }
    }
}
