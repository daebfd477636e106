"""What a reload of rules costs, and whether requests feel it: Weir with the CRS and one tenant.

The proxy, its compiling included, has one CPU; the client and the origin have the other.
"""

import http.client
import json
import multiprocessing
import os
import shutil
import socket
import statistics
import time

from harness import install, machine, proxies
from harness.process import Failed, Process, free_port

# Requests of the trickle per second, and reloads per second beside it.
RATE, RELOADS_PER_S = 200, 5
ROUNDS = 8
# Fresh processes without and with the CRS, for their memory.
STARTS = 3
# Of each kind, one after the other.
COSTS = 20
REQUEST = (
    "GET /?q=hello+world&page=2 HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n"
    + "".join(f"{name}: {value}\r\n" for name, value in proxies.HEADERS.items())
    + "\r\n"
).encode()


def rule(number, name, rule_id=1000001):
    """A rule whose pattern no other version has."""
    return f'SecRule ARGS "@rx ^{name}{number}x+$" "id:{rule_id},phase:2,pass,nolog"\n'


class Edge:
    """A running Weir with the CRS, and its document."""

    def __init__(self, setting, setup, crs):
        self.crs = os.path.join(machine.WORK, "crs-copy")
        shutil.rmtree(self.crs, ignore_errors=True)
        shutil.copytree(os.path.join(crs, "rules"), os.path.join(self.crs, "rules"))
        self.setup, self.setting, self.edits = setup, setting, 0
        self.own = proxies.write("own.conf", rule(0, "own"))
        ports = (free_port(), free_port(), free_port())
        self.document = proxies.with_everything_but_waf(proxies.weir_document(setting, *ports))
        files = [setup, os.path.join(self.crs, "rules", "*.conf")]
        self.document["rule_sets"] = [{"id": "crs", "files": files}]
        self.document["tenants"][0]["waf"] = {"mode": "off"}
        self.proxy = proxies.start_weir("weir-reload", setting, self.document, ports)

    def reload(self):
        """Reloads from the file; returns the event."""
        proxies.write("weir-reload.json", json.dumps(self.document, indent=1))
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy.admin_port, timeout=60)
        try:
            connection.request("POST", "/reload")
            response = connection.getresponse()
            event = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise Failed(f"reload refused: {json.dumps(event)[:500]}")
        return event

    def use_crs(self, extra):
        """Switches the CRS on for the tenant."""
        self.document["tenants"][0]["waf"] = {"mode": "block", "rule_set": "crs", **extra}

    def edit_shared(self):
        """Changes one rule of a file of the CRS's copy."""
        self.edits += 1
        name = os.path.join(self.crs, "rules", "REQUEST-942-APPLICATION-ATTACK-SQLI.conf")
        with open(name, encoding="utf-8") as file:
            text = file.read().split("\n# bench\n")[0]
        with open(name + ".part", "w", encoding="utf-8") as file:
            file.write(text + "\n# bench\n" + rule(self.edits, "shared", 1000002))
        os.replace(name + ".part", name)

    def edit_own(self):
        """Changes one rule of the tenant's own file."""
        self.edits += 1
        proxies.write("own.conf", rule(self.edits, "own"))

    def edit_exclusion(self):
        """Changes the tenant's exclusion."""
        self.edits += 1
        waf = self.document["tenants"][0]["waf"]
        waf["exclusions"] = [{"id": 942100, "targets": [f"ARGS:free{self.edits}"]}]


def costs(edge):
    """CPU milliseconds of a reload by what changed: (what, median, worst)."""
    edge.use_crs({})
    first = edge.reload()
    rows = [("full compile", first["compile_cpu_us"] / 1e3, first["compile_cpu_us"] / 1e3)]
    cases = [
        ("nothing", {}, lambda: None), ("one rule of the shared set", {}, edge.edit_shared),
        ("an exclusion", {}, edge.edit_exclusion),
    ]
    own = ("one rule of the tenant's own file", {"rules": [edge.own]}, edge.edit_own)
    for what, extra, edit in [*cases, own]:
        edge.document["tenants"][0]["waf"].update(extra)
        edge.reload()
        took = []
        for _ in range(COSTS):
            edit()
            event = edge.reload()
            took.append((event["check_cpu_us"] + event["compile_cpu_us"]) / 1e3)
        rows.append((what, statistics.median(took), max(took)))
    return rows


def real_time(pid, only=None):
    """Gives the threads of a process (with these names) real-time priority: what else the machine does is left out."""
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm", encoding="utf-8") as file:
            name = file.read().strip()
        if only is None or name in only:
            os.sched_setscheduler(int(task), os.SCHED_FIFO, os.sched_param(10))


def trickle(port, seconds):
    """Latencies in microseconds of requests at a steady rate."""
    took = []
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begin = time.perf_counter()
        for number in range(int(seconds * RATE)):
            due = begin + number / RATE
            time.sleep(max(0.0, due - time.perf_counter()))
            start = time.perf_counter()
            client.sendall(REQUEST)
            answer = client.recv(65536)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise Failed(f"a request of the trickle got {answer[:60]!r}")
            took.append((time.perf_counter() - start) * 1e6)
    return took


def reload_until(edge, stop, count):
    """Reloads at a steady rate, one rule of the shared set changed in each. Runs in a process of its own: a thread would keep the
    client from its clock."""
    if os.sched_getscheduler(0) == os.SCHED_FIFO:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.nice(5)
    while not stop.wait(1 / RELOADS_PER_S):
        edge.edit_shared()
        edge.reload()
        count.value += 1


def windows(edge):
    """Latencies without and with reloads, in phases that take turns; and the reloads' number."""
    seconds = 10 / RELOADS_PER_S
    fork = multiprocessing.get_context("fork")
    calm, busy, count = [], [], fork.Value("i", 0)
    trickle(edge.proxy.plain_port, 1)
    for _ in range(ROUNDS):
        calm.append(trickle(edge.proxy.plain_port, seconds))
        edge.edits += 1000
        stop = fork.Event()
        reloads = fork.Process(target=reload_until, args=(edge, stop, count))
        reloads.start()
        try:
            busy.append(trickle(edge.proxy.plain_port, seconds))
        finally:
            stop.set()
            reloads.join()
        if reloads.exitcode != 0:
            raise Failed("a reload under load failed")
    return calm, busy, count.value


def quantiles(phases):
    """p50 and p99 of all, and the longest of a phase: median of the phases, and worst. What else the machine does shows in the
    longest of single phases, with and without reloads."""
    took = sorted(one for phase in phases for one in phase)
    longest = sorted(max(phase) for phase in phases)
    return took[len(took) // 2], took[int(len(took) * 0.99)], statistics.median(longest), longest[-1]


def resident(setting, setup, crs):
    """KiB of a fresh process without and with the CRS."""
    found = []
    for on in (False, True):
        edge = Edge(setting, setup, crs)
        try:
            if on:
                edge.proxy.process.stop()
                edge.use_crs({})
                ports = (edge.proxy.plain_port, edge.proxy.tls_port, edge.proxy.admin_port)
                edge.proxy = proxies.start_weir("weir-reload", setting, edge.document, ports)
            trickle(edge.proxy.plain_port, 2)
            found.append(machine.tree_rss_kib(edge.proxy.process.pid))
        finally:
            edge.proxy.process.stop()
    return found


def measure(profile, setup, crs, alone):
    """All figures: (list for programs, table). With `alone`, client, origin and the proxy's worker have real-time priority while
    latency is taken; the compiling thread has not."""
    install.certificate()
    install.country_database()
    origin = Process("origin", [install.already_built("weir-bench-origin", "release")], machine.LOAD_CPU, events=True)
    setting = proxies.Setting(int(origin.wait_event("listening")["address"].rsplit(":", 1)[1]), profile)
    os.sched_setaffinity(0, {int(machine.LOAD_CPU)})
    starts = [resident(setting, setup, crs) for _ in range(STARTS)]
    edge = Edge(setting, setup, crs)
    figures, lines = [], ["| reload: what changed | CPU ms, median | worst |", "|---|---:|---:|"]
    for what, median, worst in costs(edge):
        figures.append({"name": what, "cpu_ms": median, "worst_ms": worst})
        lines.append(f"| {what} | {median:.1f} | {worst:.1f} |")
    if alone:
        real_time(edge.proxy.process.pid, {"traffic"})
        real_time(origin.pid)
        real_time(os.getpid())
    calm, busy, done = windows(edge)
    lines += ["", f"| {RATE} requests/s | p50 us | p99 us | longest of a phase, median us | worst us |", "|---|---:|---:|---:|---:|"]
    for name, took in (("without reloads", calm), (f"with {done} reloads of one shared rule", busy)):
        p50, p99, longest, worst = quantiles(took)
        figures.append({"name": name, "p50_us": p50, "p99_us": p99, "longest_us": longest, "worst_us": worst})
        lines.append(f"| {name} | {p50:.0f} | {p99:.0f} | {longest:.0f} | {worst:.0f} |")
    after = machine.tree_rss_kib(edge.proxy.process.pid)
    figures.append({"name": "resident", "starts_kib": starts, "after_reloads_kib": after})
    without, with_crs = (statistics.median(start[on] for start in starts) / 1024 for on in (0, 1))
    more = ", ".join(f"{(with_crs - without) / 1024:.1f}" for without, with_crs in starts)
    lines += [
        "", f"Resident: {without:.1f} MiB without the CRS, {with_crs:.1f} MiB with it ({more} MiB more in {STARTS} starts),"
        f" {after / 1024:.1f} MiB after the reloads.",
    ]
    return figures, "\n".join(lines)
