"""What a status says of troubles: OrchestratorReachable, Draining, Degraded, TemplateAccepted.

Pure.
"""

from paddock_operator.model.conditions import Reason
from paddock_operator.model.manifest import AgentDeployment
from paddock_operator.observe.facts import ConnectionProblem, PoolFacts, TemplateProblem
from paddock_operator.observe.judged import Judged, count, no, said, some, yes
from paddock_operator.observe.tally import Tally
from paddock_operator.plan.drain import reports_empty
from paddock_operator.reconcile.passes import Pass


def connection_trouble(problem: ConnectionProblem) -> str:
    """One sentence: what is wrong with the connection, and where to mend it."""
    what = said(problem.message)
    match problem.reason:
        case "Unreachable":
            return f"The orchestrator does not answer{what}; check spec.url of the connection."
        case "Unauthorized":
            return f"The orchestrator refuses the key{what}; check apiKey in the secret."
        case "MissingSecret":
            return f"The secret with the keys is missing or lacks one{what}; create it."
        case "Invalid":
            return f"The OrchestratorConnection cannot be used{what}; mend its spec."


def orchestrator_reachable(last: Pass, manifest: AgentDeployment, facts: PoolFacts) -> Judged:
    """Statistics are fresh and plausible. While they are, a socket that just broke is no news."""
    if last.fresh:
        return yes(Reason.CONNECTED, "Statistics are fresh.")
    problem = facts.connection_problem
    if problem is not None:
        refused = problem.reason in ("Unauthorized", "MissingSecret")
        reason = Reason.UNAUTHORIZED if refused else Reason.UNREACHABLE
        return no(reason, connection_trouble(problem))
    if facts.inconsistent:
        return no(
            Reason.INCONSISTENT,
            "The orchestrator restarted and does not know all runners yet; nothing shrinks until "
            "they are back.",
        )
    if facts.never_reported:
        return no(
            Reason.NEVER_REPORTED,
            "No statistics were received yet; check that the orchestrator runs and knows the key.",
        )
    return no(
        Reason.STALE,
        f"Statistics are older than {manifest.spec.fallback.stale_after_seconds} s; check that the "
        "orchestrator runs.",
    )


def draining(last: Pass, tally: Tally, now: float) -> Judged:
    """At least one runner drains."""
    if not tally.draining:
        return no(Reason.NONE, "No runner drains.")
    settings = last.settings
    near = [
        runner
        for runner in tally.draining
        if runner.intent.deadline is not None
        and settings.on_timeout == "Terminate"
        and runner.intent.deadline - now <= settings.warn_before_s
        and runner.booked != 0
        and not reports_empty(runner)
    ]
    leaving = count(len(tally.draining), "runner")
    if near:
        return yes(
            Reason.DEADLINE_NEAR,
            f"{len(near)} of {leaving} that drain reach the deadline soon and lose what they hold; "
            "raise drain.timeoutSeconds if sessions take longer.",
        )
    held = count(tally.on_draining, "session")
    return yes(Reason.SESSIONS_LEFT, f"{leaving} with {held} left to finish.")


def degraded(last: Pass, manifest: AgentDeployment, facts: PoolFacts) -> Judged:
    """Something keeps runners from doing what the manifest says; the gravest trouble is told."""
    pods = facts.pods
    if facts.forbidden:
        return yes(
            Reason.FORBIDDEN,
            f"The operator lacks a permission{said(facts.forbidden)}; grant it.",
        )
    logs = f"{said(pods.crash_message)}; read the runners' logs."
    if last.failures >= manifest.spec.failure.max_start_failures:
        return yes(Reason.CRASH_LOOPING, f"{last.failures} starts in a row failed{logs}")
    if pods.crash_looping:
        return yes(Reason.CRASH_LOOPING, f"{count(pods.crash_looping, 'runner')} crashed{logs}")
    if pods.image_pull_failed:
        return yes(
            Reason.IMAGE_PULL_FAILED,
            f"{count(pods.image_pull_failed, 'runner')} cannot get the image"
            f"{said(pods.image_pull_message)}; check its name and imagePullSecrets.",
        )
    if facts.quota_message:
        return yes(
            Reason.QUOTA_EXCEEDED,
            f"A quota of the namespace refuses runners{said(facts.quota_message)}; raise it or "
            "lower maxRunners.",
        )
    if pods.unschedulable:
        return yes(
            Reason.UNSCHEDULABLE,
            f"{count(pods.unschedulable, 'runner')} fits on no node"
            f"{said(pods.unschedulable_message)}; add nodes or lower the requests.",
        )
    if facts.overlapping_pdb:
        return yes(
            Reason.OVERLAPPING_PDB,
            f"The PodDisruptionBudget {facts.overlapping_pdb} selects the pool's pods, too, which "
            "makes every eviction fail; change its selector.",
        )
    if facts.capacity_claimed_less:
        return yes(Reason.CAPACITY_MISMATCH, capacity_mismatch(facts, manifest))
    return no(Reason.NO_FAILURES, "Nothing keeps runners from serving.")


def capacity_mismatch(facts: PoolFacts, manifest: AgentDeployment) -> str:
    """One sentence about runners that claim fewer slots than they should."""
    return (
        f"{some(facts.capacity_claimed_less)} claim fewer than {manifest.spec.sessions_per_runner} "
        "sessions; make the runner's code and sessionsPerRunner agree."
    )


def template_accepted(problem: TemplateProblem | None) -> Judged:
    """The manifest is valid, and an API server takes its pods."""
    if problem is None:
        return yes(Reason.ACCEPTED, "The template is accepted.")
    if problem.reason == "Forbidden":
        return no(
            Reason.FORBIDDEN,
            f"The API server forbids the runners' pods{said(problem.message)}; change the template "
            "or the policy that forbids it.",
        )
    if problem.reason == "AgentTaken":
        return no(
            Reason.AGENT_TAKEN,
            f"The AgentDeployment {problem.message} is older and has the same agent of the same "
            "connection; what runs is kept, and nothing is created; delete one of the two, or "
            "create this one with another agentId.",
        )
    return no(Reason.INVALID, f"The manifest is not valid{said(problem.message)}; mend it.")
