"""A real Prometheus for a test, and the queries that it has not answered yet."""

import asyncio
import math
import os
import re
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml

from fakes.processes import Process, free_port
from fakes.shown import ALERTS
from fakes.waiting import eventually

WINDOW_S = 15


class Prometheus(Process):
    """Scrapes `targets` (job: port) each second, and knows the chart's alerts."""

    def __init__(
        self,
        directory: Path,
        targets: Mapping[str, int],
        labels: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """`labels`: those that a job's target gets."""
        super().__init__(directory, "prometheus")
        self._labels = labels or {}
        self._targets = targets
        self._port = free_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Until every target was scraped."""
        config = self.directory / "prometheus.yaml"
        config.write_text(yaml.safe_dump(self._config()))
        self.spawn(
            [
                "prometheus", f"--config.file={config}",
                f"--web.listen-address=127.0.0.1:{self._port}",
                f"--storage.tsdb.path={self.directory / 'prometheus'}",
            ],
            {},
        )  # fmt: skip
        await eventually(self._scraping, within_s=60, what="a scrape of every target")

    def _config(self) -> dict[str, Any]:
        return {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(ALERTS / "*.yaml")],
            "scrape_configs": [
                {
                    "job_name": job,
                    "honor_labels": True,
                    "static_configs": [
                        {
                            "targets": [f"127.0.0.1:{port}"],
                            "labels": dict(self._labels.get(job, {})),
                        }
                    ],
                }
                for job, port in self._targets.items()
            ],
        }

    async def _scraping(self) -> bool:
        if self.exit_code is not None:
            raise AssertionError(self.text())
        try:
            up = await self.query("up == 1")
        except httpx.HTTPError:
            return False
        return len(up) == len(self._targets)

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """What it answers now. AssertionError for an expression that it does not understand."""
        return await self._result("query", query=expression)

    async def seen(self, expression: str, *, since: float) -> list[dict[str, Any]]:
        """What it would have answered each second since then (wall clock), likewise."""
        return await self._result(
            "query_range", query=expression, start=str(since), end=str(time.time()), step="1"
        )

    async def _result(self, path: str, **parameters: str) -> list[dict[str, Any]]:
        answer: dict[str, Any] = (await self._get(path, **parameters)).json()
        assert answer["status"] == "success", (parameters, answer)
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    async def firing(self) -> set[str]:
        """The alerts that fire."""
        alerts = (await self._get("alerts")).json()["data"]["alerts"]
        return {one["labels"]["alertname"] for one in alerts if one["state"] == "firing"}

    async def _get(self, path: str, **parameters: str) -> httpx.Response:
        async with httpx.AsyncClient(timeout=20, trust_env=False) as http:
            answer = await http.get(f"{self.url}/api/v1/{path}", params=parameters)
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            answer.raise_for_status()
        return answer


class Unanswered:
    """Queries that have had no data at any second so far, however long ago that was."""

    def __init__(self, prometheus: Prometheus, queries: Iterable[str], **chosen: str) -> None:
        """`chosen`: the values of the dashboards' variables."""
        self._prometheus = prometheus
        self._began = time.time()
        self._chosen = {
            **chosen, "__rate_interval": f"{WINDOW_S}s", "__range": "5m", "instance": ".*"
        }  # fmt: skip
        self.queries = {self._filled(query) for query in queries}

    def _filled(self, query: str) -> str:
        return re.sub(r"\$(\w+)", lambda found: self._chosen[found[1]], query)

    async def none_left(self, *, within_s: float) -> None:
        """AssertionError with what there is still no data for."""
        until = asyncio.get_running_loop().time() + within_s
        while not await self._all_answered():
            if asyncio.get_running_loop().time() > until:
                raise AssertionError("never had data:\n" + "\n".join(sorted(self.queries)))
            await asyncio.sleep(0.5)

    async def _all_answered(self) -> bool:
        for query in sorted(self.queries):
            if any(map(has_value, await self._prometheus.seen(query, since=self._began))):
                self.queries.discard(query)
        return not self.queries


def has_value(series: dict[str, Any]) -> bool:
    """A quantile of nothing is NaN."""
    return any(not math.isnan(float(value)) for _, value in series["values"])


def promtool(*words: str, given: str = "") -> "subprocess.CompletedProcess[str]":
    """Run it; what it finds wrong is in its output and its exit code."""
    return subprocess.run(
        ["promtool", *words], input=given, capture_output=True, text=True, timeout=60,
        check=False, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip


def lint(page: str) -> None:
    """AssertionError with what `promtool check metrics` has against a page of metrics."""
    done = promtool("check", "metrics", given=page)
    assert done.returncode == 0, done.stdout + done.stderr
