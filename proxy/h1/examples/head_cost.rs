//! Nanoseconds to parse one request head of ten fields, beside httparse. Best of several rounds, as one run
//! on a busy machine says little.
#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::time::Instant;

use weir_h1::{Limits, parse_request};

const REQUEST: &[u8] = b"GET /articles/2026/11/a-title?page=2&sort=new HTTP/1.1\r\nHost: www.example.test\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\nConnection: keep-alive\r\nCookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\nUpgrade-Insecure-Requests: 1\r\nCache-Control: max-age=0\r\nX-Request-Id: 6f1c1f0e\r\n\r\n";
const LIMITS: Limits = Limits {
    head_bytes_max: 32768,
    fields_max: 100,
    target_bytes_max: 8192,
};
const REPEATS: u32 = 200_000;

fn best(mut work: impl FnMut()) -> f64 {
    let round = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..REPEATS).for_each(|_| work());
        start.elapsed().as_nanos() as f64 / f64::from(REPEATS)
    };
    (0..9).map(|_| round(&mut work)).fold(f64::INFINITY, f64::min)
}

fn main() {
    let ours = best(|| {
        let _ = black_box(parse_request(black_box(REQUEST), &LIMITS));
    });
    let peer = best(|| {
        let mut slots = [httparse::EMPTY_HEADER; 100];
        let _ = black_box(httparse::Request::new(&mut slots).parse(black_box(REQUEST)));
    });
    println!(
        "{} bytes: weir-h1 {ours:.0} ns, httparse {peer:.0} ns (no semantics)",
        REQUEST.len()
    );
}
