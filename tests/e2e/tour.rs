//! The tour of the README with the example document, a real nginx behind it and curl in front.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;
use tempfile::TempDir;
use weir_geoip::fixture::{Entry, Schema, write};
use weir_tests::pki::Authority;
use weir_tests::wait::wait_for;
use weir_tests::weir::Weir;

/// An nginx that answers `nginx` to everything.
struct Nginx {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Nginx {
    fn start() -> Self {
        let folder = TempDir::with_prefix("weir-nginx-").expect("a temporary folder");
        let reserved = TcpListener::bind("127.0.0.1:0").expect("a port of the kernel's choice");
        let address = reserved.local_addr().expect("a bound port");
        drop(reserved);
        let at = folder.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {at}/{kind};"))
            .concat();
        let text = format!(
            "daemon off; worker_processes 1; pid {at}/pid; error_log {at}/error.log;\n\
             events {{ worker_connections 64; }}\n\
             http {{ access_log off; {temporary}\n\
             server {{ listen {address}; location / {{ default_type text/plain; return 200 nginx; }} }} }}\n"
        );
        let config = folder.path().join("nginx.conf");
        std::fs::write(&config, text).expect("write nginx.conf");
        let child = Command::new("/usr/sbin/nginx")
            .arg("-c")
            .arg(&config)
            .arg("-e")
            .arg(folder.path().join("start.log"))
            .stdin(Stdio::null())
            .spawn()
            .expect("nginx: run .ci/setup, which installs it");
        wait_for("nginx to listen", || TcpStream::connect(address).ok());
        Self {
            child,
            address,
            _folder: folder,
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            // The master ends its worker on TERM; it may be gone already.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

/// Takes the comment signs off a block of lines, given by its first line and its length.
fn uncomment(text: &str, first: &str, count: usize) -> String {
    let mut left = 0;
    let mut found = false;
    let lines = text.lines().map(|line| {
        if line.trim_start() == first {
            (left, found) = (count, true);
        }
        if left == 0 {
            return line.to_owned();
        }
        left -= 1;
        line.replacen("# ", "", 1)
    });
    let lines: Vec<String> = lines.collect();
    assert!(found, "the example has no line {first:?}");
    lines.join("\n") + "\n"
}

/// The example document with TLS, geo and a trusted hop switched on, on ports of the kernel's choice.
fn document(origin: SocketAddr, folder: &Path) -> String {
    let text = weir_schema::config::example();
    let text = uncomment(text, "# - id: websecure", 3);
    let text = uncomment(&text, "# trust: { proxies: [\"10.0.0.0/8\"] }", 1);
    let text = uncomment(&text, "# geo:", 2);
    let text = uncomment(&text, "# geo: { countries_deny: [KP] }", 1);
    let text = uncomment(&text, "# tls:", 2);
    let replaced = |text: String, from: &str, to: &str| {
        assert!(text.contains(from), "the example has no {from:?}");
        text.replace(from, to)
    };
    let text = replaced(text, "127.0.0.1:9000", &origin.to_string());
    let text = replaced(text, "127.0.0.1:9901", "127.0.0.1:0");
    let text = replaced(text, "127.0.0.1:8080", "127.0.0.1:0");
    let text = replaced(text, "127.0.0.1:8443", "127.0.0.1:0");
    let text = replaced(text, "10.0.0.0/8", "127.0.0.0/8");
    ["country.mmdb", "shop.pem", "shop.key"]
        .into_iter()
        .fold(text, |text, file| {
            replaced(text, file, &folder.join(file).display().to_string())
        })
}

/// What curl printed: the head with every field, then the body.
fn curl(arguments: &[&str]) -> String {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--include", "--max-time", "20"])
        .args(arguments)
        .output()
        .expect("curl: run .ci/setup, which installs it");
    assert!(
        output.status.success(),
        "curl {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_tour_of_the_readme() {
    let nginx = Nginx::start();
    let folder = TempDir::with_prefix("weir-tour-").expect("a temporary folder");
    let database = folder.path().join("country.mmdb");
    let entries = [
        Entry::new("175.45.176.0/22", "KP", 131_279),
        Entry::new("81.2.69.0/24", "GB", 20_712),
    ];
    std::fs::write(&database, write(&entries, Schema::Flat).expect("a database"))
        .expect("write the database");
    let authority = Authority::new("tour");
    let identity = authority.issue(&["shop.test"]);
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.cert_pem()).expect("write the authority");
    for (file, content) in [("shop.pem", &identity.cert_pem), ("shop.key", &identity.key_pem)] {
        std::fs::write(folder.path().join(file), content).expect("write a certificate or key");
    }
    let weir = Weir::start_text(&document(nginx.address, folder.path()), &[]);
    let (plain, tls) = (weir.address("web").port(), weir.address("websecure").port());
    let ca = ca.display().to_string();
    let ask = |client: &str, url: &str, more: &[&str]| {
        let hop = format!("X-Forwarded-For: {client}");
        let to_plain = format!("shop.test:{plain}:127.0.0.1");
        let to_tls = format!("shop.test:{tls}:127.0.0.1");
        let mut arguments = vec!["--resolve", &to_plain, "--resolve", &to_tls, "-H", &hop];
        arguments.extend(more);
        arguments.push(url);
        curl(&arguments)
    };
    let http = format!("http://shop.test:{plain}");
    let https = format!("https://shop.test:{tls}");

    let answer = ask("81.2.69.1", &format!("{http}/"), &[]);
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("nginx"),
        "{answer}"
    );
    let answer = ask("81.2.69.1", &format!("{http}/"), &["--http2-prior-knowledge"]);
    assert!(
        answer.starts_with("HTTP/2 200") && answer.ends_with("nginx"),
        "{answer}"
    );
    let answer = ask("81.2.69.1", &format!("{https}/"), &["--cacert", &ca, "--tlsv1.3"]);
    assert!(
        answer.starts_with("HTTP/2 200") && answer.ends_with("nginx"),
        "{answer}"
    );

    let attack = format!("{http}/?id=1%27%20OR%20%271%27=%271");
    let answer = ask("81.2.69.2", &attack, &[]);
    assert!(
        answer.starts_with("HTTP/1.1 403") && answer.contains("waf_blocked"),
        "{answer}"
    );
    let question = json!({"url": attack, "peer": "127.0.0.1", "headers": [["x-forwarded-for", "81.2.69.2"]]});
    let explained = weir.admin_post("/explain", &question.to_string()).json();
    assert_eq!(explained["verdict"]["code"], "waf_blocked", "{explained}");
    assert!(explained["rules"][0]["id"].is_u64(), "{explained}");

    for _ in 0..5 {
        let answer = ask("81.2.69.3", &format!("{http}/"), &[]);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let answer = ask("81.2.69.3", &format!("{http}/"), &[]).to_lowercase();
    assert!(answer.starts_with("http/1.1 429"), "{answer}");
    for part in [
        "retry-after: 1",
        "ratelimit-policy: \"address\";q=5;w=1",
        "ratelimit: \"address\";r=0;t=1",
        "application/problem+json",
        "violated-policies",
    ] {
        assert!(answer.contains(part), "{part} in {answer}");
    }

    let answer = ask("175.45.176.9", &format!("{http}/"), &[]);
    assert!(
        answer.starts_with("HTTP/1.1 403") && answer.contains("geo_blocked"),
        "{answer}"
    );
    let closed = curl(&["-H", "Host: closed.test", &format!("http://127.0.0.1:{plain}/")]);
    assert!(
        closed.starts_with("HTTP/1.1 403") && closed.contains("tenant_suspended"),
        "{closed}"
    );
}
