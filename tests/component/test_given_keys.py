"""Keys that are given to an orchestrator by a folder, as a mounted secret is one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.processes import Server

KEYS = {"apiKey": "sk_" + "a" * 24, "publicKey": "pk_" + "b" * 24, "runnerKey": "rk_" + "c" * 24}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "keys"
    made.mkdir()
    for name, text in KEYS.items():
        (made / name).write_text(f"{text}\n")
    return made


@pytest.fixture
def server(tmp_path: Path, folder: Path) -> Iterator[Server]:
    made = Server(tmp_path, "--keys-dir", str(folder))
    yield made
    made.kill()


async def names(server: Server) -> set[str]:
    async with server.http() as http:
        return {key["name"] for key in (await http.get("/v1/keys")).json()}


async def test_given_keys_are_the_first_and_the_command_line_finds_them(server: Server) -> None:
    await server.start()

    assert server.keys == {
        "private": KEYS["apiKey"], "public": KEYS["publicKey"], "runner": KEYS["runnerKey"],
    }  # fmt: skip
    assert len(await names(server)) == 3


async def test_a_store_that_was_lost_takes_the_same_keys_again(server: Server) -> None:
    await server.start()
    server.kill()
    server.database.unlink()
    for log in server.database.parent.glob("*.db-*"):
        log.unlink()

    await server.start()

    assert len(await names(server)) == 3


async def test_a_new_text_is_added_at_the_next_start_and_the_old_one_stays_good(
    server: Server, folder: Path
) -> None:
    await server.start()
    (folder / "runnerKey").write_text("rk_" + "d" * 24)
    server.kill()

    await server.start()

    assert len(await names(server)) == 4
    assert server.keys["runner"] == "rk_" + "d" * 24


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("apiKey", None, "apiKey: got 'No such file or directory'"),
        ("publicKey", "sk_" + "a" * 24, "expected a public key: pk_ and at least 20"),
        ("runnerKey", "rk_short", "expected a runner key: rk_ and at least 20"),
    ],
)
async def test_what_is_no_key_is_named_and_not_shown(
    server: Server, folder: Path, name: str, text: str | None, said: str
) -> None:
    (folder / name).unlink()
    if text is not None:
        (folder / name).write_text(text)

    with pytest.raises(AssertionError) as failed:
        await server.start()

    assert said in str(failed.value)
    assert name in str(failed.value)
    assert text is None or text not in str(failed.value)
