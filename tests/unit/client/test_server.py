"""Which server, which key."""

from pathlib import Path

import pytest

from paddock.client.contexts import Context, ContextFile
from paddock.client.server import Server, find_server, http_base
from paddock.errors import ConfigurationError


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Two contexts, `local` in use."""
    env = {"PADDOCK_CONTEXTS": str(tmp_path / "contexts.json")}
    file = ContextFile.load(env)
    file.put(Context("local", "http://127.0.0.1:8600", "sk_local", "pk_local"), use=True)
    file.put(Context("far", "https://far.example", "sk_far"), use=False)
    file.save()
    return env


def test_arguments_win_over_the_environment_and_the_context(env: dict[str, str]) -> None:
    """Each of the two by itself."""
    env |= {"PADDOCK_BASE_URL": "http://env:1", "PADDOCK_API_KEY": "sk_env"}
    assert find_server("sk_arg", "http://arg:1", env) == Server("http://arg:1", "sk_arg", "sk_arg")
    assert find_server(None, None, env) == Server("http://env:1", "sk_env", "sk_env")


def test_the_context_in_use_lends_address_and_keys(env: dict[str, str]) -> None:
    """Sessions are started with the public key."""
    assert find_server(None, None, env) == Server("http://127.0.0.1:8600", "sk_local", "pk_local")


def test_a_context_lends_its_keys_to_no_other_address(env: dict[str, str]) -> None:
    """A key must not be sent to a server it was not made by."""
    assert find_server(None, "http://other:1", env) == Server("http://other:1")


def test_a_url_finds_the_context_that_has_it(env: dict[str, str]) -> None:
    """Whichever is in use, and however the address is written."""
    assert find_server(None, "wss://far.example/", env).key == "sk_far"


def test_a_context_can_be_named_by_the_environment(env: dict[str, str]) -> None:
    """And an unknown one is an error that lists the known."""
    assert find_server(None, None, {**env, "PADDOCK_CONTEXT": "far"}).start_key == "sk_far"
    with pytest.raises(ConfigurationError, match="far, local"):
        find_server(None, None, {**env, "PADDOCK_CONTEXT": "nowhere"})


def test_nothing_at_all_is_this_machine_without_a_key(tmp_path: Path) -> None:
    """The caller decides whether a key is needed."""
    env = {"PADDOCK_CONTEXTS": str(tmp_path / "none.json")}
    assert find_server(None, None, env) == Server("http://127.0.0.1:8600")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("ws://a:1", "http://a:1"),
        ("wss://a/", "https://a"),
        ("a.example", "https://a.example"),
        ("localhost:8600", "http://localhost:8600"),
        ("https://a/prefix/", "https://a/prefix"),
    ],
)
def test_any_way_to_write_an_address_is_understood(given: str, expected: str) -> None:
    """Socket addresses become HTTP ones."""
    assert http_base(given) == expected


def test_what_is_no_address_is_refused_with_its_value() -> None:
    """Before anything is asked."""
    with pytest.raises(ConfigurationError, match="ftp://x"):
        http_base("ftp://x")
