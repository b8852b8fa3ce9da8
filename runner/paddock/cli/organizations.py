"""`paddock organizations`: keys, under the names that users of hosted platforms know."""

import os
from dataclasses import asdict, replace

import click

from paddock.cli.failures import NOT_FOUND, Failure
from paddock.cli.options import ask, client_for, example, output_option, run_async, server_options
from paddock.cli.output import show, tell
from paddock.client.client import AsyncClient
from paddock.client.contexts import Context, ContextFile
from paddock.client.records import Key
from paddock.client.server import http_base

COLUMNS = ("name", "scope", "key_id", "agents", "created_at", "expires_at", "revoked_at", "key")


@click.group(epilog=example("paddock organizations keys create web --scope public"))
def organizations() -> None:
    """The organization of the key in use, and its keys."""


@organizations.command("list", epilog=example("paddock organizations list"))
@output_option
@server_options
def list_(output: str, url: str | None, api_key: str | None) -> None:
    """Show the organization in use. A key belongs to one, so it is the only one."""
    address = client_for(url, api_key).server.url
    found = ask(url, api_key, lambda c: c.organization())
    row = {**asdict(found), "current": True, "url": address}
    show([row], output, ("name", "organization_id", "created_at", "current", "url"))


@organizations.group("keys", epilog=example("paddock organizations keys list"))
def keys() -> None:
    """Public keys start sessions, private keys manage, runner keys run runners."""


@keys.command("list", epilog=example("paddock organizations keys list"))
@output_option
@server_options
def keys_list(output: str, url: str | None, api_key: str | None) -> None:
    """List keys. Only public ones show their text."""
    show(ask(url, api_key, lambda c: c.keys.list()), output, COLUMNS)


@keys.command(
    "create", epilog=example("paddock organizations keys create web --agent my-first-agent")
)
@click.argument("name")
@click.option(
    "--scope",
    type=click.Choice(["public", "private", "runner"]),
    default="public",
    show_default=True,
)
@click.option("--agent", "agents", multiple=True, help="Limit it to this agent; may be repeated.")
@click.option("--expires-in-days", type=click.FloatRange(min=0, min_open=True))
@output_option
@server_options
def create(
    name: str,
    scope: str,
    agents: tuple[str, ...],
    expires_in_days: float | None,
    output: str,
    url: str | None,
    api_key: str | None,
) -> None:
    """Make a key. Its text is shown here; a private or runner key's never again."""
    expires_in_s = None if expires_in_days is None else expires_in_days * 86_400
    made = ask(
        url,
        api_key,
        lambda c: c.keys.create(name, scope, agents=agents, expires_in_s=expires_in_s),
    )
    show(made, output, ("name", "scope", "key_id", "agents", "expires_at", "key"))


@keys.command("use", epilog=example("paddock organizations keys use my-default-key"))
@click.argument("name")
@server_options
@run_async
async def use(name: str, url: str | None, api_key: str | None) -> None:
    """Make a public key the default of `agent start`. NAME is its name, id or text."""
    file = ContextFile.load(os.environ)
    async with client_for(url, api_key) as client:
        key = await _find(client, name)
        address = client.server.url
        given = client.server.key
    if key.scope != "public" or not key.key:
        raise Failure(f"{name!r} is a {key.scope} key: `agent start` wants a public one")
    if key.revoked_at is not None:
        raise Failure(f"{name!r} was revoked at {key.revoked_at}")
    held = next((c for c in file.contexts.values() if http_base(c.url) == address), None)
    held = held or Context(name="default", url=address, private_key=given)
    file.put(replace(held, public_key=key.key), use=False)
    file.save()
    click.echo(f"{key.name} is the default key of {held.name} ({address})")


@keys.command("revoke", epilog=example("paddock organizations keys revoke old-key"))
@click.argument("name")
@output_option
@server_options
@run_async
async def revoke(name: str, output: str, url: str | None, api_key: str | None) -> None:
    """Revoke a key: it opens nothing from now on. Live sessions go on, its runners then stop."""
    async with client_for(url, api_key) as client:
        key = await _find(client, name)
        await client.keys.revoke(key.key_id)
    was_default = _replace_default(key.key, "")
    said = f"{key.name} ({key.key_id}) is revoked"
    if was_default:
        said += "\nit was the default key: choose another with `organizations keys use NAME`"
    tell(said, {"name": key.name, "key_id": key.key_id, "was_default": was_default}, output)


@keys.command("roll", epilog=example("paddock organizations keys roll web"))
@click.argument("name")
@output_option
@server_options
@run_async
async def roll(name: str, output: str, url: str | None, api_key: str | None) -> None:
    """Replace a key by a new one of the same name, scope and agents."""
    async with client_for(url, api_key) as client:
        old = await _find(client, name)
        made = await client.keys.roll(old.key_id)
    _replace_default(old.key, made.key)
    show(made, output, ("name", "scope", "key_id", "agents", "key"))


def _replace_default(old: str, new: str) -> bool:
    """Keep the contexts in step with a public key that is no more."""
    file = ContextFile.load(os.environ)
    held = [c for c in file.contexts.values() if old and c.public_key == old]
    for each in held:
        file.put(replace(each, public_key=new), use=False)
    if held:
        file.save()
    return bool(held)


async def _find(client: AsyncClient, name: str) -> Key:
    """The key of that id, text or name; of a name, the one that is not revoked."""
    known = await client.keys.list()
    exact = [k for k in known if name in (k.key_id, k.key)]
    named = exact or [k for k in known if k.name == name]
    alive = [k for k in named if k.revoked_at is None] or named
    if not alive:
        names = ", ".join(sorted({k.name for k in known})) or "none"
        raise Failure(f"no key {name!r}; known: {names}", NOT_FOUND)
    if len(alive) > 1:
        ids = ", ".join(k.key_id for k in alive)
        raise Failure(f"{len(alive)} keys are named {name!r}: name one by its id ({ids})")
    return alive[0]
