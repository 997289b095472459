//! The files of the page, compiled in.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};

/// A file and its media type.
pub(super) struct File {
    content: &'static str,
    media_type: &'static str,
}

/// The page itself.
pub(super) const INDEX: File =
    File { content: include_str!("page/index.html"), media_type: "text/html; charset=utf-8" };
/// How it looks.
pub(super) const CSS: File = File { content: include_str!("page/page.css"), media_type: "text/css; charset=utf-8" };
/// What it does.
pub(super) const JS: File =
    File { content: include_str!("page/page.js"), media_type: "text/javascript; charset=utf-8" };

impl IntoResponse for File {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, self.media_type)], self.content).into_response()
    }
}
