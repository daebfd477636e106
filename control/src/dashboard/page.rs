//! The page itself, from the binary. It holds nothing that is anybody's: figures come only with a token.

use axum::Router;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use http::{HeaderValue, header};

/// The files, by name below `/dashboard/`.
const FILES: &[(&str, &str, &str)] = &[
    ("", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("format.js", JS, include_str!("page/format.js")),
    ("icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
    ("main.js", JS, include_str!("page/main.js")),
    ("overview.js", JS, include_str!("page/overview.js")),
    ("parts.js", JS, include_str!("page/parts.js")),
    (
        "style.css",
        "text/css; charset=utf-8",
        include_str!("page/style.css"),
    ),
    ("stream.js", JS, include_str!("page/stream.js")),
    ("tenants.js", JS, include_str!("page/tenants.js")),
];
const JS: &str = "text/javascript; charset=utf-8";

/// Only what comes from here, no inline scripts or styles, no frames, no form that is sent by the browser, no HTML from strings.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

const HEADERS: &[(&str, &str)] = &[
    ("cache-control", "no-cache"),
    ("content-security-policy", POLICY),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
];

fn file(kind: &'static str, text: &'static str) -> Response {
    let mut response = ([(header::CONTENT_TYPE, kind)], text).into_response();
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(*name, HeaderValue::from_static(value));
    }
    response
}

/// The routes of the page.
pub(super) fn router() -> Router {
    let mut router = Router::new()
        .route("/", get(async || Redirect::to("/dashboard/")))
        .route("/dashboard", get(async || Redirect::to("/dashboard/")));
    for (name, kind, text) in FILES {
        router = router.route(&format!("/dashboard/{name}"), get(async || file(kind, text)));
    }
    router
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_needs_nothing_from_elsewhere_and_names_only_files_that_there_are() {
        for (name, _, text) in FILES {
            for foreign in [
                "http:",
                "https:",
                "<style",
                "style=",
                "innerHTML",
                "onclick",
                "document.cookie",
                "eval(",
            ] {
                let allowed = text.replace("http://www.w3.org/2000/svg", "");
                assert!(!allowed.contains(foreign), "{name}: {foreign}");
            }
            for named in text.split("from \"./").skip(1) {
                let named = named.split('"').next().unwrap();
                assert!(FILES.iter().any(|(file, ..)| *file == named), "{name}: {named}");
            }
        }
    }
}
