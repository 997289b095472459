//! The files of the pages, compiled in.

use axum::{
    Router,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};

/// A file and its media type.
#[derive(Clone, Copy)]
pub(super) struct File {
    content: &'static str,
    media_type: &'static str,
}

/// The pages themselves.
const DAEMON: File = html(include_str!("page/index.html"));
const HUB: File = html(include_str!("page/hub.html"));

/// What they are made of, by where it is asked for.
const FILES: [(&str, File); 9] = [
    ("/page.css", File { content: include_str!("page/page.css"), media_type: "text/css; charset=utf-8" }),
    ("/page.js", script(include_str!("page/page.js"))),
    ("/figures.js", script(include_str!("page/figures.js"))),
    ("/learning.js", script(include_str!("page/learning.js"))),
    ("/chart.js", script(include_str!("page/chart.js"))),
    ("/games.js", script(include_str!("page/games.js"))),
    ("/draw.js", script(include_str!("page/draw.js"))),
    ("/dom.js", script(include_str!("page/dom.js"))),
    ("/hub.js", script(include_str!("page/hub.js"))),
];

/// Whether a file of a page is there.
pub(super) fn has(path: &str) -> bool {
    path == "/" || FILES.iter().any(|(file, _)| *file == path)
}

/// The page of a daemon.
pub(super) fn of_daemon<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    with(router, DAEMON)
}

/// The page of a hub.
pub(crate) fn of_hub<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    with(router, HUB)
}

fn with<S: Clone + Send + Sync + 'static>(router: Router<S>, page: File) -> Router<S> {
    FILES
        .into_iter()
        .chain([("/", page)])
        .fold(router, |router, (path, file)| router.route(path, get(async move || file)))
}

const fn html(content: &'static str) -> File {
    File { content, media_type: "text/html; charset=utf-8" }
}

const fn script(content: &'static str) -> File {
    File { content, media_type: "text/javascript; charset=utf-8" }
}

impl IntoResponse for File {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, self.media_type)], self.content).into_response()
    }
}
