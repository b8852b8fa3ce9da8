"""From text to a valid AgentDeployment, or to the list of everything that is wrong with it."""

from paddock_operator.model.documents import Document, read_documents
from paddock_operator.model.examine import did_you_mean, examine
from paddock_operator.model.kinds import AGENT_DEPLOYMENT, ORCHESTRATOR_CONNECTION
from paddock_operator.model.manifest import CONNECTION_KIND, KIND, AgentDeployment
from paddock_operator.model.problems import ABSENT, ManifestError, Problem
from paddock_operator.model.rules import check_transition

__all__ = ["ManifestError", "Problem", "check_transition", "parse_manifest", "parse_object"]


def parse_manifest(text: str, *, source: str = "-") -> AgentDeployment:
    """The one AgentDeployment in `text`, which is YAML (of several documents) or JSON.

    OrchestratorConnections may stand beside it: they must be valid and are otherwise left alone.
    Raises ManifestError with all problems found; nothing else.
    """
    documents = read_documents(text, source)
    problems = [problem for document in documents for problem in document.problems]
    pools: list[Document] = []
    for document in documents:
        if not document.problems:
            problems += _sort_in(document, pools, source)
    if not problems and len(pools) != 1:
        problems.append(_wrong_count(len(pools), source))
    parsed: AgentDeployment | None = None
    for pool in pools:
        found = examine(AGENT_DEPLOYMENT, pool.data, source, pool.lines)
        if isinstance(found, AgentDeployment):
            parsed = found
        else:
            problems += found
    if problems or parsed is None:
        raise ManifestError(tuple(problems))
    return parsed


def parse_object(data: object, *, source: str = "-") -> AgentDeployment:
    """An AgentDeployment from data that is already read, as the API server sends it."""
    found = examine(AGENT_DEPLOYMENT, data, source, {})
    if isinstance(found, AgentDeployment):
        return found
    raise ManifestError(tuple(found))


def _sort_in(document: Document, pools: list[Document], source: str) -> list[Problem]:
    """Put an AgentDeployment into `pools`; report a document that does not belong here."""
    line = document.lines.get(())
    if not isinstance(document.data, dict):
        message = f"expected an object with kind: {KIND}"
        return [Problem(source, "", document.data, "type", message, line=line)]
    kind = document.data.get("kind", ABSENT)
    if kind == KIND or (kind is ABSENT and "spec" in document.data):
        pools.append(document)
        return []
    if kind == CONNECTION_KIND:
        found = examine(ORCHESTRATOR_CONNECTION, document.data, source, document.lines)
        return found if isinstance(found, list) else []
    fix = did_you_mean(str(kind), (KIND, CONNECTION_KIND)) or f"keep one {KIND} in the file"
    line = document.lines.get(("kind",), line)
    return [Problem(source, "kind", kind, "kind", f"expected {KIND}", fix, line)]


def _wrong_count(count: int, source: str) -> Problem:
    message = f"expected exactly one {KIND}, found {count}"
    fix = "put each into a file of its own" if count else f"add a document with kind: {KIND}"
    return Problem(source, "", ABSENT, "one-agent-deployment", message, fix)
