"""Load that goes on while something else happens: short runs of wrk and h2load, one after the other, until told to stop."""

import dataclasses
import json
import os
import re
import subprocess
import threading

from harness.process import Failed

# Length of one run of wrk, and most requests of one of h2load: it does not come back after GOAWAY, so its runs are short.
WRK_SECONDS, H2LOAD_REQUESTS = 3, 2000
# Longest run.
LIMIT_S = 90


@dataclasses.dataclass
class Tally:
    """What one load saw so far."""

    requests: int = 0
    failed: int = 0
    mixed: int = 0
    unsent: int = 0
    notes: list = dataclasses.field(default_factory=list)


class Steady:
    """One load command in a loop, in a thread of its own."""

    def __init__(self, name, command, read, env=None):
        self.name, self.tally = name, Tally()
        self._command, self._read = command, read
        self._env = {**os.environ, **(env or {})}
        self._stop = threading.Event()
        self._error = None
        self._thread = threading.Thread(target=self._run, name=name)
        self._thread.start()

    def _run(self):
        try:
            while not self._stop.is_set():
                done = subprocess.run(
                    self._command, capture_output=True, text=True, timeout=LIMIT_S, check=False,
                    stdin=subprocess.DEVNULL, env=self._env,
                )
                self._read(done.stdout + done.stderr, self.tally)
        except (Failed, OSError, subprocess.TimeoutExpired) as error:
            self._error = error

    def stop(self):
        """Lets the run that is under way end."""
        self._stop.set()

    def finish(self):
        """Waits for the end; returns the tally."""
        self.stop()
        self._thread.join()
        if self._error:
            raise Failed(f"{self.name}: {self._error}")
        return self.tally


def read_wrk(output, tally):
    """Answers of wrk with the check of `versions.py`: only socket errors and wrong answers are failures, 403 is not."""
    total = re.search(r"(\d+) requests in ", output)
    checked = re.search(r"checked: (\d+) mixed, (\d+) wrong \((.*)\)", output)
    if not total or not checked:
        raise Failed(f"wrk gave no result: {output[-400:]}")
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    broken = sum(int(count) for count in errors.groups()) if errors else 0
    tally.requests += int(total.group(1))
    tally.mixed += int(checked.group(1))
    tally.failed += broken + int(checked.group(2))
    if errors:
        tally.notes.append(errors.group(0))
    if checked.group(3):
        tally.notes.append(checked.group(3))


def read_h2load(output, tally):
    """Streams of h2load with a fixed number of them. What it did not send after GOAWAY it counts as failed; `unsent` keeps that
    apart, and `all_answered` shows from the other side that nothing which was sent is among them.
    """
    counts = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", output)
    status = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", output)
    if not counts or not status or "Application protocol: h2" not in output:
        raise Failed(f"h2load gave no result: {output[-400:]}")
    succeeded, failed, errored, timed_out = (int(count) for count in counts.groups())
    refused = sum(int(count) for count in status.groups()[1:])
    tally.requests += succeeded
    tally.failed += refused + timed_out
    tally.unsent += max(failed, errored) - refused - timed_out
    if refused or timed_out:
        tally.notes.append(status.group(0))


def all_answered(log_path, h2_answers):
    """What the access log says against "every request over HTTP/2 was answered whole, and the clients got all of it"."""
    answered, other = 0, []
    with open(log_path, encoding="utf-8") as file:
        for line in file:
            record = json.loads(line)
            if record["protocol"] != "h2":
                continue
            if record["outcome"] == "answered":
                answered += 1
            else:
                other.append(f"{record['outcome']} {record['status']}")
    wrong = [f"HTTP/2 requests that were not answered: {other[:5]}"] if other else []
    if answered != h2_answers:
        wrong.append(f"the access log has {answered} answers over HTTP/2, the clients {h2_answers}")
    return wrong


def start_all(plain, tls, check_lua):
    """wrk in clear and over TLS with and without a probe, and h2load over TLS and by prior knowledge."""
    loads = []
    for scheme, port in (("http", plain), ("https", tls)):
        for probe in ("none", "0", "1"):
            query = "" if probe == "none" else f"?probe={probe}"
            command = [
                "wrk", "-t1", "-c8", f"-d{WRK_SECONDS}s", "--timeout", "15s", "-s", check_lua, f"{scheme}://localhost:{port}/1k{query}"
            ]
            # No version has this parity: nothing of it is refused.
            env = {"PROBE": "2" if probe == "none" else probe}
            loads.append(Steady(f"wrk {scheme} probe {probe}", command, read_wrk, env))
        command = ["h2load", "-t1", "-c4", "-m8", "-n", str(H2LOAD_REQUESTS), f"{scheme}://localhost:{port}/1k"]
        loads.append(Steady(f"h2load {scheme}", command, read_h2load))
    return loads
