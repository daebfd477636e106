"""Load generators: the commands, and what their output says."""

import re
import subprocess

from harness import machine, proxies
from harness.process import Failed

WRK_CONNECTIONS = 64
H2_CONNECTIONS, H2_STREAMS = 8, 32


def wrk(url, seconds):
    """64 keep-alive HTTP/1.1 connections from one thread."""
    return ["wrk", "-t1", f"-c{WRK_CONNECTIONS}", f"-d{seconds}s", *headers(), url]


def h2load(url, seconds):
    """8 HTTP/2 connections of 32 streams each, from one thread."""
    return ["h2load", "-t1", f"-c{H2_CONNECTIONS}", f"-m{H2_STREAMS}", "-D", str(seconds), *headers(), url]


def headers():
    """The header fields of every request, as arguments that wrk, h2load and curl share."""
    return [part for name, value in proxies.HEADERS.items() for part in ("-H", f"{name}: {value}")]


def run(command, seconds):
    """Runs one load command on the load CPU; returns (requests answered, failed, what went wrong)."""
    try:
        done = subprocess.run(
            ["taskset", "-c", machine.LOAD_CPU, *command],
            capture_output=True, text=True, timeout=seconds + 30, check=False, stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{command[0]} did not end within {seconds + 30} s") from error
    read = read_wrk if command[0] == "wrk" else read_h2load
    return read(done.stdout + done.stderr)


def read_wrk(output):
    """wrk counts every answer as a request; answers of another class and socket errors are the failures."""
    total = re.search(r"(\d+) requests in ", output)
    if not total:
        raise Failed(f"wrk gave no result: {output[-400:]}")
    refused = sum(int(count) for count in re.findall(r"Non-2xx or 3xx responses: (\d+)", output))
    socket_errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    broken = sum(int(count) for count in socket_errors.groups()) if socket_errors else 0
    notes = [line.strip() for line in output.splitlines() if "Non-2xx" in line or "Socket errors" in line]
    return int(total.group(1)), refused + broken, "; ".join(notes)


def read_h2load(output):
    """h2load counts streams; what is not 2xx, failed or errored is a failure."""
    counts = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", output)
    status = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", output)
    if not counts or not status:
        raise Failed(f"h2load gave no result: {output[-400:]}")
    if "Application protocol: h2" not in output:
        raise Failed("h2load: the proxy did not negotiate h2")
    _, succeeded, failed, errored, timed_out = (int(count) for count in counts.groups())
    refused = sum(int(count) for count in status.groups()[1:])
    wrong = max(failed, errored) + timed_out + refused
    return succeeded, wrong, f"{status.group(0)}; {failed} failed, {errored} errored" if wrong else ""
