//! HTTP/2 clients that flood, stall or play with resets: the connection is cut in time and counted, and nobody else is hurt.

use std::time::{Duration, Instant};

use weir_tests::h2c::H2;
use weir_tests::h2raw::*;
use weir_tests::origin::{Answer, Origin};
use weir_tests::wait::wait_for;

use crate::Site;

/// Frames sent before a flood counts as not cut.
const FLOOD_FRAMES: usize = 20_000;

/// Floods with a frame until the peer has closed; gives the last GOAWAY's code and how long it took.
fn flood(client: &mut H2Raw, mut next: impl FnMut(u32) -> Vec<u8>) -> (Option<u32>, Duration) {
    let started = Instant::now();
    for number in 0..FLOOD_FRAMES / 50 {
        let base = u32::try_from(number * 50).unwrap();
        let burst: Vec<u8> = (base..base + 50).flat_map(&mut next).collect();
        if !client.send(burst) {
            break;
        }
    }
    let goaway = client.wait(|frame| frame.kind == GOAWAY);
    (goaway.map(|frame| frame.code()), started.elapsed())
}

fn cut(site: &Site, reason: &str) -> f64 {
    site.weir
        .metric(&format!("weir_connection_cuts_total{{reason=\"{reason}\"}}"))
}

fn serves(site: &Site) {
    let mut client = H2::prior_knowledge(site.weir.address("web")).unwrap();
    assert_eq!(client.get("http://acme.test/honest").unwrap().status, 200);
}

#[test]
fn floods_of_control_frames_are_cut_within_a_second() {
    let site = Site::start();
    let floods = [
        ("settings", frame(SETTINGS, 0, 0, &setting(4, 65_535))),
        ("ping", frame(PING, 0, 0, b"12345678")),
        ("ping acknowledgements", frame(PING, 1, 0, b"12345678")),
        ("priority", frame(PRIORITY, 0, 3, b"\0\0\0\0\x01")),
        ("unknown frames", frame(99, 0, 0, b"x")),
        ("window updates", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("empty data", frame(DATA, 0, 1, b"")),
    ];
    for (count, (what, bytes)) in (1_i32..).zip(floods) {
        let mut client = H2Raw::connect(site.weir.address("web"), &[]);
        client.send(frame(HEADERS, END_HEADERS, 1, &request("POST", "/", &[])));
        let (code, took) = flood(&mut client, |_| bytes.clone());
        assert_eq!(code, Some(ENHANCE_YOUR_CALM), "{what}");
        assert!(took < Duration::from_secs(1), "{what}: {took:?}");
        wait_for("the cut to be counted", || {
            (cut(&site, "h2_control_flood") + cut(&site, "h2_abuse") >= f64::from(count)).then_some(())
        });
        serves(&site);
    }
}

#[test]
fn endless_continuation_is_cut() {
    let site = Site::start();
    let mut client = H2Raw::connect(site.weir.address("web"), &[]);
    client.send(frame(HEADERS, END_STREAM, 1, &request("GET", "/", &[])));
    let (code, _) = flood(&mut client, |_| frame(CONTINUATION, 0, 1, b"\0\x01a\x01b"));
    assert!(code.is_some_and(|code| code != NO_ERROR), "{code:?}");
    assert_eq!(site.origin.bytes_in(), 0);
}

#[test]
fn rapid_resets_are_cut_and_hardly_reach_the_origin() {
    let site = Site::start();
    let mut client = H2Raw::connect(site.weir.address("web"), &[]);
    let (code, took) = flood(&mut client, |number| {
        let stream = number * 2 + 1;
        let mut bytes = frame(
            HEADERS,
            END_STREAM | END_HEADERS,
            stream,
            &request("GET", "/", &[]),
        );
        bytes.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
        bytes
    });
    assert_eq!(code, Some(ENHANCE_YOUR_CALM));
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(site.origin.seen().len() <= 100, "{}", site.origin.seen().len());
    serves(&site);
}

#[test]
fn resets_that_the_client_provokes_are_cut() {
    let late = |_: &_| Answer::text("late").delayed(Duration::from_secs(1));
    let site = Site::over(Origin::answering(late), |config| config);
    let provocations: [fn(u32) -> Vec<u8>; 4] = [
        |stream| frame(WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff]),
        |stream| frame(WINDOW_UPDATE, 0, stream, &[0; 4]),
        |stream| frame(DATA, END_STREAM, stream, b"x"),
        |stream| frame(PRIORITY, 0, stream, &[&stream.to_be_bytes()[..], &[0]].concat()),
    ];
    for (number, provoke) in provocations.into_iter().enumerate() {
        let mut client = H2Raw::connect(site.weir.address("web"), &[]);
        let (code, took) = flood(&mut client, |number| {
            let stream = number * 2 + 1;
            let mut bytes = frame(
                HEADERS,
                END_STREAM | END_HEADERS,
                stream,
                &request("GET", "/", &[]),
            );
            bytes.extend(provoke(stream));
            bytes
        });
        assert!(code.is_some_and(|code| code != NO_ERROR), "{number}: {code:?}");
        assert!(took < Duration::from_secs(1), "{number}: {took:?}");
    }
    assert!(site.origin.seen().len() <= 400, "{}", site.origin.seen().len());
}

#[test]
fn a_page_that_is_left_may_reset_every_stream_at_once() {
    let late = |seen: &weir_tests::origin::Seen| match seen.target.as_str() {
        "/late" => Answer::text("late").delayed(Duration::from_secs(2)),
        _ => Answer::text("ok"),
    };
    let site = Site::over(Origin::answering(late), |config| config);
    let mut client = H2Raw::connect(site.weir.address("web"), &[]);
    for stream in (1..200).step_by(2) {
        client.send(frame(HEADERS, 5, stream, &request("GET", "/late", &[])));
    }
    for stream in (1..200).step_by(2) {
        client.send(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
    }
    client.send(frame(HEADERS, 5, 201, &request("GET", "/", &[])));
    assert_eq!(client.outcome(201), Outcome::Status(200));
}

#[test]
fn the_budgets_are_those_of_the_configuration() {
    let site = Site::with(|config| {
        config
            .set("/client/h2/control_frames_max", 20)
            .set("/client/h2/control_frames_per_s", 0)
            .set("/client/h2/resets_max", 3)
            .set("/client/h2/resets_per_s", 0)
    });
    let mut client = H2Raw::connect(site.weir.address("web"), &[]);
    for number in 0..30 {
        client.send(frame(PING, 0, 0, b"12345678"));
        let answer = client.wait(|frame| matches!(frame.kind, PING | GOAWAY)).unwrap();
        // SETTINGS and its acknowledgement were the first two.
        let expected = if number < 18 { PING } else { GOAWAY };
        assert_eq!(answer.kind, expected, "{number}");
        if expected == GOAWAY {
            break;
        }
    }
    let mut client = H2Raw::connect(site.weir.address("web"), &[]);
    for number in 0..4 {
        let stream = number * 2 + 1;
        client.send(frame(HEADERS, END_HEADERS, stream, &request("POST", "/", &[])));
        client.send(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
    }
    let goaway = client.wait(|frame| frame.kind == GOAWAY).unwrap();
    assert_eq!(goaway.code(), ENHANCE_YOUR_CALM);
    wait_for("both cuts", || {
        (cut(&site, "h2_control_flood") + cut(&site, "h2_reset_flood") >= 2.0).then_some(())
    });
}

#[test]
fn a_client_that_confirms_every_piece_is_not_cut() {
    let body = vec![b'x'; 2_000_000];
    let site = Site::over(
        Origin::answering(move |_| Answer::full(200, &[], &body)),
        |config| {
            config
                .set("/client/h2/control_frames_max", 20)
                .set("/client/h2/control_frames_per_s", 0)
        },
    );
    let mut client = H2Raw::connect(site.weir.address("web"), &[]);
    client.send(frame(HEADERS, 5, 1, &request("GET", "/", &[])));
    let mut bytes = 0;
    while let Some(data) = client.wait(|frame| matches!(frame.kind, DATA | GOAWAY)) {
        assert_eq!(data.kind, DATA, "cut after {bytes} bytes");
        bytes += data.payload.len();
        if data.flags & END_STREAM != 0 {
            break;
        }
        let window = u32::try_from(data.payload.len()).unwrap().to_be_bytes();
        client.send(frame(WINDOW_UPDATE, 0, 0, &window));
        client.send(frame(WINDOW_UPDATE, 0, 1, &window));
    }
    assert_eq!(bytes, 2_000_000);
}

#[test]
fn streams_that_are_not_read_are_reset_and_the_connection_lives() {
    let site = Site::with(|config| config.set("/client/h2/stall_timeout_ms", 500));
    for window in [0, 1] {
        let mut client = H2Raw::connect(site.weir.address("web"), &setting(4, window));
        for stream in (1..21).step_by(2) {
            client.send(frame(HEADERS, 5, stream, &request("GET", "/", &[])));
        }
        for _ in 0..10 {
            assert!(client.wait(|frame| frame.kind == RST_STREAM).is_some());
        }
        client.send(frame(SETTINGS, 0, 0, &setting(4, 65_535)));
        client.send(frame(HEADERS, 5, 21, &request("GET", "/", &[])));
        assert!(
            client
                .wait(|frame| frame.stream == 21 && frame.kind == DATA)
                .is_some()
        );
    }
}

#[test]
fn a_trickle_of_window_updates_is_a_stall() {
    let body = vec![b'x'; 100_000];
    let site = Site::over(
        Origin::answering(move |_| Answer::full(200, &[], &body)),
        |config| config.set("/client/h2/stall_timeout_ms", 700),
    );
    let mut client = H2Raw::connect(site.weir.address("web"), &setting(4, 1));
    client.send(frame(HEADERS, 5, 1, &request("GET", "/", &[])));
    let started = Instant::now();
    while client
        .next_within(Duration::from_millis(1))
        .is_none_or(|frame| frame.kind != RST_STREAM)
    {
        assert!(started.elapsed() < Duration::from_secs(5), "never reset");
        // So slowly does the client read.
        std::thread::sleep(Duration::from_millis(20));
        client.send(frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]));
    }
}

#[test]
fn a_client_that_takes_no_bytes_loses_the_connection() {
    let body = vec![b'x'; 1_000_000];
    let site = Site::over(
        Origin::answering(move |_| Answer::full(200, &[], &body)),
        |config| config.set("/client/h2/stall_timeout_ms", 500),
    );
    let mut client = H2Raw::connect(site.weir.address("web"), &setting(4, 0x7fff_ffff));
    client.send(frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xf0, 0, 0]));
    for stream in (1..200).step_by(2) {
        client.send(frame(HEADERS, 5, stream, &request("GET", "/", &[])));
    }
    wait_for("the stalled connection to be cut", || {
        (cut(&site, "write_stall") >= 1.0).then_some(())
    });
    serves(&site);
}

#[test]
fn a_preface_without_settings_is_refused() {
    let site = Site::start();
    for first in [
        frame(HEADERS, 5, 1, &request("GET", "/", &[])),
        frame(PING, 0, 0, b"12345678"),
    ] {
        let mut client = H2Raw::silent(site.weir.address("web"));
        client.send(PREFACE);
        client.send(first);
        let goaway = client.wait(|frame| frame.kind == GOAWAY);
        assert_eq!(goaway.map(|frame| frame.code()), Some(PROTOCOL_ERROR));
        assert!(client.wait_end());
    }
    assert_eq!(site.origin.bytes_in(), 0);
}

#[test]
fn a_header_list_over_the_limit_is_a_431_and_far_over_it_the_end() {
    let site = Site::with(|config| config.set("/client/h2/header_list_bytes_max", 2048));
    let fill = [b'x'; 100];
    for (count, expected) in [
        (10, Outcome::Status(200)),
        (20, Outcome::Status(431)),
        (200, Outcome::Silence),
    ] {
        let fields: Vec<(&[u8], &[u8])> = vec![(b"x-fill", &fill); count];
        let mut client = H2Raw::connect(site.weir.address("web"), &[]);
        let block = request("GET", "/", &fields);
        let (first, rest) = block.split_at(block.len().min(16_000));
        let ends = if rest.is_empty() { END_HEADERS } else { 0 };
        client.send(frame(HEADERS, END_STREAM | ends, 1, first));
        if ends == 0 {
            client.send(frame(CONTINUATION, END_HEADERS, 1, rest));
        }
        let outcome = client.outcome(1);
        if expected == Outcome::Silence {
            assert!(matches!(outcome, Outcome::Goaway(_)), "{count}: {outcome:?}");
        } else {
            assert_eq!(outcome, expected, "{count}");
        }
    }
    assert_eq!(site.origin.seen().len(), 1);
}

#[test]
fn a_head_that_trickles_or_stops_ends_the_connection_in_time() {
    let site = Site::with(|config| config.set("/client/header_timeout_ms", 500));
    let block = request("GET", "/", &[(b"x-fill", &[b'x'; 100])]);
    for trickles in [false, true] {
        let mut client = H2Raw::connect(site.weir.address("web"), &[]);
        client.send(frame(HEADERS, END_STREAM, 1, &block[..10]));
        let started = Instant::now();
        let mut rest = block[10..].iter();
        while client
            .next_within(Duration::from_millis(20))
            .is_none_or(|frame| frame.kind != GOAWAY)
        {
            assert!(started.elapsed() < Duration::from_secs(5), "trickles: {trickles}");
            if trickles && let Some(byte) = rest.next() {
                // So slowly does the client write: few frames, each with a byte of the block.
                std::thread::sleep(Duration::from_millis(100));
                client.send(frame(CONTINUATION, 0, 1, &[*byte]));
            }
        }
        assert!(client.wait_end());
    }
    assert_eq!(site.origin.bytes_in(), 0);
}
