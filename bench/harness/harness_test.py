"""python3 -m unittest discover -s bench -p '*_test.py'"""

import math
import socket
import unittest

from harness import cases, load, steady
from harness.process import Failed, Process, free_port

WRK = """Running 1s test @ http://localhost:1/1k
  1 threads and 64 connections
  2000 requests in 1.00s, 2.00MB read
  Socket errors: connect 1, read 2, write 3, timeout 4
  Non-2xx or 3xx responses: 5
Requests/sec:   2000.00
"""
H2LOAD = """Application protocol: h2
finished in 1.00s, 900.00 req/s, 1.00MB/s
requests: 1000 total, 1000 started, 990 done, 900 succeeded, 90 failed, 10 errored, 0 timeout
status codes: 900 2xx, 0 3xx, 90 4xx, 0 5xx
"""


def taken(*costs):
    """Samples that differ only in their CPU per request."""
    return [cases.Sample(1, 0, 1.0, cost, 0.0, "") for cost in costs]


class Steady(unittest.TestCase):
    def test_what_h2load_did_not_send_is_no_failure_but_a_refusal_is(self):
        tally = steady.Tally()
        steady.read_h2load(H2LOAD, tally)
        self.assertEqual((tally.requests, tally.failed, tally.unsent), (900, 90, 0))
        steady.read_h2load(H2LOAD.replace("90 failed, 10 errored", "100 failed, 100 errored").replace("90 4xx", "0 4xx"), tally)
        self.assertEqual((tally.requests, tally.failed, tally.unsent), (1800, 90, 100))

    def test_wrk_counts_socket_errors_and_answers_that_the_check_did_not_like(self):
        tally = steady.Tally()
        steady.read_wrk(WRK + "checked: 2 mixed, 1 wrong (status 500)\n", tally)
        self.assertEqual((tally.requests, tally.failed, tally.mixed), (2000, 11, 2))


class Load(unittest.TestCase):
    def test_wrk_errors_and_refusals_are_failures(self):
        requests, failed, note = load.read_wrk(WRK)
        self.assertEqual((requests, failed), (2000, 15))
        self.assertIn("Non-2xx", note)

    def test_wrk_without_errors_fails_nothing(self):
        clean = "\n".join(line for line in WRK.splitlines() if "errors" not in line and "Non-2xx" not in line)
        self.assertEqual(load.read_wrk(clean), (2000, 0, ""))

    def test_h2load_refusals_are_failures(self):
        requests, failed, note = load.read_h2load(H2LOAD)
        self.assertEqual(requests, 900)
        self.assertGreaterEqual(failed, 90)
        self.assertIn("90 4xx", note)

    def test_a_load_that_fell_back_from_h2_is_refused(self):
        with self.assertRaises(Failed):
            load.read_h2load(H2LOAD.replace("protocol: h2", "protocol: http/1.1"))


class Figures(unittest.TestCase):
    def test_ratio_is_the_median_of_the_rounds_ratios(self):
        # Medians of the columns would give 3/2; round by round it is 1.
        self.assertEqual(cases.ratio(taken(1.0, 3.0, 9.0), taken(1.0, 2.0, 9.0)), 1.0)

    def test_ratio_without_a_usable_round_is_not_a_number(self):
        self.assertTrue(math.isnan(cases.ratio(taken(math.nan), taken(1.0))))

    def test_a_proxy_with_failed_requests_is_reported(self):
        bad = [cases.Sample(10, 2, 1.0, 5.0, 0.0, "two lost")]
        self.assertEqual(cases.failures(cases.summarize({"nginx": taken(1.0)})), [])
        self.assertEqual(cases.failures(cases.summarize({"weir": bad})), ["weir: 2 failed (two lost)"])


class Processes(unittest.TestCase):
    def test_events_arrive_in_order_and_an_end_before_one_is_an_error(self):
        child = Process("test-events", ["printf", r'noise\n{"event":"listening","port":1}\n'], "0", events=True)
        self.assertEqual(child.wait_event("listening", 5)["port"], 1)
        with self.assertRaises(Failed):
            child.wait_event("ready", 5)
        child.stop()

    def test_stop_ends_a_child_that_ignores_sigterm(self):
        port = free_port()
        program = (
            "import signal,socket,time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
            f"s=socket.create_server(('127.0.0.1',{port})); time.sleep(60)"
        )
        child = Process("test-stubborn", ["python3", "-c", program], "0")
        child.wait_port(port, 10)
        child.stop()
        with self.assertRaises(OSError):
            socket.create_connection(("127.0.0.1", port), 1)


if __name__ == "__main__":
    unittest.main()
