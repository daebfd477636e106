"""Starts and stops processes. Everything is stopped through the handle that started it, never by name."""

import atexit
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time

from harness import machine

_running = []


class Failed(Exception):
    """Something that the person who runs the bench has to know; the message says what to do."""


class Process:
    """A child process pinned to one CPU, with its output in bench/.work/log/NAME.log."""

    def __init__(self, name, command, cpu, events=False, env=None):
        self.name = name
        log_dir = os.path.join(machine.WORK, "log")
        os.makedirs(log_dir, exist_ok=True)
        self.log_path = os.path.join(log_dir, f"{name}.log")
        self._lines = queue.Queue()
        with open(self.log_path, "wb") as log:
            self._child = subprocess.Popen(
                ["taskset", "-c", cpu, *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if events else log,
                stderr=log,
                cwd=machine.WORK,
                env={**os.environ, **(env or {})},
            )
        _running.append(self)
        if events:
            threading.Thread(target=self._collect, daemon=True).start()

    def _collect(self):
        with self._child.stdout as lines:
            for line in lines:
                try:
                    event = json.loads(line)
                except ValueError:
                    continue  # not an event line
                if isinstance(event, dict):
                    self._lines.put(event)
        self._lines.put(None)

    @property
    def pid(self):
        """Process id of the child."""
        return self._child.pid

    def wait_event(self, name, limit_s=30):
        """Next event line named `name`; those before it are dropped."""
        deadline = time.monotonic() + limit_s
        while True:
            try:
                event = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise Failed(f"{self.name}: no event `{name}` within {limit_s} s; see {self.log_path}") from None
            if event is None:
                raise Failed(f"{self.name}: ended before event `{name}`; see {self.log_path}\n{self.log_tail()}")
            if event.get("event") == name:
                return event
            if event.get("event") == "failed":
                raise Failed(f"{self.name}: {json.dumps(event)[:2000]}")

    def wait_port(self, port, limit_s=30):
        """Returns once 127.0.0.1:port accepts a connection."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            if self._child.poll() is not None:
                raise Failed(f"{self.name}: ended with {self._child.returncode}; see {self.log_path}\n{self.log_tail()}")
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise Failed(f"{self.name}: port {port} did not open within {limit_s} s; see {self.log_path}")

    def log_tail(self):
        """The end of the log, for an error message."""
        with open(self.log_path, "rb") as log:
            return log.read()[-2000:].decode("utf-8", "replace")

    def stop(self):
        """SIGTERM, five seconds, then SIGKILL to the child and to what it started."""
        if self in _running:
            _running.remove(self)
        if self._child.poll() is not None:
            return
        members = machine.process_tree(self.pid)
        self._child.send_signal(signal.SIGTERM)
        try:
            self._child.wait(5)
            return
        except subprocess.TimeoutExpired:
            pass
        for member in reversed(members):
            try:
                os.kill(member, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._child.wait(5)


def stop_all():
    """Stops what is still running, newest first."""
    for process in list(reversed(_running)):
        process.stop()


atexit.register(stop_all)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def free_port():
    """A port that nobody listens on now. Peers cannot report a port that the kernel chose for them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
