//! TLS at the edge: names, versions, resumption, certificates that change, client certificates.

use rustls::HandshakeKind;
use weir_tests::config::Config;
use weir_tests::h1::H1;
use weir_tests::origin::Origin;
use weir_tests::pki::Authority;
use weir_tests::tls::Client;
use weir_tests::weir::Weir;

/// A proxy with a certificate for `acme.test` and one for tenant `other` with `other.test`.
struct Secure {
    _origin: Origin,
    weir: Weir,
    authority: Authority,
    config: Config,
}

fn secure(change: impl FnOnce(Config) -> Config) -> Secure {
    let origin = Origin::start();
    let authority = Authority::new("test authority");
    let (acme, other) = (
        authority.issue(&["acme.test", "*.acme.test"]),
        authority.issue(&["other.test"]),
    );
    let other_files = serde_json::json!([ { "cert_file": "other.pem", "key_file": "other.key" } ]);
    let config = Config::with_origin(origin.address())
        .with_tls("acme.pem", "acme.key")
        .with_tenant("other", "other.test")
        .set("/tenants/1/tls/certificates", other_files);
    let config = change(config);
    let ca = authority.cert_pem();
    let files = [
        ("acme.pem", acme.cert_pem.as_str()),
        ("acme.key", acme.key_pem.as_str()),
        ("other.pem", other.cert_pem.as_str()),
        ("other.key", other.key_pem.as_str()),
        ("ca.pem", ca.as_str()),
    ];
    let weir = Weir::start_with_files(&config, &files);
    Secure {
        _origin: origin,
        weir,
        authority,
        config,
    }
}

fn server_certificate(client: &Client, secure: &Secure, host: &str) -> Vec<u8> {
    let stream = client.connect(secure.weir.address("websecure"), host).unwrap();
    stream.conn.peer_certificates().unwrap()[0].to_vec()
}

#[test]
fn each_name_gets_its_certificate_and_an_unknown_one_is_refused() {
    let secure = secure(|config| config);
    let client = Client::trusting(&secure.authority, &["http/1.1"]);
    let address = secure.weir.address("websecure");
    for host in ["acme.test", "www.acme.test", "other.test"] {
        let stream = client.connect(address, host).unwrap();
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(H1::over_tls(stream).roundtrip(request).status, 200, "{host}");
    }
    let error = client
        .connect(address, "nobody.test")
        .expect_err("an unknown name must fail in the handshake");
    assert!(error.to_string().contains("alert"), "{error}");
}

#[test]
fn a_host_of_another_tenant_is_misdirected() {
    let secure = secure(|config| config);
    let client = Client::trusting(&secure.authority, &["http/1.1"]);
    let stream = client
        .connect(secure.weir.address("websecure"), "acme.test")
        .unwrap();
    let response = H1::over_tls(stream).roundtrip("GET / HTTP/1.1\r\nHost: other.test\r\n\r\n");
    assert_eq!(
        (response.status, response.code().as_str()),
        (421, "host_mismatch")
    );
}

#[test]
fn both_versions_are_served_and_the_lowest_can_be_raised() {
    let only_12 = |authority: &Authority| Client::new(authority, &[], &[&rustls::version::TLS12], None);
    let only_13 = |authority: &Authority| Client::new(authority, &[], &[&rustls::version::TLS13], None);
    let wide = secure(|config| config);
    let address = wide.weir.address("websecure");
    assert!(only_12(&wide.authority).connect(address, "acme.test").is_ok());
    assert!(only_13(&wide.authority).connect(address, "acme.test").is_ok());
    let narrow = secure(|config| config.set("/listeners/1/tls/version_min", "1.3"));
    let address = narrow.weir.address("websecure");
    assert!(only_12(&narrow.authority).connect(address, "acme.test").is_err());
    assert!(only_13(&narrow.authority).connect(address, "acme.test").is_ok());
}

#[test]
fn a_session_is_resumed_unless_tickets_are_off() {
    for (tickets, second) in [(2, HandshakeKind::Resumed), (0, HandshakeKind::Full)] {
        let secure = secure(|config| config.set("/listeners/1/tls/tickets", tickets));
        let client = Client::new(&secure.authority, &["http/1.1"], &[&rustls::version::TLS13], None);
        let kinds = [0, 1].map(|_| {
            let mut stream = client
                .connect(secure.weir.address("websecure"), "acme.test")
                .unwrap();
            let kind = stream.conn.handshake_kind();
            // Reading a response also takes the tickets that came after the handshake.
            use std::io::{Read, Write};
            stream
                .write_all(b"GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
                .unwrap();
            let mut bytes = [0; 1024];
            assert!(stream.read(&mut bytes).unwrap() > 0);
            kind
        });
        assert!(matches!(
            kinds[0],
            Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest)
        ));
        assert_eq!(kinds[1], Some(second), "tickets: {tickets}");
    }
}

#[test]
fn a_reload_swaps_the_certificate_and_open_connections_live_on() {
    let secure = secure(|config| config);
    let client = Client::trusting(&secure.authority, &["http/1.1"]);
    let before = server_certificate(&client, &secure, "acme.test");
    let mut open = H1::over_tls(
        client
            .connect(secure.weir.address("websecure"), "acme.test")
            .unwrap(),
    );
    assert_eq!(open.get("/").status, 200);
    let renewed = secure.authority.issue(&["acme.test"]);
    secure.weir.write("acme.pem", &renewed.cert_pem);
    secure.weir.write("acme.key", &renewed.key_pem);
    secure.weir.reload(&secure.config);
    let fresh = Client::trusting(&secure.authority, &["http/1.1"]);
    let after = server_certificate(&fresh, &secure, "acme.test");
    assert_ne!(before, after);
    assert_eq!(after, renewed.cert.to_vec());
    assert_eq!(open.get("/").status, 200);
}

#[test]
fn a_tenant_that_asks_for_client_certificates_gets_them_or_refuses() {
    let auth = serde_json::json!({ "ca_file": "ca.pem", "required": true });
    let secure = secure(|config| config.set("/tenants/0/tls/client_auth", auth));
    let address = secure.weir.address("websecure");
    let get = |client: &Client, host: &str| {
        let stream = client.connect(address, host).ok()?;
        let mut client = H1::over_tls(stream);
        client
            .send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"))
            .ok()?;
        client.response().map(|response| response.status)
    };
    let versions = rustls::ALL_VERSIONS;
    let nobody = Client::new(&secure.authority, &["http/1.1"], versions, None);
    assert_eq!(get(&nobody, "acme.test"), None);
    assert_eq!(
        get(&nobody, "other.test"),
        Some(200),
        "only the tenant that asks for it"
    );
    let good = secure.authority.issue(&["client.test"]);
    assert_eq!(
        get(
            &Client::new(&secure.authority, &["http/1.1"], versions, Some(&good)),
            "acme.test"
        ),
        Some(200)
    );
    let foreign = Authority::new("another authority").issue(&["client.test"]);
    assert_eq!(
        get(
            &Client::new(&secure.authority, &["http/1.1"], versions, Some(&foreign)),
            "acme.test"
        ),
        None
    );
}

#[test]
fn a_ticket_lives_as_long_as_the_rotation_of_its_key_allows() {
    let hint = |rotation_ms: u32| {
        let secure = secure(|config| config.set("/listeners/1/tls/ticket_rotation_ms", rotation_ms));
        let address = secure.weir.address("websecure").to_string();
        let output = std::process::Command::new("openssl")
            .args([
                "s_client",
                "-tls1_2",
                "-servername",
                "acme.test",
                "-connect",
                &address,
            ])
            .stdin(std::process::Stdio::null())
            .output()
            .expect("openssl, which .ci/setup installs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let seconds = text
            .lines()
            .find_map(|line| line.trim().strip_prefix("TLS session ticket lifetime hint: "))
            .and_then(|rest| rest.split(' ').next()?.parse::<u64>().ok());
        seconds.unwrap_or_else(|| panic!("no ticket: {text}"))
    };
    let (short, long) = (hint(60_000), hint(3_600_000));
    assert!((60..=120).contains(&short), "{short} s");
    assert!((3600..=7200).contains(&long), "{long} s");
}
