"""How each proxy is started: one worker, CPU 0, plain and TLS 1.3 listeners, keep-alive to the same origin.

Every start function returns a `Proxy`. Limits that would cut a load run short are lifted on each of them, and nothing else.
"""

import dataclasses
import json
import os

from harness import install, machine
from harness.process import Process, free_port

HOST = "localhost"
# The trusted hop's client address: in the country database, and neither reserved nor in a denied country.
CLIENT_ADDRESS = "1.1.1.1"
HEADERS = {"X-Forwarded-For": CLIENT_ADDRESS, "X-Api-Key": "bench"}
IDLE_MS = 300_000


@dataclasses.dataclass
class Proxy:
    """A running proxy and where it listens."""

    name: str
    process: Process
    plain_port: int
    tls_port: int
    admin_port: int = 0


@dataclasses.dataclass
class Setting:
    """What all proxies of a run share."""

    origin_port: int
    profile: str = "dist"


def write(name, text):
    """Writes a configuration file into the work folder and returns its path."""
    path = os.path.join(machine.WORK, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def nginx(setting, name="nginx", main="", http=""):
    """nginx with an upstream keep-alive pool; no access log, no session tickets. `main` and `http` are more directives."""
    plain, tls = free_port(), free_port()
    cert, key, _ = install.certificate()
    folder = os.path.join(machine.WORK, name)
    os.makedirs(folder, exist_ok=True)
    temporary = "\n".join(
        f"  {kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.geteuid() == 0 else ""
    config = write(f"{name}.conf", f"""
{main}
daemon off; {user} worker_processes 1; pid {folder}/pid; error_log {folder}/error.log error;
events {{ worker_connections 16384; }}
http {{
  access_log off; server_tokens off; keepalive_timeout {IDLE_MS // 1000}s; keepalive_requests 1000000000;
  {http}
{temporary}
  upstream origin {{ server 127.0.0.1:{setting.origin_port}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{plain} backlog=4096;
    listen 127.0.0.1:{tls} ssl http2 backlog=4096;
    http2_max_concurrent_streams 128;
    ssl_certificate {cert}; ssl_certificate_key {key};
    ssl_protocols TLSv1.3; ssl_session_tickets off; ssl_session_cache off;
    location / {{
      proxy_pass http://origin; proxy_http_version 1.1;
      proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
  }}
}}
""")
    process = Process(name, [install.find_program("nginx"), "-c", config, "-e", f"{folder}/start.log"], machine.PROXY_CPU)
    process.wait_port(plain, limit_s=60)
    return Proxy(name, process, plain, tls)


def haproxy(setting):
    """HAProxy with one thread and server-side connection reuse."""
    plain, tls = free_port(), free_port()
    _, _, both = install.certificate()
    config = write("haproxy.cfg", f"""
global
    nbthread 1
    maxconn 8000
    ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets
    tune.ssl.cachesize 0
    tune.h2.max-concurrent-streams 128
defaults
    mode http
    timeout connect 5s
    timeout client {IDLE_MS}ms
    timeout server {IDLE_MS}ms
    timeout http-keep-alive {IDLE_MS}ms
    http-reuse always
frontend edge
    bind 127.0.0.1:{plain}
    bind 127.0.0.1:{tls} ssl crt {both} alpn h2,http/1.1
    option forwardfor
    default_backend origin
backend origin
    server origin 127.0.0.1:{setting.origin_port} pool-max-conn 256
""")
    process = Process("haproxy", [install.find_program("haproxy"), "-db", "-f", config], machine.PROXY_CPU)
    process.wait_port(plain)
    return Proxy("haproxy", process, plain, tls)


def envoy(setting):
    """Envoy with one worker; circuit breakers lifted, TLS resumption off, no request ids."""
    plain, tls = free_port(), free_port()
    config = write("envoy.json", json.dumps(envoy_config(setting, plain, tls)))
    command = [install.envoy(), "-c", config, "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
    process = Process("envoy", command, machine.PROXY_CPU)
    process.wait_port(plain)
    return Proxy("envoy", process, plain, tls)


def envoy_config(setting, plain, tls):
    """The static bootstrap document of Envoy."""
    extension = "type.googleapis.com/envoy.extensions."
    cert, key, _ = install.certificate()

    def address(port):
        return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

    router = {"name": "router", "typed_config": {"@type": extension + "filters.http.router.v3.Router"}}
    route = {"match": {"prefix": "/"}, "route": {"cluster": "origin", "timeout": "0s"}}
    manager = {
        "@type": extension + "filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "edge",
        "use_remote_address": True,
        "generate_request_id": False,
        "http2_protocol_options": {"max_concurrent_streams": 128},
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [router],
    }
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    tls_context = {
        "@type": extension + "transport_sockets.tls.v3.DownstreamTlsContext",
        "disable_stateless_session_resumption": True,
        "disable_stateful_session_resumption": True,
        "common_tls_context": {
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
            "tls_certificates": [{"certificate_chain": {"filename": cert}, "private_key": {"filename": key}}],
        },
    }
    tls_chain = {**chain, "transport_socket": {"name": "tls", "typed_config": tls_context}}
    most = {"max_connections": 16384, "max_pending_requests": 16384, "max_requests": 16384}
    endpoint = {"endpoint": {"address": address(setting.origin_port)}}
    cluster = {
        "name": "origin",
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [most]},
        "load_assignment": {"cluster_name": "origin", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    listeners = [
        {"name": "plain", "address": address(plain), "filter_chains": [chain]},
        {"name": "tls", "address": address(tls), "filter_chains": [tls_chain]},
    ]
    return {"static_resources": {"listeners": listeners, "clusters": [cluster]}}


def stock_pingora(setting):
    """The framework's own proxy engine with nothing added: bench/stock."""
    plain, tls = free_port(), free_port()
    cert, key, _ = install.certificate()
    command = [install.stock_pingora(False), str(plain), str(tls), str(setting.origin_port), cert, key]
    process = Process("stock-pingora", command, machine.PROXY_CPU)
    process.wait_port(plain)
    return Proxy("stock-pingora", process, plain, tls)


# A rate that no load here reaches: each level is counted on every request and never refuses.
ENDLESS = {"requests": 1_000_000, "window_ms": 1000}


def weir_document(setting, plain, tls, admin):
    """One tenant `bench` for `localhost`, no limits of its own, no geo, WAF off: the base of all variants."""
    cert, key, _ = install.certificate()
    return {
        "version": 1,
        "node": {"workers": 1},
        "admin": {"address": f"127.0.0.1:{admin}"},
        "listeners": [
            {"id": "web", "address": f"127.0.0.1:{plain}"},
            {"id": "websecure", "address": f"127.0.0.1:{tls}", "tls": {"version_min": "1.3"}},
        ],
        "client": {
            "keepalive_requests_max": 1_000_000_000,
            "idle_timeout_ms": IDLE_MS,
            "connections_max": 16_384,
            "connections_per_address_max": 16_384,
            "connections_per_prefix_max": 16_384,
            "h2": {"streams_max": 128, "idle_timeout_ms": IDLE_MS},
        },
        "limits": {"requests": dict(ENDLESS)},
        "pools": [{"id": "origin", "endpoints": [f"127.0.0.1:{setting.origin_port}"], "idle_connections_max": 256}],
        "tenants": [
            {
                "id": "bench",
                "hosts": [HOST],
                "tls": {"certificates": [{"cert_file": cert, "key_file": key}]},
                "waf": {"mode": "off"},
                "routes": [{"id": "all", "pool": "origin"}],
            }
        ],
    }


def with_everything_but_waf(document):
    """Adds a trusted hop, the country database with a denied country, and limits by address, key, tenant and route."""
    document["trust"] = {"proxies": ["127.0.0.0/8"]}
    document["geo"] = {"country_database": install.country_database()}
    tenant = document["tenants"][0]
    tenant["geo"] = {"countries_deny": ["KP"]}
    tenant["limits"] = {
        "address": dict(ENDLESS),
        "keys": [{"name": "api-key", "header": "x-api-key", "rate": dict(ENDLESS)}],
        "tenant": dict(ENDLESS),
    }
    tenant["routes"][0]["limit"] = dict(ENDLESS)
    return document


def with_waf(document):
    """Adds the rule set that Weir ships, blocking."""
    document = with_everything_but_waf(document)
    document["tenants"][0]["waf"] = {"mode": "block", "rule_set": "baseline"}
    return document


def start_weir(name, setting, document, ports):
    """Starts `weir proxy` on a document and returns once it is ready."""
    plain, tls, admin = ports
    config = write(f"{name}.json", json.dumps(document, indent=1))
    binary = install.already_built("weir", setting.profile)
    process = Process(name, [binary, "proxy", "--config", config], machine.PROXY_CPU, events=True)
    process.wait_event("ready", limit_s=60)
    return Proxy(name, process, plain, tls, admin)


def weir(name, change):
    """Start function of one Weir variant; `change` edits the base document."""

    def start(setting):
        ports = (free_port(), free_port(), free_port())
        return start_weir(name, setting, change(weir_document(setting, *ports)), ports)

    return start


STARTS = {
    "nginx": nginx,
    "haproxy": haproxy,
    "envoy": envoy,
    "stock-pingora": stock_pingora,
    "weir-plain": weir("weir-plain", lambda document: document),
    "weir-full": weir("weir-full", with_everything_but_waf),
    "weir-waf": weir("weir-waf", with_waf),
}


def versions(names, setting):
    """The version line of each proxy in `names`."""
    lines = []
    for name in names:
        if name == "nginx":
            lines.append(machine.first_line([install.find_program("nginx"), "-v"]))
        elif name == "haproxy":
            lines.append(machine.first_line([install.find_program("haproxy"), "-v"]))
        elif name == "envoy":
            lines.append(install.ENVOY.replace("==", " "))
        elif name == "stock-pingora":
            lines.append("stock Pingora 0.9.1 (bench/stock, rustls, thin LTO)")
    if any(name.startswith("weir") for name in names):
        lines.append(f"weir, cargo profile {setting.profile}")
    return lines
