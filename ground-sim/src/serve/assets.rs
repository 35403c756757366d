//! The page's own files, embedded in the program, and a page around Open MCT.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::{Of, error};

/// Open MCT compiles its templates in the browser and puts styles into its elements.
const OPENMCT_POLICY: &str = "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const OPENMCT_PAGE: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Passband in Open MCT</title>\n<link rel=\"icon\" href=\"data:,\">\n\
     <script src=\"/openmct/dist/openmct.js\"></script>\n<script src=\"/openmct/plugin.js\"></script>\n\
     <script src=\"/openmct/start.js\" defer></script>\n</html>\n";

/// The page.
pub(super) async fn page() -> Response {
    typed("text/html; charset=utf-8", include_str!("page/page.html"))
}

/// What it does.
pub(super) async fn script() -> Response {
    const SCRIPT: &str = concat!(
        include_str!("page/tools.js"),
        include_str!("page/map.js"),
        include_str!("page/panels.js"),
        include_str!("page/page.js")
    );
    typed("text/javascript; charset=utf-8", SCRIPT)
}

/// What it looks like.
pub(super) async fn style() -> Response {
    typed("text/css; charset=utf-8", include_str!("page/page.css"))
}

/// The plugin for Open MCT.
pub(super) async fn plugin() -> Response {
    typed("text/javascript; charset=utf-8", include_str!("page/openmct-plugin.js"))
}

/// A page with Open MCT and the plugin.
pub(super) async fn openmct(State(ground): Of) -> Response {
    if ground.openmct.is_none() {
        return error(
            StatusCode::NOT_FOUND,
            "start `serve` with --openmct and the folder of Open MCT's dist",
        );
    }
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, OPENMCT_POLICY),
    ];
    (headers, OPENMCT_PAGE).into_response()
}

/// What starts it.
pub(super) async fn openmct_start() -> Response {
    typed("text/javascript; charset=utf-8", include_str!("page/openmct-start.js"))
}

fn typed(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}
