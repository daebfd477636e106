"""What the scripts of this folder share: arguments, records, exit codes."""

import argparse
import datetime
import math
import os
import sys

from harness import machine
from harness.process import Failed, stop_all


def bounded(least, most):
    """An argparse type: a whole number within bounds, so that no run is endless."""

    def parse(text):
        value = int(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"must be {least} to {most}")
        return value

    return parse


def record(case, heading, text, facts, command):
    """Writes the figures with the machine and the command that made them."""
    folder = os.path.join(machine.BENCH, "record")
    os.makedirs(folder, exist_ok=True)
    today = datetime.datetime.now(datetime.UTC).date()
    path = os.path.join(folder, f"{today}-{case}.md")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"# {heading}\n\nCommand: `{command}`\n\n")
        file.write("\n".join(f"- {fact}" for fact in facts) + f"\n\n{text}\n")
    print(f"written: {os.path.relpath(path, machine.ROOT)}")


def without_nan(value):
    """The same figures with null for what could not be measured: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: without_nan(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def run(main):
    """Runs a script's `main` with its arguments and ends the program: 1 with what a person has to know, 130 when interrupted."""
    try:
        sys.exit(main(sys.argv[1:]))
    except Failed as failure:
        print(f"bench: {failure}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        stop_all()
