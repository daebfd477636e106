"""Resident memory per idle connection, each figure from a fresh process."""

import contextlib
import math
import socket
import ssl
import time

from harness import machine, proxies
from harness.process import Failed

CONNECTIONS = 1000
KINDS = ("plain", "tls")


def measure(starts, setting):
    """{proxy: {kind: KiB per connection, "idle_kib": RSS after one request}}."""
    rows = {}
    for name, start in starts.items():
        row = {}
        for kind in KINDS:
            proxy = start(setting)
            try:
                row["idle_kib"], row[kind] = per_connection(proxy, kind)
            except OSError as error:
                raise Failed(f"{name} {kind}: {error}") from error
            finally:
                proxy.process.stop()
        rows[name] = row
    return rows


def per_connection(proxy, kind):
    """Opens the connections one after another, one request on each, and leaves them idle."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    port = proxy.tls_port if kind == "tls" else proxy.plain_port
    with contextlib.ExitStack() as held:
        # The first connection pays for what is set up once.
        held.enter_context(one_request(port, kind, context))
        time.sleep(0.3)
        before = machine.tree_rss_kib(proxy.process.pid)
        for _ in range(CONNECTIONS):
            held.enter_context(one_request(port, kind, context))
        time.sleep(0.5)
        after = machine.tree_rss_kib(proxy.process.pid)
    return before, (after - before) / CONNECTIONS


def one_request(port, kind, context):
    """A connection that has seen one complete answer."""
    connection = socket.create_connection(("127.0.0.1", port), 10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if kind == "tls":
        connection = context.wrap_socket(connection, server_hostname=proxies.HOST)
    fields = "".join(f"{name}: {value}\r\n" for name, value in proxies.HEADERS.items())
    connection.sendall(f"GET /1k HTTP/1.1\r\nHost: {proxies.HOST}\r\n{fields}\r\n".encode())
    got = b""
    while True:
        head, blank, body = got.partition(b"\r\n\r\n")
        if blank and not head.startswith(b"HTTP/1.1 200"):
            raise OSError(f"answered {head.splitlines()[0]!r}")
        if blank and len(body) >= 1024:
            return connection
        more = connection.recv(8192)
        if not more:
            raise OSError("closed before its answer was complete")
        got += more


def table(rows):
    """The rows as Markdown."""
    lines = ["| proxy | RSS after one request, KiB | KiB per idle plain connection | per idle TLS 1.3 connection |", "|---|---:|---:|---:|"]
    for name, row in sorted(rows.items(), key=lambda item: item[1].get("plain", math.nan)):
        lines.append(f"| {name} | {row['idle_kib']} | {row['plain']:.1f} | {row['tls']:.1f} |")
    return "\n".join(lines)
