"""What /proc says about this machine and its processes, and where the bench keeps its files."""

import os
import platform
import subprocess
import time

BENCH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(BENCH)
WORK = os.path.join(BENCH, ".work")

PROXY_CPU, LOAD_CPU = "0", "1"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def process_tree(pid):
    """`pid` and all its descendants that are alive."""
    found, todo = [], [pid]
    while todo:
        current = todo.pop()
        found.append(current)
        try:
            for task in os.listdir(f"/proc/{current}/task"):
                with open(f"/proc/{current}/task/{task}/children", encoding="ascii") as file:
                    todo.extend(int(child) for child in file.read().split())
        except OSError:
            continue  # it ended between the two reads
    return found


def tree_cpu_s(pid):
    """User plus system CPU seconds of the process tree so far, to one clock tick (10 ms)."""
    ticks = 0
    for member in process_tree(pid):
        try:
            with open(f"/proc/{member}/stat", encoding="utf-8", errors="replace") as file:
                fields = file.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS_PER_S


def thread_cpu_ns(pid):
    """Nanoseconds on a CPU of each thread of `pid`: finer than ticks, but a thread that ended is not in it."""
    spent = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
                spent[task] = int(file.read().split()[0])
        except OSError:
            continue
    return spent


def tree_rss_kib(pid):
    """Resident KiB of the process tree, from smaps_rollup (VmRSS is batched per thread and lags)."""
    total = 0
    for member in process_tree(pid):
        try:
            with open(f"/proc/{member}/smaps_rollup", encoding="ascii") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("Rss:"))
        except OSError:
            continue
    return total


def busy_s():
    """CPU seconds that all cores spent on anything so far, with what the hypervisor took."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = [int(field) for field in file.readline().split()[1:]]
    return (sum(fields[:3]) + sum(fields[5:8])) / TICKS_PER_S


def wait_for_quiet(limit_s, share=0.25):
    """Waits until others use less than `share` of one core, at most `limit_s`; returns the last share seen."""
    deadline = time.monotonic() + limit_s
    while True:
        before, start = busy_s(), time.monotonic()
        time.sleep(0.25)
        used = (busy_s() - before) / (time.monotonic() - start)
        if used < share or time.monotonic() >= deadline:
            return used


def describe():
    """One line per fact that a reader needs to judge a figure."""
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    with open("/proc/meminfo", encoding="ascii") as file:
        memory_gib = int(file.readline().split()[1]) / 1048576
    commit = first_line(["git", "-C", ROOT, "describe", "--always", "--dirty"])
    return [
        f"CPU: {model}, {os.cpu_count()} cores, {memory_gib:.0f} GiB",
        f"Kernel: {platform.release()}, python {platform.python_version()}",
        f"Weir: {commit}",
        f"Load average at the start: {os.getloadavg()[0]:.2f}",
    ]


def first_line(command):
    """First line of what `command` prints, or `absent`."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "absent"
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0] if lines else "absent"
