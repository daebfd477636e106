//! The dashboard's requests are let in as those of the API: by token, with the same limits.

use axum::response::{IntoResponse as _, Response};
use http::request::Parts;

use super::Api;
use super::dispatch::{Peer, authenticate};
use super::problem::{Code, Problem};
use crate::auth::Principal;
use crate::clock;
use crate::dashboard::{Admitting, Guard, Refusal};

impl Guard for Api {
    fn admit<'a>(&'a self, request: &'a Parts) -> Admitting<'a> {
        Box::pin(async move {
            let now_ms = clock::unix_ms();
            // The listener always says from where.
            let peer = request.extensions.get::<Peer>().cloned();
            let peer = peer.unwrap_or_else(|| Peer("unknown".into()));
            let who = authenticate(self, &request.headers, &peer, now_ms)
                .await
                .map_err(|problem| problem.into_response())?;
            self.requests.take(&who.id, now_ms).map_err(|retry_ms| {
                Problem::too_many("too many requests with this token", retry_ms).into_response()
            })?;
            Ok(who)
        })
    }

    fn is_still_valid(&self, who: &Principal, now_ms: u64) -> bool {
        let expired = who.expires_ms.is_some_and(|expires_ms| now_ms >= expires_ms);
        !expired && self.tokens.still_valid(who, now_ms)
    }

    fn refuse(&self, refusal: Refusal<'_>) -> Response {
        let problem = match refusal {
            Refusal::Failed => Problem::new(Code::ServerFault, "the overview could not be made"),
            Refusal::Parameter { name, detail } => Problem::parameter(name, detail),
            Refusal::TooManyWatchers => Problem::new(Code::Unavailable, "too many watchers"),
        };
        problem.into_response()
    }
}
