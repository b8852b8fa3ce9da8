"""`paddock`: the command line."""

import click

from paddock import __version__
from paddock.cli.failures import EXIT_CODES
from paddock.cli.group import RootGroup

OWN = {
    "agent": ("paddock.cli.agent:agent", "Start, watch, stop and delete agents' sessions."),
    "call": ("paddock.cli.call:call", "Start a session and talk to the agent in the terminal."),
    "completion": ("paddock.cli.completion:completion", "Print the shell's completion script."),
    "context": ("paddock.cli.context:context", "Choose which orchestrator is talked to."),
    "dev": ("paddock.cli.dev:dev", "Run an agent's file here, reload on save, and talk to it."),
    "doctor": ("paddock.cli.doctor:doctor", "Check connection, keys, versions and a cluster."),
    "init": ("paddock.cli.init:init", "Write a first agent and its AgentDeployment."),
    "load": ("paddock.cli.load:load", "Play many callers at once and measure the answers."),
    "organizations": ("paddock.cli.organizations:organizations", "Organizations and their keys."),
    "run": ("paddock.cli.run:run", "Run a runner from an agent's file."),
    "runners": ("paddock.cli.runners:runners", "List runners and what they hold."),
    "sessions": ("paddock.cli.sessions:sessions", "List, show and end sessions."),
    "status": ("paddock.cli.status:status", "Show agents with their slots and last decision."),
    "top": ("paddock.cli.top:top", "Watch agents live."),
    "version": ("paddock.cli.version:version", "Print the version."),
}
EXTRAS = {
    "crds": "Print or apply the custom resource definitions.",
    "down": "Stop what `paddock up` runs.",
    "explain": "Show an operator's last decisions about a pool.",
    "logs": "Show the output of a pool's runners.",
    "may-uninstall": "Fail while pools are declared on a cluster, and name them.",
    "operator": "Keep the pools of a Kubernetes cluster.",
    "orchestrator": "Run the session orchestrator.",
    "up": "Run an AgentDeployment on this machine.",
    "validate": "Check an AgentDeployment without running it.",
}


@click.group(
    cls=RootGroup,
    own=OWN,
    extras=EXTRAS,
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="paddock %(version)s")
def paddock() -> None:
    """Pools of voice-agent runners: run them, call them, watch them.

    \b
    A first agent in three steps:
      paddock init            writes agent.py and agentdeployment.yaml
      paddock dev agent.py    runs it, reloads it on save, and lets you talk to it
      paddock up -f agentdeployment.yaml
    """


def main() -> None:
    """The entry point. Never returns: exits with one of the codes that `--help` lists."""
    paddock.main(prog_name="paddock")
