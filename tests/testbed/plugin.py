"""For pytest: tests say by a mark which tier of a cluster they need, or that they need PostgreSQL.

What is not possible here skips its tests with the reason; where it is required it ends the session
at collection, so that no gap passes unseen. With `CI=true` all is required;
`PADDOCK_REQUIRE_TIERS=api,postgres` says it otherwise.
"""

import contextlib
import fcntl
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from testbed import cluster, doctor, postgres, prepare
from testbed.places import cache_folder
from testbed.tiers import Tier

REQUIRE = "PADDOCK_REQUIRE_TIERS"
_ALL = (*Tier, postgres.MARK)
_EXIT_UNMET = 4
_FOUND = "tiers"


def required(environ: Mapping[str, str] = os.environ) -> frozenset[str]:
    """Tiers without which a session is worth nothing. Raises ValueError for an unknown one."""
    named = environ.get(REQUIRE)
    if named is None:
        return frozenset(_ALL if environ.get("CI", "").lower() == "true" else ())
    words = {word.strip() for word in named.split(",") if word.strip()}
    if unknown := words.difference(_ALL):
        raise ValueError(f"{REQUIRE}: {min(unknown)!r} is none of {', '.join(_ALL)}")
    return frozenset(words)


def tier_of(item: pytest.Item) -> Tier | None:
    """The highest tier a test is marked with."""
    marked = [tier for tier in Tier if item.get_closest_marker(tier)]
    return marked[-1] if marked else None


def _needs_of(item: pytest.Item) -> list[str]:
    tier = tier_of(item)
    return [
        *([tier] if tier else []),
        *([postgres.MARK] if item.get_closest_marker(postgres.MARK) else []),
    ]


class TierSession:
    """What one session needs of clusters and of PostgreSQL, and how that went."""

    def __init__(self) -> None:
        self.possible: frozenset[Tier] = frozenset()
        self._verdicts: list[doctor.Verdict] = []
        self._run: Counter[str] = Counter()
        self._unmet = ""

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Of several processes, which begin with an even share each, the first begins with what
        needs a node and the second with what needs an API alone: these take longest."""
        share = len(items) // getattr(config, "workerinput", {}).get("workercount", 1)
        others = [item for item in items if tier_of(item) is None]
        apis = [item for item in items if tier_of(item) is Tier.API]
        nodes = [item for item in items if tier_of(item) not in (None, Tier.API)]
        beside = max(0, share - len(nodes))
        items[:] = [*nodes, *others[:beside], *apis, *others[beside:]]

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        needed = {need for item in session.items for need in _needs_of(item)}
        if not needed or session.config.option.collectonly:
            return
        tiers = frozenset(tier for tier in Tier if tier in needed)
        with one_at_a_time():
            if session.config.option.prepare_tiers:
                _prepare(session.config, tiers, with_postgres=postgres.MARK in needed)
            self._verdicts = doctor.examine() if tiers else []
            if postgres.MARK in needed:
                self._verdicts.append(doctor.examine_postgres())
        lacks = {one.tier: one.lack for one in self._verdicts if one.lack is not None}
        self.possible = tiers - lacks.keys()
        for need in _ALL:
            if need in needed & required() & lacks.keys():
                self._unmet = f"tier {need} is required: {lacks[need]}"
                pytest.exit(self._unmet, returncode=_EXIT_UNMET)
        for item in session.items:
            for need in _needs_of(item):
                if need in lacks:
                    item.add_marker(pytest.mark.skip(reason=f"tier {need}: {lacks[need]}"))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        marked = [tier for tier in Tier if tier in report.keywords]
        if report.when == "call" and not report.skipped:
            self._run.update(marked[-1:])
            self._run.update({postgres.MARK} & report.keywords.keys())

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """What one of several processes has found out about tiers is the same in all."""
        verdicts, unmet = getattr(node, "workeroutput", {}).get(_FOUND, ((), ""))
        self._verdicts = [doctor.Verdict(*one) for one in verdicts] or self._verdicts
        if unmet:
            pytest.exit(unmet, returncode=_EXIT_UNMET)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Tell the one who asked for several processes."""
        if hasattr(session.config, "workeroutput"):
            verdicts = [(str(one.tier), one.lack) for one in self._verdicts]
            session.config.workeroutput[_FOUND] = (verdicts, self._unmet)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._verdicts:
            return
        terminalreporter.section("tiers")
        for verdict in self._verdicts:
            tests = f"{self._run[verdict.tier]} run"
            terminalreporter.write_line(f"{verdict.tier:<9} {tests:>9}   {verdict.sentence}")


TIERS = pytest.StashKey[TierSession]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("testbed").addoption(
        "--prepare-tiers", action="store_true",
        help="install and build first what the tiers of the selected tests need",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TIERS] = TierSession()
    config.pluginmanager.register(config.stash[TIERS], "testbed-tiers")


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Of several processes one prepares, and the others find it done."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "prepare.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _prepare(config: pytest.Config, tiers: frozenset[Tier], *, with_postgres: bool) -> None:
    """Install and build. A failure is told; that a tier is not possible then, doctor says."""
    terminal: Any = config.pluginmanager.get_plugin("terminalreporter")
    capture: Any = config.pluginmanager.get_plugin("capturemanager")

    def say(line: str) -> None:
        if not hasattr(config, "workerinput"):
            terminal.write_line(line)
            return
        # One of several processes: what it writes to its terminal nobody sees.
        with capture.global_and_fixture_disabled():
            print(line, file=sys.stderr, flush=True)

    if with_postgres:
        prepare.prepare_postgres(say)
    if tiers and not os.environ.get(cluster.EXISTING):
        prepare.prepare(max(tiers, key=[*Tier].index), say)
