//! What a hub is asked for, and the answer.

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    body::Body,
    extract::State,
    http::{HeaderMap, Request, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::{FleetStatus, Steer, Steering, render};
use crate::http::{
    Access, Caller, Failure, Sender, Site, arguments, metrics_text, no_such_method, no_such_place, page_of_hub,
    verdict, without_arguments,
};

/// What is served by a hub.
pub(super) struct ServedHub {
    /// Made once a second.
    pub status: watch::Receiver<Arc<FleetStatus>>,
    /// Steers the roll-out, where models are published.
    pub steering: Option<Steering>,
}

/// What answers are made of.
struct Shared {
    served: ServedHub,
    access: Access,
}

type App = State<Arc<Shared>>;

impl ServedHub {
    /// What answers.
    pub(super) fn site(self, access: Access) -> Site {
        let shared = Arc::new(Shared { served: self, access });
        let numbers = || {
            Router::new().route("/metrics", get(metrics)).route("/healthz", get(healthz)).route("/readyz", get(readyz))
        };
        let finished = |router: Router<Arc<Shared>>| {
            router.fallback(no_such_place).method_not_allowed_fallback(no_such_method).with_state(shared.clone())
        };
        let everything = page_of_hub(numbers())
            .route("/v1/fleet", get(status))
            .route("/v1/rollout/promote", post(promote))
            .route("/v1/rollout/withdraw", post(withdraw))
            .route("/v1/rollout/hold", post(hold))
            .route("/v1/rollout/resume", post(resume));
        Site { everything: finished(everything), numbers: finished(numbers()), work: Box::pin(async {}) }
    }
}

async fn metrics(State(shared): App) -> impl IntoResponse {
    metrics_text(render(&shared.served.status.borrow()))
}

async fn healthz(State(shared): App) -> Response {
    verdict(&shared.served.status.borrow().health)
}

async fn readyz(State(shared): App) -> Response {
    verdict(&shared.served.status.borrow().ready)
}

async fn status(State(shared): App, Extension(caller): Extension<Caller>, headers: HeaderMap) -> Response {
    let control = shared.access.may_control(caller, &headers);
    let status = shared.served.status.borrow().clone();
    Json(FleetStatus { control, ..FleetStatus::clone(&status) }).into_response()
}

async fn promote(app: App, caller: Extension<Caller>, request: Request<Body>) -> Result<Response, Failure> {
    steer(app, caller, request, |arguments| without_arguments(arguments).map(|()| Steer::Promote)).await
}

async fn hold(app: App, caller: Extension<Caller>, request: Request<Body>) -> Result<Response, Failure> {
    steer(app, caller, request, |arguments| without_arguments(arguments).map(|()| Steer::Hold(true))).await
}

async fn resume(app: App, caller: Extension<Caller>, request: Request<Body>) -> Result<Response, Failure> {
    steer(app, caller, request, |arguments| without_arguments(arguments).map(|()| Steer::Hold(false))).await
}

async fn withdraw(app: App, caller: Extension<Caller>, request: Request<Body>) -> Result<Response, Failure> {
    steer(app, caller, request, |arguments| {
        let wrong = || Failure::bad_request("the reason is no text", r#"send {"why": "it plays badly"}, or nothing"#);
        if let Some(other) = arguments.keys().find(|key| *key != "why") {
            return Err(Failure::bad_request(format!("{other} is no argument of this command"), "it takes why alone"));
        }
        let why = arguments.get("why").map_or(Some("a person said so"), Value::as_str).ok_or_else(wrong)?;
        Ok(Steer::Withdraw(why.to_owned()))
    })
    .await
}

/// Passes on what a person asks of the roll-out.
async fn steer(
    State(shared): App,
    Extension(caller): Extension<Caller>,
    request: Request<Body>,
    read: impl FnOnce(&Map<String, Value>) -> Result<Steer, Failure>,
) -> Result<Response, Failure> {
    let (by, path) = (Sender(caller, request.headers()).to_string(), request.uri().path().to_owned());
    let steer = read(&arguments(&shared.access, caller, request).await?)?;
    let Some(steering) = &shared.served.steering else {
        let hint = "ask the hub that was started with --models";
        return Err(Failure::not_found("this hub publishes no models", hint));
    };
    tracing::info!(path, by, "told over HTTP");
    match steering.steer(steer).await {
        Ok(()) => Ok((StatusCode::ACCEPTED, Json(json!({ "accepted": true }))).into_response()),
        Err(reason) => Err(Failure::new(StatusCode::CONFLICT, reason, "GET /v1/fleet says where the roll-out is")),
    }
}
