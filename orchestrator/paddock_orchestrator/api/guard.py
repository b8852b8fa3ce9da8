"""Who is calling a management endpoint."""

from dataclasses import dataclass

from fastapi import Request

from paddock_orchestrator.api.answers import ApiError
from paddock_orchestrator.keyring import Grant, Keyring
from paddock_orchestrator.links.accept import bearer
from paddock_orchestrator.orchestrator import Orchestrator
from paddock_orchestrator.store.records import Scope


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller with a private key. Everything it reaches is its own organization's."""

    grant: Grant
    orchestrator: Orchestrator
    keyring: Keyring

    @property
    def org(self) -> str:
        return self.grant.org


def private(request: Request) -> Caller:
    """The caller, or 401 without a good key and 403 with one that may not manage."""
    keyring: Keyring = request.app.state.keyring
    grant = keyring.find(bearer(request.headers.raw))
    if grant is None:
        raise ApiError(401, "bad_key", "The key is unknown, revoked or expired")
    if not grant.may(Scope.PRIVATE):
        raise ApiError(403, "wrong_scope", "This needs a private key (sk_)")
    return Caller(grant, request.app.state.orchestrator, keyring)
