"""The revision: which runners are alike."""

import hashlib
import json

from paddock_operator.model.manifest import AgentDeployment


def template_revision(manifest: AgentDeployment) -> str:
    """Eight hex digits that change exactly when new runners would differ from the running ones.

    Taken over the template as written, the capacity and the agent's id; the order of keys and
    every other setting leave it alone.
    """
    identity = {
        "agentId": manifest.agent_id,
        "sessionsPerRunner": manifest.spec.sessions_per_runner,
        "template": manifest.spec.template.as_json(),
    }
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:8]
