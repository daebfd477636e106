#!/usr/bin/env python3
"""Reloads and binary upgrades under load: no failed request, no request that saw two versions, faulty documents harmless.

    python3 bench/reloads.py [--reloads 100] [--upgrades 10] [--profile release] [--no-build] [--smoke] [--record]

wrk and h2load on HTTP/1.1, HTTP/2 and TLS at the same time, on loopback. Issue 2, acceptance c. Every reload changes the route,
a limit, the rules and the certificate, and is followed by a faulty one. Ends with 1 when anything failed.
"""

import argparse
import http.client
import json
import os
import signal
import socket
import ssl
import statistics
import subprocess
import time

from harness import install, machine, script, steady, versions
from harness.process import Failed, Process, free_port

UPGRADE_LIMIT_S = 90
# Old processes drain for at most the default of `drain.timeout_ms`.
DRAIN_LIMIT_S = 40


def arguments(argv):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reloads", type=script.bounded(1, 1000), default=100, help="sound reloads (default 100)")
    parser.add_argument("--upgrades", type=script.bounded(0, 100), default=10, help="binary upgrades (default 10)")
    parser.add_argument("--profile", choices=["debug", "release", "dist"], default="release", help="cargo profile of weir")
    parser.add_argument("--no-build", action="store_true", help="use the binaries that are there")
    parser.add_argument("--record", action="store_true", help="also write bench/record/DATE-reloads.md")
    parser.add_argument("--smoke", action="store_true", help="12 reloads and 2 upgrades; for CI")
    chosen = parser.parse_args(argv)
    if chosen.smoke:
        chosen.reloads, chosen.upgrades = 12, 2
    return chosen


def build(chosen):
    """Builds weir and the origin; returns their paths."""
    os.makedirs(machine.WORK, exist_ok=True)
    install.debian(["openssl", "wrk", "h2load"])
    origin = "debug" if chosen.profile == "debug" else "release"
    if not chosen.no_build:
        cargo = {"debug": "dev"}
        install.built("weir", "weir", cargo.get(chosen.profile, chosen.profile))
        install.built("weir-bench", "weir-bench-origin", cargo.get(origin, origin))
    return install.already_built("weir", chosen.profile), install.already_built("weir-bench-origin", origin)


def ask(admin, path, text):
    """POST to the admin endpoint; (status, answer)."""
    connection = http.client.HTTPConnection("127.0.0.1", admin, timeout=60)
    try:
        connection.request("POST", path, text.encode())
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def served_certificate(tls):
    """The certificate of a new handshake, PEM."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", tls), 10) as plain:
        with context.wrap_socket(plain, server_hostname=versions.HOST) as secure:
            return ssl.DER_cert_to_PEM_cert(secure.getpeercert(binary_form=True))


def reload_all(chosen, origins, ports):
    """The reloads, a faulty one behind each; returns (milliseconds of each, faulty ones by kind, what went wrong)."""
    _, tls, admin = ports
    took, refused, wrong = [], {}, []
    generation = None
    for version in range(1, chosen.reloads + 1):
        sound = versions.document(version, origins, ports)
        start = time.monotonic()
        status, answer = ask(admin, "/reload", json.dumps(sound))
        took.append((time.monotonic() - start) * 1000)
        if status != 200:
            wrong.append(f"version {version} was refused: {json.dumps(answer)[:300]}")
            continue
        generation = answer["generation"]
        with open(versions.path(f"{version % versions.CERTIFICATES}.pem"), encoding="ascii") as file:
            if served_certificate(tls).strip() != file.read().strip():
                wrong.append(f"version {version}: a new handshake has another certificate")
        kind, text = versions.faulty(version, sound)
        status, answer = ask(admin, "/reload", text)
        reasons = [error.get("message", "") for error in answer.get("errors", [])]
        if status != 422 or not any(reasons):
            wrong.append(f"{kind}: status {status}, reasons {reasons}")
        refused.setdefault(kind, reasons[0] if reasons else "")
        status, answer = ask(admin, "/reload?dry_run=1", json.dumps(sound))
        if status != 200 or answer["generation"] != generation:
            wrong.append(f"{kind}: changed the generation from {generation} to {answer.get('generation')}")
    return took, refused, wrong


def upgrade_all(chosen, weir, process, ports):
    """The upgrades; returns (milliseconds of each, what went wrong)."""
    admin = f"127.0.0.1:{ports[2]}"
    took, wrong, old = [], [], [process.pid]
    for number in range(chosen.upgrades):
        start = time.monotonic()
        done = subprocess.run(
            [weir, "proxy", "--upgrade", "--admin", admin, "--output", "json"],
            capture_output=True, text=True, timeout=UPGRADE_LIMIT_S, check=False, stdin=subprocess.DEVNULL,
        )
        took.append((time.monotonic() - start) * 1000)
        if done.returncode != 0:
            wrong.append(f"upgrade {number + 1}: exit {done.returncode}: {(done.stdout + done.stderr)[-300:]}")
            break
        old.append(json.loads(done.stdout)["pid"])
        # Some requests between two upgrades, so that each has connections to hand over.
        time.sleep(1)
    last = old.pop()
    deadline = time.monotonic() + DRAIN_LIMIT_S
    while any(alive(pid) for pid in old) and time.monotonic() < deadline:
        time.sleep(0.1)
    wrong += [f"process {pid} did not end" for pid in old if alive(pid)]
    return took, wrong, last


def alive(pid):
    """Whether a process runs; one that nobody has waited for does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def end(process, last):
    """Ends the process that serves, and waits: only then is its access log whole."""
    if last == process.pid:
        process.stop()
        return
    os.kill(last, signal.SIGTERM)
    deadline = time.monotonic() + DRAIN_LIMIT_S
    while alive(last) and time.monotonic() < deadline:
        time.sleep(0.05)


def under_load(ports, check_lua, work):
    """Runs `work` while all loads go on; returns what it returns and the tallies by name."""
    loads = steady.start_all(ports[0], ports[1], check_lua)
    try:
        time.sleep(1)
        result = work()
        time.sleep(1)
    finally:
        for one in loads:
            one.stop()
    return result, {one.name: one.finish() for one in loads}


def table(phase, tallies):
    """One row per load."""
    rows = [f"| {phase} | answers | failed | saw two versions | not sent after GOAWAY |", "|---|--:|--:|--:|--:|"]
    for name, tally in tallies.items():
        last = f"- | {tally.unsent}" if name.startswith("h2load") else f"{tally.mixed} | -"
        rows.append(f"| {name} | {tally.requests} | {tally.failed} | {last} |")
    total = [sum(getattr(tally, field) for tally in tallies.values()) for field in ("requests", "failed", "mixed", "unsent")]
    rows.append(f"| all | {' | '.join(str(count) for count in total)} |")
    return "\n".join(rows)


def problems(phase, tallies):
    """What a load saw that it must not see."""
    found = []
    for name, tally in tallies.items():
        if tally.failed or tally.mixed or not tally.requests:
            found.append(f"{phase}: {name}: {tally.requests} answers, {tally.failed} failed, {tally.mixed} mixed: {tally.notes[:5]}")
    return found


def h2_answers(tallies):
    """Answers that the HTTP/2 clients got."""
    return sum(tally.requests for name, tally in tallies.items() if name.startswith("h2load"))


def times(took):
    """Median and longest of some milliseconds."""
    return f"median {statistics.median(took):.0f} ms, longest {max(took):.0f} ms" if took else "none"


def main(argv):
    """Runs both phases; raises when anything failed."""
    chosen = arguments(argv)
    weir, origin = build(chosen)
    check_lua = versions.prepare()
    origins = {}
    for name in ("even", "odd"):
        process = Process(f"origin-{name}", [origin, "0", name], machine.LOAD_CPU, events=True)
        origins[name] = int(process.wait_event("listening")["address"].rsplit(":", 1)[1])
    ports = (free_port(), free_port(), free_port())
    config = versions.path("weir.json")
    with open(config, "w", encoding="utf-8") as file:
        json.dump(versions.document(0, origins, ports), file)
    process = Process("weir-reloads", [weir, "proxy", "--config", config], machine.PROXY_CPU, events=True)
    process.wait_event("ready")
    facts = [*machine.describe(), f"weir, cargo profile {chosen.profile}"]
    print("\n".join(facts) + "\n", flush=True)
    last, wrong = process.pid, []
    try:
        (took, refused, faults), tallies = under_load(ports, check_lua, lambda: reload_all(chosen, origins, ports))
        text = f"{table(f'{chosen.reloads} reloads', tallies)}\n\nReload: {times(took)}, checks and compiling included.\n"
        text += "Refused, and the version stayed:\n" + "\n".join(f"- {kind}: {reason[:160]}" for kind, reason in refused.items())
        wrong += faults + problems("reloads", tallies)
        wrong += [f"reloads: {name}: {tally.unsent} not sent" for name, tally in tallies.items() if tally.unsent]
        answers = h2_answers(tallies)
        if chosen.upgrades:
            (took, faults, last), tallies = under_load(ports, check_lua, lambda: upgrade_all(chosen, weir, process, ports))
            text += f"\n\n{table(f'{chosen.upgrades} upgrades', tallies)}\n\nUpgrade: {times(took)}; all old processes ended."
            wrong += faults + problems("upgrades", tallies)
            answers += h2_answers(tallies)
    finally:
        end(process, last)
    wrong += steady.all_answered(versions.path(versions.ACCESS_LOG), answers)
    print(text, flush=True)
    if chosen.record:
        script.record("reloads", f"{chosen.reloads} reloads and {chosen.upgrades} upgrades under load", text, facts, f"python3 bench/reloads.py {' '.join(argv)}")
    if wrong:
        raise Failed("\n".join(wrong))
    return 0


if __name__ == "__main__":
    script.run(main)
