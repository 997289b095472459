//! The files of the page, compiled in.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};

/// A file and its media type.
#[derive(Clone, Copy)]
pub(super) struct File {
    content: &'static str,
    media_type: &'static str,
}

/// All of them, by where they are asked for.
pub(super) const FILES: [(&str, File); 9] = [
    ("/", File { content: include_str!("page/index.html"), media_type: "text/html; charset=utf-8" }),
    ("/page.css", File { content: include_str!("page/page.css"), media_type: "text/css; charset=utf-8" }),
    ("/page.js", script(include_str!("page/page.js"))),
    ("/figures.js", script(include_str!("page/figures.js"))),
    ("/learning.js", script(include_str!("page/learning.js"))),
    ("/chart.js", script(include_str!("page/chart.js"))),
    ("/games.js", script(include_str!("page/games.js"))),
    ("/draw.js", script(include_str!("page/draw.js"))),
    ("/dom.js", script(include_str!("page/dom.js"))),
];

const fn script(content: &'static str) -> File {
    File { content, media_type: "text/javascript; charset=utf-8" }
}

impl IntoResponse for File {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, self.media_type)], self.content).into_response()
    }
}
