"""What the command says and returns when something fails."""

import sys
from typing import IO, Any

import click

from paddock.errors import (
    ApiError,
    AtCapacity,
    ConfigurationError,
    CredentialRefused,
    NotFound,
    PaddockError,
    Unauthorized,
    Unavailable,
    Unreachable,
)

FAILED, USAGE, NOT_FOUND, UNAUTHORIZED, UNREACHABLE, TRY_AGAIN = 1, 2, 3, 4, 5, 75

EXIT_CODES = """\b
Exit codes:
  0   done
  1   failed or refused
  2   wrong usage, or a setting that cannot be used
  3   no such agent, session, key or file
  4   the key is missing, unknown, revoked, or may not do this
  5   no orchestrator answers
  75  not now: at capacity (429), or no runner can take it yet (503, 504)
  130 interrupted"""


class Failure(click.ClickException):
    """One line on stderr and an exit code."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]

    def show(self, file: IO[Any] | None = None) -> None:
        line = " ".join(self.message.split())
        click.echo(f"Error: {line}", file=file or sys.stderr)


class NoKey(Failure):
    """No API key was found anywhere."""

    def __init__(self, message: str) -> None:
        super().__init__(message, UNAUTHORIZED)


def explain(why: BaseException) -> Failure:
    """Any exception as one line with the exit code that `paddock --help` documents."""
    if isinstance(why, Failure):
        return why
    if isinstance(why, BaseExceptionGroup):
        return explain(why.exceptions[0])
    if isinstance(why, click.UsageError):
        where = why.ctx.command_path if why.ctx is not None else "paddock"
        return Failure(f"{_full_stop(why.format_message())} See: {where} --help", USAGE)
    if isinstance(why, click.ClickException):
        return Failure(why.format_message(), why.exit_code)
    if isinstance(why, PaddockError):
        return Failure(_message(why), exit_code(why))
    if isinstance(why, OSError):
        return Failure(str(why))
    return Failure(
        f"unexpected {type(why).__name__}: {why} (PADDOCK_DEBUG=1 shows where)".replace("\n", " ")
    )


def exit_code(error: PaddockError) -> int:
    match error:
        case NotFound():
            return NOT_FOUND
        case Unauthorized() | CredentialRefused():
            return UNAUTHORIZED
        case Unreachable():
            return UNREACHABLE
        case AtCapacity() | Unavailable():
            return TRY_AGAIN
        case ConfigurationError():
            return USAGE
    return FAILED


def _message(error: PaddockError) -> str:
    if not isinstance(error, ApiError) or not error.status:
        return str(error)
    text = str(error)
    if error.attempts:
        asked = ", ".join(f"{a.runner}: {a.reason}" for a in error.attempts)
        text = f"{_full_stop(text)} Asked {asked}."
    if error.retry_after_s:
        text = f"{_full_stop(text)} Try again in {error.retry_after_s:g} s."
    what = " ".join(str(part) for part in (error.status, error.reason) if part)
    return f"{text} [{what}]"


def _full_stop(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
