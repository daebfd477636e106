//! Bodies arrive byte for byte, whatever their size, framing and protocol.

use http::Request;
use weir_tests::h2c::H2;
use weir_tests::origin::{Answer, Origin};
use weir_tests::{noise, sha256_hex};

use crate::Site;

/// 1 KB, 70 KB (above the 64 KiB at which stock Pingora loses bodies), 1 MB, and a large one.
fn sizes() -> [usize; 4] {
    let large = if std::env::var_os("WEIR_E2E_FULL").is_some() {
        100_000_000
    } else {
        20_000_000
    };
    [1_000, 70_000, 1_000_000, large]
}

/// The proxy judges the first MiB and streams the rest, so that every size passes.
fn site(origin: Origin) -> Site {
    Site::over(origin, |config| {
        config.set("/tenants/0/waf/body_over_limit", "stream")
    })
}

fn assert_arrived(site: &Site, count: usize, body: &[u8], how: &str) {
    let seen = site.origin.wait_seen(count).pop().unwrap();
    let sent = (body.len() as u64, sha256_hex(body));
    assert_eq!(
        (seen.body_bytes, seen.body_sha256),
        sent,
        "{how}, {} bytes",
        body.len()
    );
}

#[test]
fn uploads_with_content_length_arrive_identical() {
    let site = site(Origin::start());
    let mut client = site.weir.client().deadline(std::time::Duration::from_secs(60));
    for (index, size) in sizes().into_iter().enumerate() {
        let body = noise(size, size as u64);
        client
            .send(format!(
                "POST /{size} HTTP/1.1\r\nHost: acme.test\r\nContent-Type: application/octet-stream\r\n\
                 Content-Length: {size}\r\n\r\n"
            ))
            .unwrap();
        assert_eq!(client.roundtrip(&body).status, 200, "{size} bytes");
        assert_arrived(&site, index + 1, &body, "content-length");
    }
}

#[test]
fn chunked_uploads_arrive_identical() {
    let site = site(Origin::start());
    let mut client = site.weir.client().deadline(std::time::Duration::from_secs(60));
    for (index, size) in sizes().into_iter().enumerate() {
        let body = noise(size, size as u64);
        let mut sent = format!(
            "POST /{size} HTTP/1.1\r\nHost: acme.test\r\nContent-Type: application/octet-stream\r\n\
             Transfer-Encoding: chunked\r\n\r\n"
        )
        .into_bytes();
        for chunk in body.chunks(33_333) {
            sent.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
            sent.extend_from_slice(chunk);
            sent.extend_from_slice(b"\r\n");
        }
        sent.extend_from_slice(b"0\r\n\r\n");
        assert_eq!(client.roundtrip(&sent).status, 200, "{size} bytes");
        assert_arrived(&site, index + 1, &body, "chunked");
    }
}

#[test]
fn h2_uploads_arrive_identical_with_and_without_length() {
    let site = site(Origin::start());
    let mut client = H2::prior_knowledge(site.weir.address("web")).unwrap();
    let mut count = 0;
    for size in sizes() {
        let body = noise(size, size as u64);
        for with_length in [true, false] {
            let mut request =
                Request::post("http://acme.test/up").header("content-type", "application/octet-stream");
            if with_length {
                request = request.header("content-length", size);
            }
            let response = client.request(request.body(()).unwrap(), &body, None).unwrap();
            assert_eq!(response.status, 200, "{size} bytes, length {with_length}");
            count += 1;
            assert_arrived(&site, count, &body, "h2");
        }
    }
}

#[test]
fn an_attack_at_the_end_of_a_megabyte_reaches_no_origin_whatever_the_framing() {
    let site = Site::start();
    let mut body = format!("a={}", "x".repeat(1_000_000)).into_bytes();
    body.extend_from_slice(b"&q=1%27%20OR%20%271%27%3D%271");
    let head = "POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let mut chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for chunk in body.chunks(40_000) {
        chunked.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let mut h1 = site.weir.client().deadline(std::time::Duration::from_secs(30));
    assert_eq!(h1.roundtrip(&chunked).status, 403, "h1, chunked");
    for with_length in [true, false] {
        let mut h2 = H2::prior_knowledge(site.weir.address("web")).unwrap();
        let mut request =
            Request::post("http://acme.test/").header("content-type", "application/x-www-form-urlencoded");
        if with_length {
            request = request.header("content-length", body.len());
        }
        let response = h2.request(request.body(()).unwrap(), &body, None).unwrap();
        assert_eq!(response.status, 403, "h2, length {with_length}");
    }
    assert_eq!(site.origin.bytes_in(), 0);
}

#[test]
fn downloads_arrive_identical_on_h1_and_h2() {
    let body_of = |target: &str| noise(target[2..].parse().unwrap(), 5);
    let site = site(Origin::answering(move |seen| {
        let body = body_of(&seen.target);
        let binary = ("Content-Type", "application/octet-stream");
        if seen.target.starts_with("/c") {
            Answer::chunked(&body.chunks(40_000).collect::<Vec<_>>(), &[])
        } else {
            Answer::full(200, &[binary], &body)
        }
    }));
    let mut h1 = site.weir.client().deadline(std::time::Duration::from_secs(60));
    let mut h2 = H2::prior_knowledge(site.weir.address("web")).unwrap();
    for size in sizes() {
        for target in [format!("/l{size}"), format!("/c{size}")] {
            let expected = sha256_hex(&noise(size, 5));
            assert_eq!(sha256_hex(&h1.get(&target).body), expected, "h1 {target}");
            let body = h2.get(&format!("http://acme.test{target}")).unwrap().body;
            assert_eq!(sha256_hex(&body), expected, "h2 {target}");
        }
    }
}
