"""Which server, which key."""

from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.uri import parse_uri

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
    ("url", "expected"),
    [
        ("ws://a:1", "http://a:1"),
        ("wss://a/", "https://a"),
        ("a.example", "https://a.example"),
        ("localhost:8600", "http://localhost:8600"),
        ("https://a/prefix/", "https://a/prefix"),
    ],
)
def test_any_way_to_write_an_address_is_understood(url: str, expected: str) -> None:
    """Socket addresses become HTTP ones."""
    assert http_base(url) == expected


NO_ADDRESSES = [
    "ftp://x", "not a url", "foo bar", "http://", "http://127.0.0.1:99999", "http://a:0", "a:x",
    "http://[::::]", "http://[::1", "http://xn--a", "http://a..b", "http://-a", "http://256.1.1.1",
    f"http://{'a' * 64}.example", "http://a\x00b", "http://a/b c", "http://\u2603\ufe0f.example",
]  # fmt: skip


@pytest.mark.parametrize("url", NO_ADDRESSES)
def test_what_is_no_address_is_refused_with_its_value(url: str) -> None:
    """Before anything is asked, with where it came from and an example of a good one."""
    with pytest.raises(ConfigurationError) as caught:
        find_server("sk_x", None, {"PADDOCK_BASE_URL": url})
    said = str(caught.value)
    assert said.startswith(f"PADDOCK_BASE_URL: got {url!r}, expected ")
    assert "such as https://paddock.example.com" in said


def test_a_password_in_an_address_is_refused_and_not_shown() -> None:
    """The key says who asks; a socket would send this instead of it."""
    with pytest.raises(ConfigurationError, match=r"^url: got '…@a\.example', .* without a user"):
        http_base("https://me:secret@a.example")


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1]:8600", "http://[fe80::1%eth0]:1", "https://10.0.0.1", "http://my_service:80",
        "https://xn--bcher-kva.example", "https://bücher.example", "https://a.example.:443/x",
    ],
)  # fmt: skip
def test_an_address_that_can_be_looked_up_is_kept(url: str) -> None:
    assert http_base(url) == url


@given(st.text(max_size=40))
def test_an_address_is_one_that_requests_take_or_it_is_refused(text: str) -> None:
    """Whatever it is: no other error, and none later."""
    for url in (text, f"http://{text}", f"https://a.example:{text}", f"http://[{text}]"):
        try:
            base = http_base(url)
        except ConfigurationError:
            continue
        assert httpx.URL(base).host
        assert parse_uri("ws" + base.removeprefix("http")).host


BAD_KEYS = ["sk_a\nb", "sk_\u00e9", "sk_a b", " sk_a", "sk_a\x7f"]


@pytest.mark.parametrize("key", BAD_KEYS)
def test_what_no_header_can_carry_is_no_key_and_is_not_shown(key: str, env: dict[str, str]) -> None:
    """Wherever it came from, which is."""
    file = ContextFile.load(env)
    file.put(Context("odd", "https://odd.example", key), use=False)
    file.save()
    givens: tuple[tuple[str, str | None, dict[str, str]], ...] = (
        ("api_key", key, {}),
        ("PADDOCK_API_KEY", None, {"PADDOCK_API_KEY": key}),
        ("UNPOD_API_KEY", None, {"UNPOD_API_KEY": key}),
        ("context 'odd', private_key", None, {"PADDOCK_CONTEXT": "odd"}),
    )
    for source, argument, more in givens:
        with pytest.raises(ConfigurationError) as caught:
            find_server(argument, None, {**env, **more})
        assert str(caught.value).startswith(f"{source}: no key has a space, a line's end")
        assert key not in str(caught.value)


def test_the_end_of_the_line_behind_a_key_is_not_part_of_it(env: dict[str, str]) -> None:
    assert find_server("sk_a\r\n", None, env).key == "sk_a"
    assert find_server(None, None, {**env, "PADDOCK_API_KEY": "sk_b\n"}).key == "sk_b"


def test_a_context_with_a_bad_address_is_named(env: dict[str, str]) -> None:
    file = ContextFile.load(env)
    file.put(Context("odd", "https://not a url"), use=False)
    file.save()
    with pytest.raises(ConfigurationError, match="context 'odd', url: got 'https://not a url'"):
        find_server(None, None, {**env, "PADDOCK_CONTEXT": "odd"})
