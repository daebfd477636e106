"""Times the transactions of ModSecurity 3 (PyPI `libmodsecurity`) on the requests of a file; prints JSON.

    python modsecurity.py CONFIG REQUESTS REPEAT

Started by bench/waf.py in the virtual environment that has the package.
"""

import json
import os
import sys
import time

from libmodsecurity import ModSecurity, RulesSet


def judge(engine, rules, request):
    """One whole transaction; returns the ids of the rules that it logged."""
    with engine.transaction(rules) as transaction:
        transaction.process_connection("192.0.2.7", 40000, "127.0.0.1", 80)
        transaction.process_uri(request["uri"], request["method"], "1.1")
        for name, value in request["headers"]:
            transaction.add_request_header(name, value)
        transaction.process_request_headers()
        if request["body"]:
            transaction.append_request_body(request["body"].encode())
        transaction.process_request_body()
        transaction.add_response_header("Content-Type", "text/html")
        transaction.process_response_headers(200, "HTTP/1.1")
        transaction.process_response_body()
        transaction.process_logging()
        return [message.rule_id for message in transaction.get_rule_messages()]


def main(config, requests, repeat):
    """Fastest of `repeat` transactions per request, microseconds of CPU."""
    rules = RulesSet()
    start = time.process_time()
    rules.load_from_uri(config)
    load_ms = (time.process_time() - start) * 1e3
    engine = ModSecurity()
    engine.set_log_callback(lambda message: None)
    measured = []
    with open(requests, encoding="utf-8") as file:
        wanted = json.load(file)
    for request in wanted:
        best, ids = None, []
        for _ in range(int(repeat)):
            start = time.process_time()
            ids = judge(engine, rules, request)
            spent = (time.process_time() - start) * 1e6
            best = spent if best is None else min(best, spent)
        measured.append({"name": request["name"], "total_us": best, "ids": sorted(set(map(int, ids)))})
    print(json.dumps({"load_ms": load_ms, "requests": measured}))


if __name__ == "__main__":
    main(*sys.argv[1:])
    sys.stdout.flush()
    # The package's clean-up at exit crashes now and then.
    os._exit(0)
