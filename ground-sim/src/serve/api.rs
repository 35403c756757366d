//! The documents of the page: JSON with `"schema": 1`, and GeoJSON. See `CONSOLE.md` for their members.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::{Of, Question, Shared, error, failed, json};
use crate::dictionary;
use crate::screen::draft::{Draft, MAX_LINE_BYTES};
use crate::screen::ground;

/// All that is shown.
pub(super) async fn snapshot(State(ground): Of) -> Response {
    document(&ground).map_or_else(|e| failed(&e), json)
}

/// The text of [`snapshot`].
pub(super) fn document(ground: &Shared) -> anyhow::Result<String> {
    Ok(serde_json::to_string(&ground.feed.snapshot())?)
}

/// Plumes of all frames.
pub(super) async fn detections(State(ground): Of) -> Response {
    let out = ground.out.clone();
    match tokio::task::spawn_blocking(move || ground::detections(&out).to_string()).await {
        Ok(text) => ([(header::CONTENT_TYPE, "application/geo+json")], text).into_response(),
        Err(e) => failed(&e.into()),
    }
}

/// Words to look at.
#[derive(Debug, Deserialize)]
pub(super) struct Line {
    line: String,
}

/// What can be said of an order's words.
pub(super) async fn draft(Question(Line { line }): Question<Line>) -> Response {
    if line.len() > MAX_LINE_BYTES {
        return error(StatusCode::BAD_REQUEST, "the line is too long");
    }
    let mut document = serde_json::json!(Draft::of(&line));
    document["schema"] = 1.into();
    json(document.to_string())
}

/// The dictionary.
pub(super) async fn dictionary() -> Response {
    json(dictionary::json::text())
}
