"""From text to a valid AgentDeployment, or to the list of everything that is wrong with it."""

from dataclasses import dataclass

from paddock_operator.model.documents import Document, read_documents
from paddock_operator.model.examine import did_you_mean, examine
from paddock_operator.model.kinds import AGENT_DEPLOYMENT, ORCHESTRATOR_CONNECTION
from paddock_operator.model.manifest import CONNECTION_KIND, KIND, AgentDeployment
from paddock_operator.model.problems import ABSENT, ManifestError, Problem
from paddock_operator.model.rules import check_transition

__all__ = [
    "Checked",
    "ManifestError",
    "Problem",
    "check_documents",
    "check_transition",
    "decoded",
    "parse_manifest",
    "parse_object",
]


@dataclass(frozen=True, slots=True)
class Checked:
    """One document of a text: what it declares, as far as it says so, and what is wrong with it."""

    kind: str
    name: str
    problems: tuple[Problem, ...]
    pool: AgentDeployment | None = None


def check_documents(text: str, *, source: str = "-") -> list[Checked]:
    """Every document in `text`, which is YAML (of several) or JSON; at least one. Never raises."""
    documents = read_documents(text, source)
    if not documents:
        return [Checked("", "", (_wrong_count(0, source),))]
    return [_checked(document, source) for document in documents]


def decoded(data: bytes, *, source: str) -> str:
    """The text of a file. Raises ManifestError when it is not UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as why:
        message = f"expected UTF-8, found the byte 0x{data[why.start]:02x}"
        line = data.count(b"\n", 0, why.start) + 1
        problem = Problem(source, "", ABSENT, "encoding", message, "save it as UTF-8", line)
        raise ManifestError((problem,)) from None


def parse_manifest(text: str, *, source: str = "-") -> AgentDeployment:
    """The one AgentDeployment in `text`, which is YAML (of several documents) or JSON.

    OrchestratorConnections may stand beside it: they must be valid and are otherwise left alone.
    Raises ManifestError with all problems found; nothing else.
    """
    documents = [_checked(document, source) for document in read_documents(text, source)]
    pools = [each for each in documents if each.kind == KIND]
    problems = [p for each in documents if each.kind != KIND for p in each.problems]
    if not problems and len(pools) != 1:
        problems.append(_wrong_count(len(pools), source))
    problems += [p for each in pools for p in each.problems]
    if problems or pools[0].pool is None:
        raise ManifestError(tuple(problems))
    return pools[0].pool


def parse_object(data: object, *, source: str = "-") -> AgentDeployment:
    """An AgentDeployment from data that is already read, as the API server sends it."""
    found = examine(AGENT_DEPLOYMENT, data, source, {})
    if isinstance(found, AgentDeployment):
        return found
    raise ManifestError(tuple(found))


def _checked(document: Document, source: str) -> Checked:
    if document.problems:
        return Checked("", "", tuple(document.problems))
    line = document.lines.get(())
    if not isinstance(document.data, dict):
        message = f"expected an object with kind: {KIND}"
        return Checked("", "", (Problem(source, "", document.data, "type", message, line=line),))
    kind = document.data.get("kind", ABSENT)
    name = _name(document.data)
    if kind == KIND or (kind is ABSENT and "spec" in document.data):
        pool = examine(AGENT_DEPLOYMENT, document.data, source, document.lines)
        if isinstance(pool, list):
            return Checked(KIND, name, tuple(pool))
        return Checked(KIND, name, (), pool)
    if kind == CONNECTION_KIND:
        found = examine(ORCHESTRATOR_CONNECTION, document.data, source, document.lines)
        return Checked(CONNECTION_KIND, name, tuple(found) if isinstance(found, list) else ())
    fix = did_you_mean(str(kind), (KIND, CONNECTION_KIND)) or f"keep one {KIND} in the file"
    line = document.lines.get(("kind",), line)
    return Checked(
        "", name, (Problem(source, "kind", kind, "kind", f"expected {KIND}", fix, line),)
    )


def _name(data: dict[object, object]) -> str:
    metadata = data.get("metadata")
    return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""


def _wrong_count(count: int, source: str) -> Problem:
    message = f"expected exactly one {KIND}, found {count}"
    fix = "put each into a file of its own" if count else f"add a document with kind: {KIND}"
    return Problem(source, "", ABSENT, "one-agent-deployment", message, fix)
