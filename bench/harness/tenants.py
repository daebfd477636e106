"""What 10,000 tenants cost: check, start, memory, one changed tenant, and requests to hosts drawn at random."""

import http.client
import json
import os
import statistics
import subprocess
import time

from harness import install, load, machine, proxies
from harness.process import Failed, free_port

TENANTS = 10_000
RELOADS = 10
LIMIT_S = 120


def document(setting, ports, count):
    """`count` tenants, each with an exact host, a limit of its own, a geo policy, the baseline set and two routes."""
    base = proxies.weir_document(setting, *ports)
    base["trust"] = {"proxies": ["127.0.0.0/8"]}
    base["geo"] = {"country_database": install.country_database()}
    base["tiers"] = [{"id": "standard", "limits": {"tenant": dict(proxies.ENDLESS)}, "waf": {"mode": "block"}}]
    base["tenants"] = [tenant(number) for number in range(count)]
    # The TLS listener needs a certificate of some tenant.
    cert, key, _ = install.certificate()
    base["tenants"][0]["hosts"].append(proxies.HOST)
    base["tenants"][0]["tls"] = {"certificates": [{"cert_file": cert, "key_file": key}]}
    return base


def tenant(number):
    """One tenant; the numbers make no two alike."""
    return {
        "id": f"tenant-{number:05}",
        "tier": "standard",
        "hosts": [host(number)],
        "geo": {"countries_deny": ["KP"]},
        "limits": {"address": {"requests": 1_000_000 - number}},
        "routes": [
            {"id": "api", "path_prefix": "/api", "pool": "origin"},
            {"id": "rest", "pool": "origin"},
        ],
    }


def host(number):
    """Host of a tenant."""
    return f"t{number:05}.bench.test"


def measure(setting, count=TENANTS):
    """Figures as (what, value) rows, in the order they were taken."""
    ports = (free_port(), free_port(), free_port())
    content = document(setting, ports, count)
    name = f"tenants-{count}"
    path = proxies.write(f"{name}.json", json.dumps(content))
    rows = [("document", f"{count} tenants, {os.path.getsize(path) / 1e6:.1f} MB of JSON")]
    rows.append(("weir config check", check_time(setting, path)))

    started = time.monotonic()
    proxy = proxies.start_weir(name, setting, content, ports)
    pid = proxy.process.pid
    try:
        rows.append(("start to ready", f"{(time.monotonic() - started) * 1e3:.0f} ms, {machine.tree_cpu_s(pid) * 1e3:.0f} ms of CPU"))
        rows.append(("RSS when ready", f"{machine.tree_rss_kib(pid) / 1024:.1f} MiB"))
        rows.append(("requests, one host", request_cost(pid, proxy, 1)))
        rows.append((f"requests, {count} hosts at random", request_cost(pid, proxy, count)))
        rows.append((f"reload, one tenant changed (median of {RELOADS})", reload_cost(proxy, path, content)))
        rows.append(("RSS after the reloads", f"{machine.tree_rss_kib(pid) / 1024:.1f} MiB"))
    finally:
        proxy.process.stop()
    return rows


def check_time(setting, path):
    """Wall time of the command, with its start."""
    binary = install.already_built("weir", setting.profile)
    took = []
    for _ in range(3):
        start = time.monotonic()
        done = subprocess.run(
            [binary, "config", "check", path], capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        took.append(time.monotonic() - start)
        if done.returncode != 0:
            raise Failed(f"config check refused the document:\n{(done.stdout + done.stderr)[-2000:]}")
    return f"{statistics.median(took) * 1e3:.0f} ms"


def request_cost(pid, proxy, hosts):
    """CPU per request and latency under wrk, the host drawn from the first `hosts` tenants for each request."""
    script = proxies.write("hosts.lua", f"""
math.randomseed(7)
local fields = {{ {", ".join(f'["{name}"]="{value}"' for name, value in proxies.HEADERS.items())} }}
request = function()
  fields["Host"] = string.format("t%05d.bench.test", math.random(0, {hosts - 1}))
  return wrk.format("GET", "/1k", fields)
end
""")
    url = f"http://127.0.0.1:{proxy.plain_port}/1k"
    seconds = 3
    before = machine.tree_cpu_s(pid)
    done = subprocess.run(
        ["taskset", "-c", machine.LOAD_CPU, "wrk", "-t1", "-c16", f"-d{seconds}s", "--latency", "-s", script, url],
        capture_output=True, text=True, timeout=seconds + 30, check=False,
    )
    spent = machine.tree_cpu_s(pid) - before
    requests, failed, note = load.read_wrk(done.stdout)
    if failed or not requests:
        raise Failed(f"{hosts} hosts: {failed} of {requests} requests failed ({note})")
    p99 = next((line.split()[1] for line in done.stdout.splitlines() if line.strip().startswith("99%")), "?")
    return f"{spent / requests * 1e6:.1f} us of CPU, latency p99 {p99}"


def reload_cost(proxy, path, content):
    """CPU that the process spent from before POST /reload until shortly after its answer."""
    took, cost, checked, compiled = [], [], [], []
    for number in range(RELOADS):
        content["tenants"][-1]["limits"]["address"]["requests"] = 500_000 + number
        with open(path + ".part", "w", encoding="utf-8") as out:
            out.write(json.dumps(content))
        os.replace(path + ".part", path)
        before = machine.thread_cpu_ns(proxy.process.pid)
        start = time.monotonic()
        event = post_reload(proxy.admin_port)
        checked.append(event["check_cpu_us"])
        compiled.append(event["compile_cpu_us"])
        took.append(time.monotonic() - start)
        # What the swap leaves behind (the old version's release) belongs to it.
        time.sleep(0.3)
        after = machine.thread_cpu_ns(proxy.process.pid)
        cost.append(sum(spent - before.get(thread, 0) for thread, spent in after.items()))
    return (
        f"{statistics.median(cost) / 1e6:.1f} ms of CPU (best {min(cost) / 1e6:.1f}) with reading and checking the file; "
        f"of it {statistics.median(checked) / 1e3:.1f} ms to read and check the document, {statistics.median(compiled) / 1e3:.1f} ms to "
        f"compile and compare; answered in {statistics.median(took) * 1e3:.0f} ms"
    )


def post_reload(admin_port):
    """Asks the proxy to read its file again; returns its answer."""
    connection = http.client.HTTPConnection("127.0.0.1", admin_port, timeout=LIMIT_S)
    try:
        connection.request("POST", "/reload")
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status // 100 != 2:
        raise Failed(f"POST /reload answered {answer.status}: {body[:1000].decode('utf-8', 'replace')}")
    event = json.loads(body)
    if event.get("event") != "reloaded":
        raise Failed(f"POST /reload changed nothing: {body[:1000].decode('utf-8', 'replace')}")
    return event


def table(rows):
    """The rows as Markdown."""
    return "\n".join(["| what | figure |", "|---|---|", *(f"| {what} | {value} |" for what, value in rows)])
