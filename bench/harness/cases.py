"""CPU per request: every proxy under the same load, in interleaved rounds."""

import dataclasses
import math
import statistics
import time

from harness import load, machine

# Case -> (load command, scheme, port of the proxy)
CASES = {
    "plain": (load.wrk, "http", lambda proxy: proxy.plain_port, "HTTP/1.1, wrk -t1 -c64"),
    "tls": (load.wrk, "https", lambda proxy: proxy.tls_port, "HTTP/1.1 over TLS 1.3, wrk -t1 -c64"),
    "h2": (load.h2load, "https", lambda proxy: proxy.tls_port, "HTTP/2 over TLS 1.3, h2load -t1 -c8 -m32"),
}
BASES = ("stock-pingora", "nginx")
# Waiting longer for a quiet machine would make a full run endless on a shared one.
QUIET_LIMIT_S = 5.0


@dataclasses.dataclass
class Sample:
    """One proxy in one round."""

    requests: int
    failed: int
    seconds: float
    cpu_us_per_request: float
    others_share: float
    note: str


def measure(case, proxies, rounds, seconds, origin_pid):
    """Samples per proxy name. The order turns by one each round, so that no proxy always follows the same one."""
    command_of, scheme, port_of, _ = CASES[case]
    samples = {proxy.name: [] for proxy in proxies}
    # The warm-up fills pools and lets lazy set-up happen outside of the figures.
    warm_ups = 1 if rounds > 1 else 0
    for number in range(warm_ups + rounds):
        turn = number % len(proxies)
        length = seconds if number >= warm_ups else 1
        for proxy in proxies[turn:] + proxies[:turn]:
            url = f"{scheme}://localhost:{port_of(proxy)}/1k"
            got = sample(proxy, command_of(url, length), length, origin_pid)
            if number >= warm_ups:
                samples[proxy.name].append(got)
    return samples


def sample(proxy, command, seconds, origin_pid):
    """Runs the load once and divides the CPU that the proxy's process tree spent by the answers."""
    machine.wait_for_quiet(QUIET_LIMIT_S)
    spent, busy, origin, start = (
        machine.tree_cpu_s(proxy.process.pid), machine.busy_s(), machine.tree_cpu_s(origin_pid), time.monotonic()
    )
    requests, failed, note = load.run(command, seconds)
    elapsed = time.monotonic() - start
    spent = machine.tree_cpu_s(proxy.process.pid) - spent
    origin = machine.tree_cpu_s(origin_pid) - origin
    # The load generator fills what its CPU has left, so what is not proxy or origin can exceed one core only by others.
    others = max(0.0, (machine.busy_s() - busy - spent - origin) / elapsed - 1.0)
    per_request = spent / requests * 1e6 if requests else math.nan
    return Sample(requests, failed, elapsed, per_request, others, note)


def ratio(samples, base):
    """Median over the rounds of this proxy's CPU per request to that of `base` in the same round."""
    pairs = [
        ours.cpu_us_per_request / theirs.cpu_us_per_request
        for ours, theirs in zip(samples, base)
        if ours.cpu_us_per_request > 0 and theirs.cpu_us_per_request > 0
    ]
    return statistics.median(pairs) if pairs else math.nan


def summarize(samples):
    """Per proxy: median and best CPU, ratios, throughput, failures. Plain values, fit for JSON."""
    rows = {}
    for name, taken in samples.items():
        costs = [one.cpu_us_per_request for one in taken if not math.isnan(one.cpu_us_per_request)]
        rows[name] = {
            "cpu_us_median": statistics.median(costs) if costs else math.nan,
            "cpu_us_best": min(costs) if costs else math.nan,
            "requests_per_s_median": statistics.median(one.requests / one.seconds for one in taken),
            "failed": sum(one.failed for one in taken),
            "others_share": statistics.median(one.others_share for one in taken),
            "notes": sorted({one.note for one in taken if one.note}),
            "ratios": {base: ratio(taken, samples[base]) for base in BASES if base in samples},
        }
    return rows


def table(rows):
    """The rows as Markdown, cheapest proxy first."""
    bases = [base for base in BASES if base in rows]
    heads = ["proxy", "CPU us/request: median", "best", *(f"to {base}" for base in bases), "requests/s", "failed", "others"]
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    for name, row in sorted(rows.items(), key=lambda item: item[1]["cpu_us_median"]):
        cells = [
            name,
            f"{row['cpu_us_median']:.1f}",
            f"{row['cpu_us_best']:.1f}",
            *(f"{row['ratios'][base]:.2f}" for base in bases),
            f"{row['requests_per_s_median']:.0f}",
            str(row["failed"]),
            f"{row['others_share']:.2f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def failures(rows):
    """One line per proxy whose figure stands on failed requests, or on none."""
    bad = [f"{name}: {row['failed']} failed ({'; '.join(row['notes'])})" for name, row in rows.items() if row["failed"]]
    return bad + [f"{name}: no request was answered" for name, row in rows.items() if math.isnan(row["cpu_us_median"])]
