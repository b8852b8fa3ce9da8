"""Options that several commands share, and the client they lead to."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from paddock.cli.failures import NoKey

if TYPE_CHECKING:
    from paddock.client.client import AsyncClient

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def server_options(command: F) -> F:
    """`--url` and `--api-key`; else the environment, else the context in use."""
    key = click.option(
        "--api-key", metavar="KEY", help="Else PADDOCK_API_KEY, else the context's key."
    )
    url = click.option(
        "--url", metavar="URL", help="Orchestrator. Else PADDOCK_BASE_URL, else the context's."
    )
    return url(key(command))


def output_option(command: F) -> F:
    """`-o table|json|yaml`."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json", "yaml"]),
        default="table",
        show_default=True,
        help="How to show the answer.",
    )(command)


def example(*lines: str) -> str:
    """The end of a command's help."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def client_for(
    url: str | None, api_key: str | None, *, retries: int = 2, public: bool = False
) -> "AsyncClient":
    """A client of the server that the options, the environment or the context name.

    Exits with 4 when there is no key for it; `public` says that a start key is enough.
    """
    from paddock.client.client import AsyncClient

    client = AsyncClient(api_key, url, retries=retries)
    server = client.server
    if not (server.start_key if public else server.key):
        raise NoKey(
            f"no API key for {server.url}: pass --api-key, set PADDOCK_API_KEY, or start "
            "`paddock orchestrator` on this machine, which makes one that is found by itself"
        )
    return client


def ask(
    url: str | None,
    api_key: str | None,
    question: "Callable[[AsyncClient], Awaitable[T]]",
    *,
    public: bool = False,
) -> T:
    """Ask the server one thing and return the answer."""

    async def run() -> T:
        async with client_for(url, api_key, public=public) as client:
            return await question(client)

    return asyncio.run(run())


def run_async(function: Callable[..., Awaitable[T]]) -> Callable[..., T]:
    """A command whose body is a coroutine."""

    @functools.wraps(function)
    def command(*args: Any, **kwargs: Any) -> T:
        async def body() -> T:
            return await function(*args, **kwargs)

        return asyncio.run(body())

    return command
