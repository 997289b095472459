//! What is asked for, and the answer.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Json, Router,
    body::{Body, HttpBody as _},
    extract::{
        Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{HeaderMap, Method, Request, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::{Notify, Semaphore, broadcast, watch};
use tower::ServiceExt as _;

use super::{
    access::{Access, Caller, Sender},
    answer::{Failure, sealed},
    events::{News, Reader},
    live::LiveView,
    page,
    reload::Reloaded,
};
use crate::{
    learning::Learning,
    status::{Status, Verdict},
    steering::api::{Refusal, SteeringApi},
};

/// Largest body of a command, in bytes.
pub(super) const MOST_BODY: usize = 64 << 10;
/// How long the body of a command may take to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// How long the answer to a reload waits for what comes of it.
const RELOAD_WITHIN: Duration = Duration::from_secs(3);
/// Readers of events at once.
pub(super) const MOST_READERS: usize = 16;

/// Writes all metrics in the format of Prometheus.
pub(crate) type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// What answers are made of.
pub(super) struct Shared {
    /// Made once a second.
    pub status: watch::Receiver<Arc<Status>>,
    /// Makes it at once.
    pub look: Notify,
    /// What happens in between.
    pub news: broadcast::Sender<News>,
    /// Seats for readers of events.
    pub readers: Arc<Semaphore>,
    /// True when the server stops.
    pub stopping: watch::Receiver<bool>,
    /// Steers the daemon.
    pub control: Arc<dyn SteeringApi>,
    /// Knows the games.
    pub live: Arc<dyn LiveView>,
    /// Knows what is learned.
    pub learning: Learning,
    /// Writes the metrics.
    pub metrics: Render,
    /// Who may ask for what.
    pub access: Access,
}

type App = State<Arc<Shared>>;
type Answer = Result<Response, Failure>;

/// Metrics and health alone.
pub(super) fn of_metrics(shared: Arc<Shared>) -> Router {
    finished(numbers(), shared)
}

/// Everything.
pub(super) fn of_everything(shared: Arc<Shared>) -> Router {
    let router = page::of_daemon(numbers())
        .route("/v1/status", get(status))
        .route("/v1/learning", get(learning))
        .route("/v1/games", get(games))
        .route("/v1/games/{slot}", get(game))
        .route("/v1/recent", get(recent))
        .route("/v1/recent/{id}", get(recent_game))
        .route("/v1/events", get(events))
        .route("/v1/reload", post(reload))
        .route("/v1/pause", post(pause))
        .route("/v1/resume", post(resume))
        .route("/v1/drain", post(drain))
        .route("/v1/settings", post(settings));
    finished(router, shared)
}

fn numbers() -> Router<Arc<Shared>> {
    Router::new().route("/metrics", get(metrics)).route("/healthz", get(healthz)).route("/readyz", get(readyz))
}

fn finished(router: Router<Arc<Shared>>, shared: Arc<Shared>) -> Router {
    router.fallback(no_such_place).method_not_allowed_fallback(no_such_method).with_state(shared)
}

/// The answer to a request of `caller`.
pub(super) async fn answer(router: Router, access: &Access, caller: Caller, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    access.count_wrong_token(caller, &parts.headers);
    // The page's own files tell nothing, and ask for the token. Commands are looked at more closely.
    let reads = [Method::GET, Method::HEAD].contains(&parts.method) && !page::has(parts.uri.path());
    let allowed = access
        .check_host(caller, &parts)
        .and_then(|()| if reads { access.check_reader(caller, &parts.headers) } else { Ok(()) });
    let answer = match allowed {
        Ok(()) => {
            let mut request = Request::from_parts(parts, body);
            request.extensions_mut().insert(caller);
            router.oneshot(request).await.into_response()
        }
        Err(failure) => failure.into_response(),
    };
    sealed(answer)
}

pub(crate) async fn no_such_place(uri: Uri) -> Failure {
    Failure::not_found(format!("there is nothing at {}", uri.path()), "GET /v1/status has everything; / is the page")
}

pub(crate) async fn no_such_method(method: Method, uri: Uri) -> Failure {
    let hint = if method == Method::GET { "this is a command: POST it" } else { "see the header Allow" };
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not take {method}", uri.path()), hint)
}

async fn metrics(State(shared): App) -> impl IntoResponse {
    metrics_text((shared.metrics)())
}

pub(crate) fn metrics_text(text: String) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

async fn healthz(State(shared): App) -> Response {
    match shared.status.has_changed() {
        Ok(_) => verdict(&shared.status.borrow().health),
        Err(_) => verdict(&Verdict::of(["the status is not kept up any more".to_owned()])),
    }
}

async fn readyz(State(shared): App) -> Response {
    verdict(&shared.status.borrow().ready)
}

pub(crate) fn verdict(verdict: &Verdict) -> Response {
    let status = if verdict.ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(verdict)).into_response()
}

async fn status(State(shared): App, Extension(caller): Extension<Caller>, headers: HeaderMap) -> Response {
    let control = shared.access.may_control(caller, &headers);
    let status = shared.status.borrow().clone();
    Json(Status { control, ..Status::clone(&status) }).into_response()
}

async fn learning(State(shared): App) -> Response {
    Json(&*shared.learning.seen()).into_response()
}

/// Which games of many are wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    #[serde(default)]
    offset: usize,
    limit: Option<usize>,
}

async fn games(State(shared): App, page: Result<Query<Page>, QueryRejection>) -> Answer {
    let Query(Page { offset, limit }) = page.map_err(|rejection| {
        let hint = "ask for /v1/games?limit=50&offset=100, or without either for all games";
        Failure::bad_request(rejection.body_text().to_lowercase(), hint)
    })?;
    Ok(Json(shared.live.games(offset, limit.unwrap_or(usize::MAX))).into_response())
}

async fn game(State(shared): App, slot: Result<Path<String>, PathRejection>) -> Answer {
    let Path(slot) = slot?;
    let number: Option<usize> = slot.parse().ok();
    match number.and_then(|slot| shared.live.game(slot)) {
        Some(game) => Ok(Json(game).into_response()),
        // Between two games.
        None if number.is_some_and(|slot| shared.live.has_slot(slot)) => Ok(StatusCode::NO_CONTENT.into_response()),
        None => Err(Failure::not_found(format!("no game is in play at slot {slot}"), "GET /v1/games lists the slots")),
    }
}

async fn recent(State(shared): App) -> Json<Value> {
    Json(shared.live.recent())
}

async fn recent_game(State(shared): App, id: Result<Path<String>, PathRejection>) -> Answer {
    let Path(id) = id?;
    let hint = "GET /v1/recent lists the last games; older ones are in the output directory: selfplayd show";
    let game = shared.live.recent_game(&id).map(|game| Json(game).into_response());
    game.ok_or_else(|| Failure::not_found(format!("no game {id} ended lately"), hint))
}

async fn events(State(shared): App, Extension(caller): Extension<Caller>, headers: HeaderMap) -> Answer {
    let seat = shared.readers.clone().try_acquire_owned().map_err(|_| {
        let error = format!("{MOST_READERS} callers read events already");
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, error, "close another page, or poll /v1/status")
    })?;
    let reader = Reader {
        status: shared.status.clone(),
        news: shared.news.subscribe(),
        stopping: shared.stopping.clone(),
        control: shared.access.may_control(caller, &headers),
        _seat: seat,
    };
    Ok(reader.into_response())
}

/// Waits for a while for what comes of it: that a model is on its way is answer enough.
async fn reload(State(shared): App, Extension(caller): Extension<Caller>, request: Request<Body>) -> Answer {
    let (by, path) = (Sender(caller, request.headers()).to_string(), request.uri().path().to_owned());
    without_arguments(&arguments(&shared.access, caller, request).await?)?;
    let reload = shared.control.reload()?;
    tracing::info!(path, by, "told over HTTP");
    let reloaded = Reloaded::within(RELOAD_WITHIN, reload).await;
    shared.look.notify_one();
    let mut answer = json!({ "accepted": true, "state": shared.control.state() });
    if let (Some(answer), Ok(Value::Object(more))) = (answer.as_object_mut(), serde_json::to_value(reloaded)) {
        answer.extend(more);
    }
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

async fn pause(app: App, caller: Extension<Caller>, request: Request<Body>) -> Answer {
    command(app, caller, request, |control, _| control.pause()).await
}

async fn resume(app: App, caller: Extension<Caller>, request: Request<Body>) -> Answer {
    command(app, caller, request, |control, _| control.resume()).await
}

async fn drain(app: App, caller: Extension<Caller>, request: Request<Body>) -> Answer {
    command(app, caller, request, |control, by| control.drain(&format!("POST /v1/drain by {by}"))).await
}

/// Gives a command without arguments.
async fn command(
    State(shared): App,
    Extension(caller): Extension<Caller>,
    request: Request<Body>,
    give: fn(&(dyn SteeringApi + 'static), &str) -> Result<(), Refusal>,
) -> Answer {
    let (by, path) = (Sender(caller, request.headers()).to_string(), request.uri().path().to_owned());
    without_arguments(&arguments(&shared.access, caller, request).await?)?;
    give(&*shared.control, &by)?;
    tracing::info!(path, by, "told over HTTP");
    shared.look.notify_one();
    let accepted = json!({ "accepted": true, "state": shared.control.state() });
    Ok((StatusCode::ACCEPTED, Json(accepted)).into_response())
}

pub(crate) fn without_arguments(arguments: &Map<String, Value>) -> Result<(), Failure> {
    let wrong = |name| Failure::bad_request(format!("{name} is no argument of this command"), "it takes none");
    arguments.keys().next().map_or(Ok(()), |name| Err(wrong(name)))
}

async fn settings(State(shared): App, Extension(caller): Extension<Caller>, request: Request<Body>) -> Answer {
    let by = Sender(caller, request.headers()).to_string();
    let settings = arguments(&shared.access, caller, request).await?;
    if settings.is_empty() {
        return Err(Failure::bad_request("there are no settings", r#"send them by key: {"search.temperature": 0.8}"#));
    }
    let changes = shared.control.set(&settings)?;
    let (changed, refused) = (changes.changed.len(), changes.refused.len());
    tracing::info!(path = "/v1/settings", by, changed, refused, "told over HTTP");
    shared.look.notify_one();
    let status = if changes.refused.is_empty() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    Ok((status, Json(changes)).into_response())
}

impl From<PathRejection> for Failure {
    fn from(_: PathRejection) -> Self {
        Self::bad_request("the path is not UTF-8", "GET /v1/status has everything")
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Starting => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "the daemon is still starting", "ask again in a moment")
            }
        }
    }
}

/// Reads the arguments of a command from one who may give it; nothing stands for none.
pub(crate) async fn arguments(
    access: &Access,
    caller: Caller,
    request: Request<Body>,
) -> Result<Map<String, Value>, Failure> {
    let headers = request.headers();
    access.check_origin(headers)?;
    access.authorise(caller, headers)?;
    let is_json = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|media_type| {
        media_type
            .split(';')
            .next()
            .is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("application/json"))
    });
    let too_large = || {
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body has more than {MOST_BODY} bytes"), "send less")
    };
    if request.body().size_hint().lower() > MOST_BODY as u64 {
        return Err(too_large());
    }
    let body = Limited::new(request.into_body(), MOST_BODY).collect();
    let body = match tokio::time::timeout(BODY_WITHIN, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large()),
        Ok(Err(_)) => return Err(Failure::bad_request("the body did not arrive whole", "send it again")),
        Err(_) => {
            let error = format!("the body took longer than {} s", BODY_WITHIN.as_secs());
            return Err(Failure::new(StatusCode::REQUEST_TIMEOUT, error, "send it at once"));
        }
    };
    if body.is_empty() {
        return Ok(Map::new());
    }
    if !is_json {
        let hint = "send JSON with the header Content-Type: application/json";
        return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body is not said to be JSON", hint));
    }
    serde_json::from_slice(&body)
        .map_err(|error| Failure::bad_request(format!("the body is not a JSON object: {error}"), "send an object"))
}
