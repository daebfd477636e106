use std::cell::Cell;

use super::*;

fn watch() -> FrameWatch {
    let limits = ClientH2 {
        streams_max: 100,
        header_list_bytes_max: 65_536,
        resets_max: 5,
        resets_per_s: 2,
        control_frames_max: 10,
        control_frames_per_s: 4,
        idle_timeout: std::time::Duration::ZERO,
        stall_timeout: std::time::Duration::ZERO,
    };
    FrameWatch::new(&limits, 0)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

fn begun() -> FrameWatch {
    let mut watch = watch();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    assert_eq!(watch.observe(&bytes, Refill::default), Ok(()));
    watch
}

fn floods(kind: u8, flags: u8, payload: &[u8]) -> Result<(), FrameFault> {
    let mut watch = begun();
    (0..20).try_for_each(|_| watch.observe(&frame(kind, flags, 1, payload), Refill::default))
}

#[test]
fn every_kind_of_frame_without_a_request_is_cut_when_it_floods() {
    for (kind, payload) in [
        (DATA, &b""[..]),
        (2, b"\0\0\0\0\0"),
        (SETTINGS, b""),
        (6, b"12345678"),
        (8, b"\0\0\0\x01"),
        (CONTINUATION, b""),
        (200, b"x"),
    ] {
        assert_eq!(floods(kind, 0, payload), Err(FrameFault::ControlFlood), "{kind}");
    }
    assert_eq!(floods(RST_STREAM, 0, b"\0\0\0\x08"), Err(FrameFault::ResetFlood));
}

#[test]
fn bodies_and_requests_cost_nothing() {
    assert_eq!(floods(DATA, 0, b"x"), Ok(()));
    assert_eq!(floods(DATA, END_STREAM, b""), Ok(()));
    let mut watch = begun();
    for stream in (1..100).step_by(2) {
        let request = frame(HEADERS, END_STREAM | END_HEADERS, stream, b"\x82\x86\x84");
        assert_eq!(watch.observe(&request, Refill::default), Ok(()));
    }
}

#[test]
fn time_and_answers_refill() {
    let mut watch = begun();
    let refill = Cell::new(Refill::default());
    let ping = frame(200, 0, 0, b"");
    let mut sent = 1;
    while watch.observe(&ping, || refill.get()) == Ok(()) {
        sent += 1;
    }
    assert_eq!(sent, 10, "the SETTINGS frame counts");
    refill.set(Refill {
        now_ns: 500_000_000,
        ..Refill::default()
    });
    assert_eq!(watch.observe(&ping, || refill.get()), Ok(()));
    assert_eq!(watch.observe(&ping, || refill.get()), Ok(()));
    assert!(watch.observe(&ping, || refill.get()).is_err());
    refill.set(Refill {
        pieces: 1,
        ..refill.get()
    });
    let earned = (0..20).take_while(|_| watch.observe(&ping, || refill.get()).is_ok());
    assert_eq!(earned.count(), CONTROL_PER_PIECE as usize);
}

#[test]
fn bytes_may_come_one_by_one() {
    let mut watch = watch();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, b"\0\x03\0\0\0\x01"));
    bytes.extend(frame(HEADERS, END_HEADERS, 1, b"\x83\x86\x84"));
    bytes.extend(frame(HEADERS, 5, 1, b"\x84"));
    for byte in bytes {
        assert_eq!(watch.observe(&[byte], Refill::default), Ok(()));
    }
    assert_eq!(watch.take_malformed().as_slice(), [1]);
    assert!(watch.take_malformed().is_empty());
}

#[test]
fn the_first_frame_is_settings() {
    for (kind, flags) in [(HEADERS, 5), (6, 0), (SETTINGS, ACK)] {
        let mut watch = watch();
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend(frame(kind, flags, 0, b""));
        assert_eq!(
            watch.observe(&bytes, Refill::default),
            Err(FrameFault::NoSettings)
        );
    }
}

/// Trailers of stream 1 as frames, and whether they have a pseudo field.
fn trailers(frames: &[(u8, u8, &[u8])]) -> bool {
    let mut watch = begun();
    let head = frame(HEADERS, END_HEADERS, 1, b"\x83\x86\x84");
    watch.observe(&head, Refill::default).unwrap();
    for (kind, flags, payload) in frames {
        watch
            .observe(&frame(*kind, *flags, 1, payload), Refill::default)
            .unwrap();
    }
    !watch.take_malformed().is_empty()
}

#[test]
fn pseudo_fields_in_trailers_are_seen_in_every_form() {
    for block in [
        &b"\x84"[..],
        b"\x44\x02/x",
        b"\x04\x02/x",
        b"\x14\x02/x",
        b"\x40\x04:foo\x01x",
        b"\x00\x04:foo\x01x",
        // ":foo" in Huffman code.
        b"\x40\x83\xb8\x94\xe7\x01x",
        b"\x40\x01a\x01b\x88",
        // Cut off.
        b"\x40\x05a",
    ] {
        assert!(trailers(&[(HEADERS, 5, block)]), "{block:x?}");
    }
}

#[test]
fn honest_trailers_are_left_alone() {
    assert!(!trailers(&[(HEADERS, 5, b"\x40\x01a\x01b")]));
    assert!(!trailers(&[(HEADERS, 5, b"\x00\x81\x1f\x01b\xbe")]));
    assert!(!trailers(&[(HEADERS, 5, b"\x3f\xe1\x1f\x40\x01a\x01b")]));
    assert!(!trailers(&[(
        HEADERS,
        5 | 8 | 0x20,
        b"\x02\0\0\0\0\0\x40\x01a\x01b\0\0"
    )]));
    assert!(!trailers(&[
        (HEADERS, 1, b"\x40\x01"),
        (CONTINUATION, 4, b"a\x01b")
    ]));
    assert!(trailers(&[
        (HEADERS, 1 | 8, b"\x01\x40\0"),
        (CONTINUATION, 4, b"\x02:a\x01b")
    ]));
}

#[test]
fn the_rest_of_a_head_is_owed_until_it_came() {
    let mut watch = begun();
    let mut owes = |bytes: &[u8]| {
        watch.observe(bytes, Refill::default).unwrap();
        watch.owes_head()
    };
    let head = frame(HEADERS, 0, 1, b"\x83\x86\x84");
    assert!(!owes(&[]));
    assert!(owes(&head[..4]));
    assert!(owes(&head[4..10]));
    assert!(owes(&head[10..]), "END_HEADERS is missing");
    assert!(!owes(&frame(CONTINUATION, END_HEADERS, 1, b"")));
    let data = frame(DATA, 0, 1, b"0123456789");
    assert!(!owes(&data[..12]), "a body has its own least rate");
    assert!(!owes(&data[12..]));
}
