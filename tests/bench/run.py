"""Run the benchmarks: `python tests/bench/run.py [--cluster] [NAME ...] [--quick]`.

Each is measured beside a reference in the same run; figures move with the machine, ratios hardly
do. Prints a table and writes it as JSON to out/bench.json, and to out/bench-cluster.json those of
the operator, which have an API server of their own. Benchmarks are not tests: the exit code says
only whether they ran.
"""

import argparse
import importlib
import json
import platform
import sys
import time
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests")]

from bench import harness, rows  # noqa: E402

ALL = ("starts", "databases", "memory", "recovery", "decisions", "scrape")
CLUSTER = ("reaction", "deployment", "idle", "thousand", "restart")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", nargs="*", help=f"of {', '.join(ALL)}; all without a name")
    parser.add_argument("--cluster", action="store_true", help=f"of {', '.join(CLUSTER)}")
    parser.add_argument("--quick", action="store_true", help="one short round: only that it runs")
    options = parser.parse_args()
    names, package = (CLUSTER, "bench.cluster") if options.cluster else (ALL, "bench")
    unknown = [name for name in options.which if name not in names]
    if unknown:
        parser.error(f"{unknown[0]!r} is not one of {', '.join(names)}")
    results: list[rows.Row] = []
    failed = False
    for name in options.which or names:
        began = time.monotonic()
        try:
            found = importlib.import_module(f"{package}.{name}").bench(quick=options.quick)
        except harness.BenchError as why:
            print(f"{name}: {why}", file=sys.stderr)
            failed = True
            continue
        print(f"\n{name}, {time.monotonic() - began:.0f} s\n{rows.table(found)}", flush=True)
        results += found
    out = ROOT / "out" / ("bench-cluster.json" if options.cluster else "bench.json")
    out.parent.mkdir(exist_ok=True)
    machine = {"python": platform.python_version(), "cores": len(harness.usable_cores())}
    document = {"machine": machine, "quick": options.quick, "rows": [asdict(r) for r in results]}
    out.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(document))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
