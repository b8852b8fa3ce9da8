"""What a runner is told, and what is refused before it runs."""

from pathlib import Path

import pytest

from paddock.client.contexts import Context, ContextFile
from paddock.errors import ConfigurationError
from paddock.options import RunnerOptions, resolve


def options(
    env: dict[str, str], api_key: str | None = None, url: str | None = None
) -> RunnerOptions:
    return resolve(
        agent_id="a", api_key=api_key, max_sessions=1, permits_per_minute=1, drain_timeout_s=1,
        dev_mode=False, base_url=url, env=env,
    )  # fmt: skip


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"PADDOCK_CONTEXTS": str(tmp_path / "contexts.json")}


@pytest.mark.parametrize("key", ["rk_a\nb", "rk_é", "rk_a b", "rk_a\x00", "Bearer rk_a"])
def test_a_key_that_no_header_can_carry_is_refused_by_name_and_never_shown(
    key: str, env: dict[str, str]
) -> None:
    """A runner that tried it would try for ever, and log it each time."""
    file = ContextFile.load(env)
    file.put(Context("here", "http://127.0.0.1:1", runner_key=key), use=True)
    for source, argument, more in (
        ("api_key", key, {}),
        ("PADDOCK_API_KEY", None, {"PADDOCK_API_KEY": key}),
        ("UNPOD_API_KEY", None, {"UNPOD_API_KEY": key}),
        ("context 'here', runner_key", None, {}),
    ):
        if source.startswith("context"):
            file.save()
        with pytest.raises(ConfigurationError) as caught:
            options(env | more, argument)
        assert str(caught.value).startswith(f"{source}: no key has a space")
        assert "Expected one word that begins with rk_" in str(caught.value)
        assert key not in str(caught.value)


def test_the_end_of_the_line_of_a_mounted_key_is_left_away(env: dict[str, str]) -> None:
    assert options({**env, "PADDOCK_API_KEY": "rk_a\n"}).api_key == "rk_a"


def test_a_bad_address_is_refused_by_the_name_it_came_by(env: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"^PADDOCK_BASE_URL: got 'foo bar', expected"):
        options({**env, "PADDOCK_BASE_URL": "foo bar"}, "rk_a")
    with pytest.raises(ConfigurationError, match=r"^base_url: got 'http://a:99999', expected"):
        options(env, "rk_a", "http://a:99999")


def test_without_anything_a_runner_dials_this_machine(env: dict[str, str]) -> None:
    assert options(env, "rk_a").base_url == "ws://127.0.0.1:8600"
