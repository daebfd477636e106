//! Attacks are judged before the origin hears of them.

use weir_tests::origin::Origin;

use crate::Site;

const ATTACK: &str = "1' UNION SELECT username, password FROM users-- -";

fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

pub(crate) fn post(content_type: &str, body: &str) -> String {
    format!(
        "POST /login HTTP/1.1\r\nHost: acme.test\r\nUser-Agent: e2e\r\nAccept: */*\r\nContent-Type: {content_type}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn multipart(value: &str) -> String {
    let part = format!(
        "--b0undary\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\n{value}\r\n--b0undary--\r\n"
    );
    post("multipart/form-data; boundary=b0undary", &part)
}

fn requests(value: &str) -> [(&'static str, String); 5] {
    let get = |target: String, cookie: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: acme.test\r\nUser-Agent: e2e\r\nAccept: */*\r\n{cookie}\r\n")
    };
    [
        ("query", get(format!("/?q={}", encoded(value)), "")),
        (
            "cookie",
            get("/".into(), &format!("Cookie: q={}\r\n", encoded(value))),
        ),
        (
            "form",
            post(
                "application/x-www-form-urlencoded",
                &format!("a=1&q={}", encoded(value)),
            ),
        ),
        (
            "JSON",
            post("application/json", &format!("{{\"a\":[{{\"q\":\"{value}\"}}]}}")),
        ),
        ("multipart", multipart(value)),
    ]
}

#[test]
fn an_injection_is_refused_wherever_it_stands() {
    let site = Site::start();
    for (place, request) in requests(ATTACK) {
        let response = site.weir.client().roundtrip(request);
        assert_eq!(
            (response.status, response.code().as_str()),
            (403, "waf_blocked"),
            "{place}"
        );
    }
    assert_eq!(site.origin.bytes_in(), 0, "{:?}", site.origin.seen());
}

#[test]
fn harmless_requests_of_the_same_forms_pass() {
    let site = Site::start();
    for (place, request) in requests("an ordinary value of 12 words, selected from a union of users") {
        assert_eq!(site.weir.client().roundtrip(request).status, 200, "{place}");
    }
}

#[test]
fn a_connection_is_usable_after_a_refusal() {
    let site = Site::start();
    let mut client = site.weir.client();
    for (place, request) in requests(ATTACK) {
        assert_eq!(client.roundtrip(request).status, 403, "{place}");
    }
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn logins_of_one_address_are_counted_across_requests_and_reloads() {
    let rules = "SecAction \"id:9001,phase:1,nolog,pass,initcol:ip=%{REMOTE_ADDR}\"\n\
        SecRule IP:failed \"@gt 5\" \"id:9002,phase:1,deny\"\n\
        SecRule REQUEST_FILENAME \"@streq /login\" \"id:9003,phase:1,pass,nolog,setvar:ip.failed=+1,expirevar:ip.failed=60\"\n";
    let origin = Origin::start();
    let config = weir_tests::config::Config::with_origin(origin.address())
        .set("/tenants/0/waf/rules", serde_json::json!(["own.conf"]));
    let weir = weir_tests::weir::Weir::start_with_files(&config, &[("own.conf", rules)]);
    let ask = |target: &str| {
        let head =
            format!("GET {target} HTTP/1.1\r\nHost: acme.test\r\nUser-Agent: e2e\r\nAccept: */*\r\n\r\n");
        weir.client().roundtrip(head).status
    };
    for turn in 0..6 {
        assert_eq!(ask("/login"), 200, "{turn}");
    }
    assert_eq!(ask("/"), 403);
    weir.reload(&config.clone().set("/tenants/0/waf/body_bytes_max", 1000));
    assert_eq!(ask("/"), 403);
}

#[test]
fn an_attack_at_the_end_of_a_megabyte_is_refused_and_the_origin_saw_nothing() {
    let site = Site::start();
    let padding = "x".repeat(1_000_000);
    let forms = [
        post(
            "application/x-www-form-urlencoded",
            &format!("a={padding}&q={}", encoded(ATTACK)),
        ),
        post(
            "application/json",
            &format!("{{\"a\":\"{padding}\",\"q\":\"{ATTACK}\"}}"),
        ),
    ];
    for request in forms {
        let mut client = site.weir.client().deadline(std::time::Duration::from_secs(30));
        assert_eq!(client.roundtrip(&request).status, 403);
    }
    assert_eq!(site.origin.bytes_in(), 0);
}

#[test]
fn a_body_above_the_limit_is_413_or_streamed_as_the_tenant_says() {
    let limit = |over: &'static str| {
        Site::over(Origin::start(), move |config| {
            config
                .set("/tenants/0/waf/body_bytes_max", 1000)
                .set("/tenants/0/waf/body_over_limit", over)
        })
    };
    let request = post("text/plain", &"x".repeat(1001));
    let refuse = limit("refuse");
    let response = refuse.weir.client().roundtrip(&request);
    assert_eq!(
        (response.status, response.code().as_str()),
        (413, "body_too_large")
    );
    assert_eq!(refuse.origin.bytes_in(), 0);
    let stream = limit("stream");
    assert_eq!(stream.weir.client().roundtrip(&request).status, 200);
    assert_eq!(stream.origin.wait_seen(1)[0].body_bytes, 1001);
    let document = format!("{{\"a\": \"{}\"}}", "x".repeat(2000));
    assert_eq!(
        stream
            .weir
            .client()
            .roundtrip(post("application/json", &document))
            .status,
        200
    );
    let attack = format!("{{\"q\": \"{ATTACK}\", \"a\": \"{}\"}}", "x".repeat(2000));
    assert_eq!(
        stream
            .weir
            .client()
            .roundtrip(post("application/json", &attack))
            .status,
        403
    );
}

#[test]
fn detect_mode_and_off_let_it_pass() {
    for mode in ["detect", "off"] {
        let site = Site::with(|config| config.set("/tenants/0/waf/mode", mode));
        for (place, request) in requests(ATTACK) {
            assert_eq!(
                site.weir.client().roundtrip(request).status,
                200,
                "{mode}, {place}"
            );
        }
        assert_eq!(site.origin.seen().len(), 5);
    }
}

#[test]
fn own_rules_of_a_tenant_are_applied() {
    let origin = Origin::start();
    let config = weir_tests::config::Config::with_origin(origin.address())
        .set("/tenants/0/waf/rules", serde_json::json!(["own.conf"]));
    let rule = "SecRule REQUEST_HEADERS:X-Probe \"@streq yes\" \"id:1000001,phase:1,deny,status:403,log,msg:'probe'\"\n";
    let weir = weir_tests::weir::Weir::start_with_files(&config, &[("own.conf", rule)]);
    let ask = |probe: &str| {
        weir.client()
            .roundtrip(format!(
                "GET / HTTP/1.1\r\nHost: acme.test\r\nX-Probe: {probe}\r\n\r\n"
            ))
            .status
    };
    assert_eq!((ask("yes"), ask("no")), (403, 200));
}

#[test]
fn a_response_body_is_judged_up_to_its_limit_before_the_client_sees_the_head() {
    let rules = "SecResponseBodyAccess On\n\
        SecResponseBodyMimeType text/plain\n\
        SecRule RESPONSE_BODY \"@contains leaked-secret\" \"id:1000002,phase:4,deny,status:403\"\n";
    for (limit, status) in [(1_000_000, 502), (1000, 200)] {
        let text = format!("{} leaked-secret", "x".repeat(10_000));
        let origin = Origin::answering(move |_| weir_tests::origin::Answer::text(&text));
        let config = weir_tests::config::Config::with_origin(origin.address())
            .set("/tenants/0/waf/rules", serde_json::json!(["own.conf"]))
            .set("/tenants/0/waf/response_bytes_max", limit);
        let weir = weir_tests::weir::Weir::start_with_files(&config, &[("own.conf", rules)]);
        let response = weir.client().get("/");
        assert_eq!(response.status, status, "response_bytes_max: {limit}");
        if status == 502 {
            assert_eq!(
                response.code(),
                "waf_response_blocked",
                "the origin's answer is at fault"
            );
        }
        let leaked = response.text().contains("leaked-secret");
        assert_eq!(leaked, status == 200, "what comes behind the limit passes");
    }
}
