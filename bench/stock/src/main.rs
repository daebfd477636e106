//! A stock Pingora reverse proxy: one upstream, no logic, the framework's defaults, one worker.
//!
//! `stock-pingora PLAIN_PORT TLS_PORT UPSTREAM_PORT CERT_FILE KEY_FILE`, all on 127.0.0.1.

use async_trait::async_trait;
use pingora::listeners::tls::TlsSettings;
use pingora::prelude::*;
use pingora::server::configuration::ServerConf;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct OneUpstream(String);

#[async_trait]
impl ProxyHttp for OneUpstream {
    type CTX = ();
    fn new_ctx(&self) {}
    async fn upstream_peer(&self, _: &mut Session, _: &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.0.as_str(), false, String::new())))
    }
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let mut next = |what: &str| {
        args.next()
            .ok_or_else(|| Error::explain(ErrorType::InternalError, what.to_owned()))
    };
    let (plain, tls, upstream) = (next("PLAIN_PORT")?, next("TLS_PORT")?, next("UPSTREAM_PORT")?);
    let (cert, key) = (next("CERT_FILE")?, next("KEY_FILE")?);
    let conf = ServerConf {
        threads: 1,
        upstream_keepalive_pool_size: 256,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(
        &server.configuration,
        OneUpstream(format!("127.0.0.1:{upstream}")),
    );
    service.add_tcp(&format!("127.0.0.1:{plain}"));
    let mut settings = TlsSettings::intermediate(&cert, &key)?;
    settings.enable_h2();
    service.add_tls_with_settings(&format!("127.0.0.1:{tls}"), None, settings);
    server.add_service(service);
    server.run_forever()
}
