#!/usr/bin/env python3
"""Weir beside nginx, HAProxy, Envoy and a stock Pingora proxy: CPU per request and memory per connection.

    python3 bench/peers.py [plain|tls|h2|memory|tenants|all] [--rounds 5] [--seconds 3] [--json FILE] [--smoke]

One worker each on CPU 0; load generator and origin on CPU 1; loopback only. Installs what it needs (README.md).
"""

import argparse
import json
import os
import shlex

from harness import cases, install, machine, memory, proxies, script, tenants
from harness.process import Failed, Process

PEERS = ("nginx", "haproxy", "envoy", "stock-pingora")
WEIRS = ("weir-plain", "weir-full", "weir-waf")
MEMORY_PROXIES = ("nginx", "stock-pingora", "weir-full", "weir-waf")
# Issue 2, acceptance e: with tenant, geo and four limits, WAF off.
STOCK_RATIO_MAX = 0.7


def arguments(argv):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", nargs="?", default="all", choices=[*cases.CASES, "memory", "tenants", "all"])
    parser.add_argument("--rounds", type=script.bounded(1, 50), default=5, help="interleaved rounds (default 5)")
    parser.add_argument("--seconds", type=script.bounded(1, 60), default=3, help="length of one load run (default 3)")
    parser.add_argument("--proxies", help="comma-separated choice of: " + ", ".join(proxies.STARTS))
    parser.add_argument("--profile", choices=["dist", "release"], help="cargo profile of weir (default dist; release with --smoke)")
    parser.add_argument("--no-build", action="store_true", help="use the binaries that are there")
    parser.add_argument("--json", metavar="FILE", help="also write the figures as JSON")
    parser.add_argument("--record", action="store_true", help="also write bench/record/DATE-CASE.md")
    parser.add_argument("--smoke", action="store_true", help="one round of 1 s, weir and nginx if installed; for CI")
    chosen = parser.parse_args(argv)
    if chosen.smoke:
        chosen.rounds, chosen.seconds = 1, 1
    chosen.profile = chosen.profile or ("release" if chosen.smoke else "dist")
    return chosen


def choose(chosen):
    """Names of the proxies to run."""
    if chosen.case == "tenants":
        return []
    if chosen.proxies:
        names = chosen.proxies.split(",")
        unknown = [name for name in names if name not in proxies.STARTS]
        if unknown:
            raise Failed(f"unknown proxies {', '.join(unknown)}; there are {', '.join(proxies.STARTS)}")
        return names
    if chosen.smoke:
        peers = ["nginx"] if install.find_program("nginx") else []
        return [*peers, "weir-full", "weir-waf"]
    if chosen.case == "memory":
        return list(MEMORY_PROXIES)
    return [*PEERS, *WEIRS]


def prepare(chosen, names, wanted):
    """Installs and builds what the run needs; returns the origin's path."""
    os.makedirs(machine.WORK, exist_ok=True)
    needs_load = any(case in cases.CASES or case == "tenants" for case in wanted)
    programs = ["openssl", *(["wrk", "h2load"] if needs_load else [])]
    programs += [name for name in ("nginx", "haproxy") if name in names]
    install.debian(programs)
    install.certificate()
    if "envoy" in names:
        install.envoy()
    if "stock-pingora" in names:
        install.stock_pingora(build=not chosen.no_build)
    if any(name.startswith("weir") for name in names) or "tenants" in wanted:
        install.country_database()
        if not chosen.no_build:
            install.built("weir", "weir", chosen.profile)
    if chosen.no_build:
        return install.already_built("weir-bench-origin", "release")
    return install.built("weir-bench", "weir-bench-origin", "release")


def run_load_case(case, chosen, names, setting, origin):
    """One CPU case: start all, load in rounds, stop all."""
    running = []
    try:
        for name in names:
            running.append(proxies.STARTS[name](setting))
        samples = cases.measure(case, running, chosen.rounds, chosen.seconds, origin.pid)
    finally:
        for proxy in running:
            proxy.process.stop()
    rows = cases.summarize(samples)
    text = cases.table(rows)
    to_stock = rows.get("weir-full", {}).get("ratios", {}).get("stock-pingora")
    if to_stock is not None:
        verdict = "met" if to_stock <= STOCK_RATIO_MAX else "missed"
        text += f"\n\nweir-full costs {to_stock:.2f} of stock Pingora (target: at most {STOCK_RATIO_MAX}): {verdict}."
    return rows, text


def title(case, chosen):
    """Heading of a case with its load."""
    if case in cases.CASES:
        return f"{case}: {cases.CASES[case][3]}, 1 KiB answers, {chosen.rounds} rounds of {chosen.seconds} s"
    if case == "memory":
        return f"memory: {memory.CONNECTIONS} idle connections after one request each"
    return f"tenants: {tenants.TENANTS} in one document"


def main(argv):
    """Runs the chosen cases; 0 when every request was answered."""
    chosen = arguments(argv)
    names = choose(chosen)
    wanted = [chosen.case]
    if chosen.case == "all":
        wanted = list(cases.CASES) if chosen.smoke else [*cases.CASES, "memory", "tenants"]
    origin_path = prepare(chosen, names, wanted)
    origin = Process("origin", [origin_path], machine.LOAD_CPU, events=True)
    port = int(origin.wait_event("listening")["address"].rsplit(":", 1)[1])
    setting = proxies.Setting(port, chosen.profile)
    versions = proxies.versions([*names, "weir"] if "tenants" in wanted else names, setting)
    facts = [*machine.describe(), *versions]
    command = shlex.join(["python3", "bench/peers.py", *argv])
    print("\n".join(facts))
    figures = {"facts": facts, "command": command, "cases": {}}
    problems = []
    for case in wanted:
        heading = title(case, chosen)
        print(f"\n## {heading}\n", flush=True)
        if case in cases.CASES:
            rows, text = run_load_case(case, chosen, names, setting, origin)
            problems += cases.failures(rows)
        elif case == "memory":
            asked = [name for name in names if chosen.proxies or name in MEMORY_PROXIES]
            rows = memory.measure({name: proxies.STARTS[name] for name in asked}, setting)
            text = memory.table(rows)
        else:
            rows = tenants.measure(setting)
            text = tenants.table(rows)
        print(text, flush=True)
        figures["cases"][case] = rows
        if chosen.record:
            script.record(case, heading, text, facts, command)
    if chosen.json:
        with open(chosen.json, "w", encoding="utf-8") as file:
            json.dump(script.without_nan(figures), file, indent=1)
    if problems:
        raise Failed("\n".join(problems))
    return 0


if __name__ == "__main__":
    script.run(main)
