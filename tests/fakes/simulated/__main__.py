"""`PYTHONPATH=tests .venv/bin/python -m fakes.simulated --seed 7`: one run again, with its end."""

import argparse

from fakes.simulated.world import simulate
from fakes.simulated.wrong import WRONG, Wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="fakes.simulated")
    parser.add_argument("--seed", type=int, default=1, help="the first")
    parser.add_argument("--seeds", type=int, default=1, help="how many")
    parser.add_argument("--steps", type=int, default=4000, help="of each")
    parser.add_argument("--trace", type=int, default=80, help="last steps shown of a failure")
    parser.add_argument("--wrong", choices=sorted(WRONG), help="with this rule broken")
    options = parser.parse_args()
    wrong = WRONG[options.wrong] if options.wrong else Wrong()
    for seed in range(options.seed, options.seed + options.seeds):
        with wrong.at_work():
            verdict = simulate(
                seed, options.steps, theme=wrong.theme, runner_link=wrong.runner_link
            )
        print(f"seed {seed}: {verdict.steps} steps, {verdict.seconds:.0f} s, {verdict.counts}")
        if not verdict.holds:
            print("\n".join(verdict.trace[-options.trace :]))
            print(f"seed {seed}: {verdict.problem}")
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
