//! From a request to its endpoint: who asks, may they, how often, with what.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, RawPathParams, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::on;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::{Value, json};

use super::Api;
use super::answer::Answer;
use super::call::Call;
use super::config::for_path;
use super::id::is_id;
use super::idempotency::{self, Known};
use super::problem::{Code, Problem};
use super::query::Query;
use super::route::{BodyKind, Route, Scoped, Verb};
use super::routes::ROUTES;
use crate::auth::{AuthError, Principal};
use crate::clock;
use crate::store::{Batch, NewEvent};
use crate::versions::Actor;

/// Where a request comes from: an address, or `unix`.
#[derive(Clone, Debug)]
pub(super) struct Peer(pub(super) Arc<str>);

/// Every route, each with its checks.
pub(super) fn router(api: &Arc<Api>) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let api = Arc::clone(api);
        let serve = move |peer: Extension<Peer>, params: Result<RawPathParams, _>, request: Request| {
            let api = Arc::clone(&api);
            async move {
                // Params that are no UTF-8 name nothing.
                let params = params.map_err(|_: axum::extract::rejection::RawPathParamsRejection| ());
                let params =
                    params.map(|params| params.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect());
                serve(api, route, peer.0, params.unwrap_or_default(), request).await
            }
        };
        router = router.route(route.path, on(route.verb.filter(), serve));
    }
    router
        .fallback(async || {
            Problem::new(
                Code::NotFound,
                "there is nothing at this path; /v1/openapi.json lists the paths",
            )
            .into_response()
        })
        .method_not_allowed_fallback(async || {
            Problem::new(Code::MethodNotAllowed, "see /v1/openapi.json").into_response()
        })
}

async fn serve(
    api: Arc<Api>,
    route: &'static Route,
    peer: Peer,
    params: Vec<(String, String)>,
    request: Request,
) -> Response {
    match answer(api, route, peer, params, request).await {
        Ok(answer) => answer.into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn answer(
    api: Arc<Api>,
    route: &'static Route,
    peer: Peer,
    params: Vec<(String, String)>,
    request: Request,
) -> Result<Answer, Problem> {
    let now_ms = clock::unix_ms();
    let (parts, body) = request.into_parts();
    let who = authenticate(&api, &parts.headers, &peer, now_ms).await?;
    api.requests
        .take(&who.id, now_ms)
        .map_err(|retry_ms| Problem::too_many("too many requests with this token", retry_ms))?;
    let mut call = Call {
        actor: Actor {
            name: who.id.clone(),
            from: peer.0.to_string(),
        },
        now_ms,
        path: parts.uri.path().to_owned(),
        params,
        query: Query::default(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
        dry_run: false,
        key: None,
        who,
        api,
    };
    if let Err(problem) = authorize(route, &call) {
        return Err(noted(&call, route, problem).await);
    }
    check_params(&call)?;
    call.query = Query::read(route, &parts.uri)?;
    call.dry_run = call.query.flag("dry_run");
    call.body = read_body(route, &parts.headers, body).await?;
    let running = match known(&call, route, &parts)? {
        None => None,
        Some(Known::Again(document)) => return Ok(Answer::Json(document)),
        Some(Known::Fresh(key, running)) => {
            call.key = Some(key);
            Some(running)
        }
    };
    call.headers = parts.headers;
    // Goes on when the client goes away: a change is made or not, and its event says so.
    let handled = tokio::spawn(async move {
        let told = (Arc::clone(&call.api), call.actor.clone(), call.path.clone());
        let answer = (route.handle)(call).await;
        let answer = match answer {
            Err(problem) if problem.code == Code::Forbidden && route.writes() => {
                Err(noted_by(&told.0, &told.1, &told.2, route, problem).await)
            }
            answer => answer,
        };
        drop(running);
        answer
    });
    handled.await.unwrap_or_else(|_| {
        Err(Problem::new(
            Code::ServerFault,
            "the request failed inside control",
        ))
    })
}

pub(super) async fn authenticate(
    api: &Api,
    headers: &HeaderMap,
    peer: &Peer,
    now_ms: u64,
) -> Result<Arc<Principal>, Problem> {
    let header = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    api.tokens
        .verify(header, &peer.0, now_ms)
        .await
        .map_err(|error| match error {
            AuthError::Blocked { retry_ms } => Problem::too_many(&error.to_string(), retry_ms),
            AuthError::Store(error) => error.into(),
            AuthError::Missing | AuthError::Wrong => Problem::new(Code::Unauthorized, error.to_string()),
        })
}

fn authorize(route: &Route, call: &Call) -> Result<(), Problem> {
    if call.who.role < route.role {
        let detail = format!(
            "that needs the role {}; the token has {}",
            route.role.as_str(),
            call.who.role.as_str()
        );
        return Err(Problem::new(Code::Forbidden, detail));
    }
    match route.scope {
        Scoped::Any | Scoped::Region | Scoped::Subject => Ok(()),
        Scoped::Everything => call.for_everything(),
        Scoped::Tenant => call.for_tenant(call.param("tenant")),
        Scoped::Path => for_path(call, call.param("path")),
    }
}

/// Somebody tried to change what they may not: that is written down.
async fn noted(call: &Call, route: &'static Route, problem: Problem) -> Problem {
    if !route.writes() {
        return problem;
    }
    noted_by(&call.api, &call.actor, &call.path, route, problem).await
}

async fn noted_by(api: &Api, actor: &Actor, path: &str, route: &'static Route, problem: Problem) -> Problem {
    let path: String = path.chars().take(200).collect();
    let event = NewEvent {
        actor: actor.name.clone(),
        action: route.id.to_owned(),
        subject: String::new(),
        from: actor.from.clone(),
        result: problem.code.as_str().to_owned(),
        detail: json!({"path": path}),
    };
    match api
        .parts
        .store
        .commit(Batch::at(clock::unix_ms()).event(event))
        .await
    {
        Ok(_) => problem,
        Err(error) => error.into(),
    }
}

fn check_params(call: &Call) -> Result<(), Problem> {
    for (name, value) in &call.params {
        let right = match name.as_str() {
            "path" => (1..=512).contains(&value.len()),
            "revision" => value.bytes().all(|byte| byte.is_ascii_digit()) && value.parse::<i64>().is_ok(),
            _ => is_id(value),
        };
        if !right {
            return Err(Problem::parameter(
                name,
                "it is not of the form that is used here",
            ));
        }
    }
    Ok(())
}

async fn read_body(route: &Route, headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    let wanted = match route.body {
        BodyKind::None => None,
        BodyKind::Json(_) => Some("application/json"),
        BodyKind::MergePatch => Some("application/merge-patch+json"),
        BodyKind::Bytes => Some("application/octet-stream"),
    };
    let limit = if wanted.is_some() { route.body_bytes_max } else { 0 };
    let bytes = Limited::new(body, limit).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            return Problem::new(Code::TooLarge, format!("the body may have at most {limit} bytes"));
        }
        Problem::new(Code::BadRequest, "the body ended early")
    })?;
    let Some(wanted) = wanted else {
        return Ok(Bytes::new());
    };
    let given = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let given = given.split(';').next().unwrap_or_default().trim();
    // Configurations take both: documents and files.
    let either = route.scope == Scoped::Path && given.eq_ignore_ascii_case("application/json");
    if !either && !given.eq_ignore_ascii_case(wanted) {
        return Err(Problem::new(
            Code::UnsupportedMediaType,
            format!("send Content-Type: {wanted}"),
        ));
    }
    Ok(bytes.to_bytes())
}

fn known(call: &Call, route: &Route, parts: &Parts) -> Result<Option<Known>, Problem> {
    let key = parts.headers.get("idempotency-key");
    let Some(key) = key.filter(|_| route.verb == Verb::Post) else {
        return Ok(None);
    };
    let key = key.to_str().unwrap_or_default();
    idempotency::check(key)?;
    if call.dry_run {
        return Ok(None);
    }
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let request = [target.as_bytes(), &call.body];
    idempotency::look_up(&call.api, &call.who.id, key, &request, call.now_ms).map(Some)
}

/// An empty object, where there is nothing to say.
pub(super) fn nothing() -> Value {
    json!({})
}
