//! The listener and the stream of events, on real sockets.

use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::time::timeout;

use super::*;

const SOON: Duration = Duration::from_secs(5);

fn at(address: ApiAddress) -> ApiOptions {
    ApiOptions {
        address,
        certificate: None,
        plain: false,
    }
}

fn loopback() -> ApiOptions {
    at(ApiAddress::Tcp("127.0.0.1:0".parse().unwrap()))
}

async fn get<Io>(io: Io, target: &str, headers: &[(&str, &str)]) -> http::Response<hyper::body::Incoming>
where
    Io: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::get(target).header("host", "control");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = sender.send_request(request.body(Empty::<bytes::Bytes>::new()).unwrap());
    timeout(SOON, answer).await.unwrap().unwrap()
}

/// Reads a stream until it has a text.
async fn until(body: &mut hyper::body::Incoming, wanted: &str) -> String {
    let mut text = String::new();
    while !text.contains(wanted) {
        let frame = timeout(SOON, body.frame())
            .await
            .unwrap_or_else(|_| panic!("{wanted} never came: {text}"));
        text.push_str(std::str::from_utf8(frame.unwrap().unwrap().data_ref().unwrap()).unwrap());
    }
    text
}

#[tokio::test]
async fn events_are_watched_from_where_a_reader_was() {
    let bed = Bed::new().await;
    let server = ApiServer::bind(&loopback(), &bed.api).await.unwrap();
    let address = server.address().unwrap().unwrap();
    let (ended, end) = watch::channel(false);
    let running = tokio::spawn(server.run(end));
    let token = format!("Bearer {}", bed.admin);
    let auth = ("authorization", token.as_str());
    let stream = TcpStream::connect(address).await.unwrap();
    let mut live = get(stream, "/v1/events/watch?action=proxy.", &[auth])
        .await
        .into_body();
    until(&mut live, "welcome").await;
    bed.admin(
        "POST /v1/tokens",
        &[],
        Some(json!({"role": "read", "tenants": [], "regions": []})),
    )
    .await;
    for id in ["a", "b"] {
        bed.admin("POST /v1/proxies", &[], proxy(id, "eu")).await;
    }
    let text = until(&mut live, "proxy/b").await;
    assert!(
        text.contains("event: proxy.create\ndata: {") && !text.contains("token.create"),
        "{text}"
    );
    let seq = text.lines().find_map(|line| line.strip_prefix("id: ")).unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let mut later = get(stream, "/v1/events/watch", &[auth, ("last-event-id", seq)])
        .await
        .into_body();
    let text = until(&mut later, "proxy/b").await;
    assert!(!text.contains("proxy/a"), "{text}");
    let stream = TcpStream::connect(address).await.unwrap();
    assert_eq!(
        get(stream, "/v1/events/watch", &[auth, ("last-event-id", "x")])
            .await
            .status(),
        400
    );
    drop((live, later));
    ended.send_replace(true);
    timeout(SOON * 2, running).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_watch_ends_with_its_token() {
    let bed = Bed::new().await;
    let made = bed
        .admin(
            "POST /v1/tokens",
            &[],
            Some(json!({"role": "read", "tenants": ["*"], "regions": ["*"]})),
        )
        .await;
    let (secret, id) = (
        made.body["secret"].as_str().unwrap(),
        made.body["token"]["id"].as_str().unwrap(),
    );
    let server = ApiServer::bind(&loopback(), &bed.api).await.unwrap();
    let address = server.address().unwrap().unwrap();
    let (_ended, end) = watch::channel(false);
    let running = tokio::spawn(server.run(end));
    let stream = TcpStream::connect(address).await.unwrap();
    let token = format!("Bearer {secret}");
    let mut live = get(stream, "/v1/events/watch", &[("authorization", &token)])
        .await
        .into_body();
    until(&mut live, "welcome").await;
    bed.admin(
        &format!("POST /v1/tokens/{id}/revoke"),
        &[("if-match", "*")],
        None,
    )
    .await;
    let rest = timeout(SOON, live.collect())
        .await
        .expect("the stream ends")
        .unwrap()
        .to_bytes();
    assert!(!String::from_utf8_lossy(&rest).contains("token.revoke"));
    running.abort();
}

#[tokio::test]
async fn a_unix_socket_is_for_its_owner_and_replaces_one_that_was_left() {
    use std::os::unix::fs::PermissionsExt as _;
    let bed = Bed::new().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    let options = at(ApiAddress::Unix(path.clone()));
    drop(ApiServer::bind(&options, &bed.api).await.unwrap());
    let server = ApiServer::bind(&options, &bed.api).await.unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let (_ended, end) = watch::channel(false);
    let running = tokio::spawn(server.run(end));
    let stream = UnixStream::connect(&path).await.unwrap();
    assert_eq!(get(stream, "/v1/whoami", &[]).await.status(), 401);
    running.abort();
    std::fs::write(folder.path().join("file"), "kept").unwrap();
    let taken = ApiServer::bind(&at(ApiAddress::Unix(folder.path().join("file"))), &bed.api).await;
    assert!(taken.is_err());
}

#[tokio::test]
async fn an_open_address_needs_tls() {
    let bed = Bed::new().await;
    let open = at(ApiAddress::Tcp("0.0.0.0:0".parse().unwrap()));
    let error = ApiServer::bind(&open, &bed.api).await.err().unwrap();
    assert!(error.contains("certificate"), "{error}");
    ApiServer::bind(&ApiOptions { plain: true, ..open }, &bed.api)
        .await
        .unwrap();
}

#[tokio::test]
async fn tls_serves_the_certificate_that_is_given() {
    let bed = Bed::new().await;
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    std::fs::write(&chain, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let options = ApiOptions {
        certificate: Some((chain, key.clone())),
        ..loopback()
    };
    let server = ApiServer::bind(&options, &bed.api).await.unwrap();
    let address = server.address().unwrap().unwrap();
    let (_ended, end) = watch::channel(false);
    let running = tokio::spawn(server.run(end));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = "localhost".try_into().unwrap();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(client))
        .connect(name, stream)
        .await
        .unwrap();
    assert_eq!(get(stream, "/v1/whoami", &[]).await.status(), 401);
    running.abort();
    let missing = ApiOptions {
        certificate: Some((folder.path().join("none"), key)),
        ..loopback()
    };
    assert!(
        ApiServer::bind(&missing, &bed.api)
            .await
            .err()
            .unwrap()
            .contains("none")
    );
}
