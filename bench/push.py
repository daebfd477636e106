#!/usr/bin/env python3
"""What a push costs: a fleet of simulated proxies on a real control process, over loopback without TLS.

    python3 bench/push.py [--proxies 1000] [--tenants 10000] [--changes 40] [--profile release] [--no-build] [--record]

A change of one tenant goes through the admin API while all proxies have a session; what is measured is the time from the request
to the last acknowledgement. Then a proxy that has nothing fetches the whole version, and control is killed and started again
under the fleet. Ends with 1 when something was not acknowledged. Issue 4, acceptance b.
"""

import argparse
import http.client
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time

from harness import install, machine, script
from harness.process import Failed, free_port

START_LIMIT_S = 300
ACK_LIMIT_MS = 10_000
HERD_LIMIT_S = 60


def arguments(argv):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--proxies", type=script.bounded(1, 5000), default=1000, help="simulated proxies (default 1000)")
    parser.add_argument("--tenants", type=script.bounded(1, 100_000), default=10_000, help="tenants (default 10000)")
    parser.add_argument("--changes", type=script.bounded(1, 1000), default=40, help="changes of one tenant (default 40)")
    parser.add_argument("--profile", choices=["release", "dist"], default="release", help="cargo profile of weir")
    parser.add_argument("--no-build", action="store_true", help="use the binaries that are there")
    parser.add_argument("--record", action="store_true", help="also write bench/record/DATE-push.md")
    return parser.parse_args(argv)


def tenant(place, rate):
    """A tenant of the document."""
    return {
        "id": f"t{place}",
        "hosts": [f"t{place}.test", f"www.t{place}.test"],
        "limits": {"address": {"requests": rate}},
        "routes": [{"id": "all", "pool": "app"}],
    }


def document(count):
    """The whole document."""
    return {
        "version": 1,
        "regions": [{"id": "eu"}],
        "listeners": [{"id": "web", "address": "127.0.0.1:0"}],
        "pools": [{"id": "app", "endpoints": ["127.0.0.1:9"]}],
        "tenants": [tenant(place, 100) for place in range(count)],
    }


def cpu_s(pid):
    """CPU time of a process so far, seconds."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(pid):
    """Resident memory, MiB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024


class Control:
    """A control process; it may be killed and started again."""

    def __init__(self, weir, folder, proxies):
        self.folder, self.ports = folder, (free_port(), free_port())
        self.command = [weir, "control", "--data-dir", f"{folder}/data", "--config", f"{folder}/weir.json", "--push-plain"]
        self.command += ["--push", f"127.0.0.1:{self.ports[0]}", "--api", f"127.0.0.1:{self.ports[1]}"]
        for place in range(proxies + 1):
            self.command += ["--local-proxy", f"n{place:05}=eu"]
        self.process = None

    def start(self):
        """Starts it; seconds until it was ready."""
        since = time.monotonic()
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            if json.loads(line).get("event") == "ready":
                return time.monotonic() - since
            if time.monotonic() - since > START_LIMIT_S:
                break
        raise Failed("control did not start")

    def kill(self):
        """As the kernel would for want of memory."""
        self.process.kill()
        self.process.wait()

    def ask(self, method, path, body=None, headers=None):
        """A request to the API: status, fields, answer."""
        with open(f"{self.folder}/data/admin.token", encoding="ascii") as file:
            token = file.read().strip()
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[1], timeout=60)
        try:
            fields = {"authorization": f"Bearer {token}", "content-type": "application/json", **(headers or {})}
            connection.request(method, path, None if body is None else json.dumps(body).encode(), fields)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), json.loads(answer.read() or b"null")
        finally:
            connection.close()


class Fleet:
    """The simulated proxies, driven line by line."""

    def __init__(self, program, port, folder):
        command = [program, f"127.0.0.1:{port}", f"{folder}/data/join"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, line):
        """A command and its answer."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline() or "null")
        if not isinstance(answer, dict) or "error" in answer:
            raise Failed(f"fleet: {line}: {answer}")
        return answer


def newest(control):
    """The newest version."""
    status, _, page = control.ask("GET", "/v1/versions?limit=1")
    if status != 200:
        raise Failed(f"versions: {status} {page}")
    return page["items"][0]


def deltas(control, fleet, chosen):
    """Changes of one tenant: milliseconds to the last acknowledgement, and to each."""
    last, each = [], []
    revision = newest(control)["revision"]
    for change in range(chosen.changes):
        since = time.time()
        body = {"tenant": tenant(change * 7 % chosen.tenants, 200 + change)}
        path = f"/v1/config/tenants/t{change * 7 % chosen.tenants}"
        status, _, answer = control.ask("PUT", path, body, {"if-match": f'"{revision}"'})
        if status not in (200, 201):
            raise Failed(f"{path}: {status} {answer}")
        revision = answer["revision"]
        acked = fleet.ask(f"await {revision} {ACK_LIMIT_MS}")["acked_us"]
        if len(acked) < chosen.proxies:
            raise Failed(f"revision {revision}: {len(acked)} of {chosen.proxies} acknowledged")
        times = [at / 1000 - since * 1000 for at in acked]
        last.append(max(times))
        each += times
    return sorted(last), sorted(each)


def herd(control, fleet, chosen):
    """Control is killed under the fleet and started again."""
    before = fleet.ask("state")
    control.kill()
    time.sleep(1)
    ready_s = control.start()
    pid, since, peak, cpu = control.process.pid, time.monotonic(), 0.0, cpu_s(control.process.pid)
    while time.monotonic() - since < HERD_LIMIT_S:
        time.sleep(0.25)
        now = cpu_s(pid)
        peak, cpu = max(peak, (now - cpu) / 0.25), now
        if fleet.ask("state")["open"] == chosen.proxies:
            break
    else:
        raise Failed("not all proxies came back")
    back_s = time.monotonic() - since
    time.sleep(2)
    after = fleet.ask("state")
    return {
        "ready_s": ready_s,
        "back_s": back_s,
        "peak_cores": peak,
        "resent": after["versions"] - before["versions"],
        "sessions": after["sessions"] - before["sessions"],
    }


def at(values, part):
    """A quantile of sorted values."""
    return values[min(len(values) - 1, int(len(values) * part))]


def main(argv):
    """Measures, prints, and writes a record if asked."""
    chosen = arguments(argv)
    if not chosen.no_build:
        install.built("weir", "weir", chosen.profile)
        install.built("weir-bench", "weir-bench-fleet", "release")
    weir = install.already_built("weir", chosen.profile)
    program = install.already_built("weir-bench-fleet", "release")
    folder = tempfile.mkdtemp(prefix="weir-push-")
    control, fleet = Control(weir, folder, chosen.proxies), None
    try:
        with open(f"{folder}/weir.json", "w", encoding="utf-8") as file:
            json.dump(document(chosen.tenants), file)
        first_s = control.start()
        fleet = Fleet(program, control.ports[0], folder)
        version = newest(control)
        fleet.ask(f"open {version['revision']} {version['index']}")
        resent = fleet.ask("state")["versions"]
        cpu = cpu_s(control.process.pid)
        last, each = deltas(control, fleet, chosen)
        per_change_ms = (cpu_s(control.process.pid) - cpu) * 1000 / chosen.changes
        state = fleet.ask("state")
        snapshots = [fleet.ask("snapshot") for _ in range(5)]
        rss = memory_mib(control.process.pid)
        came = herd(control, fleet, chosen)
    finally:
        for process in (control.process, fleet and fleet.process):
            if process:
                process.kill()
                process.wait()
        shutil.rmtree(folder, ignore_errors=True)
    lines = [
        f"{chosen.proxies} sessions, {chosen.tenants} tenants, {chosen.changes} changes of one tenant",
        f"request to last acknowledgement: median {statistics.median(last):.0f} ms, p99 {at(last, 0.99):.0f} ms, worst {last[-1]:.0f} ms",
        f"request to each acknowledgement: median {statistics.median(each):.0f} ms, p99 {at(each, 0.99):.0f} ms",
        f"control: {per_change_ms:.0f} ms of CPU per change, {state['version_bytes'] / max(1, state['versions']) / 1024:.1f} KiB per proxy",
        f"sent at the opening of {chosen.proxies} sessions that had the version: {resent} versions",
        f"whole version to a new proxy: median {statistics.median(one['ms'] for one in snapshots)} ms "
        f"({snapshots[0]['objects']} objects, {snapshots[0]['bytes'] / 1e6:.1f} MB)",
        f"control: first start with all proxies made {first_s:.1f} s, resident {rss:.0f} MiB",
        f"killed and started again: ready in {came['ready_s']:.1f} s, all sessions back {came['back_s']:.1f} s after that, "
        f"peak {came['peak_cores']:.2f} cores, {came['resent']} versions sent again in {came['sessions']} sessions",
    ]
    print("\n".join(lines))
    if chosen.record:
        script.record("push", "Pushing to a fleet", "\n".join(f"- {line}" for line in lines), machine.describe(), "python3 bench/push.py " + " ".join(argv))
    return 0 if at(last, 0.99) <= 250 and came["resent"] == 0 else 1


if __name__ == "__main__":
    script.run(main)
