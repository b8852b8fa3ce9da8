"""`paddock init`."""

import re
from pathlib import Path

import click

from paddock.cli.failures import Failure
from paddock.cli.options import example

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,46}[a-z0-9])?\Z")

AGENT = '''\
"""A first agent: greets, then says back what it hears."""

from paddock import CallContext


class Echo:
    async def stream(self, text: str, context: object = None, language: str | None = None):
        for word in f"You said: {text}".split(" "):
            yield word + " "


async def entrypoint(ctx: CallContext) -> None:
    ctx.session.dialog_machine = Echo()
    await ctx.session.say("Hello! Say something.")
    await ctx.session.run()  # until the call ends
'''

MANIFEST = """\
# `paddock up -f agentdeployment.yaml` runs this pool; `paddock validate` checks it.
apiVersion: paddock.dev/v1alpha1
kind: AgentDeployment
metadata:
  name: {name}
spec:
  sessionsPerRunner: 5
  scaling:
    minRunners: 1
    maxRunners: 5
  template:
    spec:
      containers:
        - name: agent
          image: {name}:latest
          command: ["paddock", "run", "agent.py"]
"""


@click.command(epilog=example("paddock init", "paddock init --name billing ./billing"))
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.option("--name", default="my-first-agent", show_default=True, help="The agent's name.")
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
def init(folder: Path, name: str, force: bool) -> None:
    """Write a first agent and the AgentDeployment that runs it."""
    if _NAME.match(name) is None:
        raise click.UsageError(
            f"--name: got {name!r}, expected at most 48 lower-case letters, digits and dashes"
        )
    files = {"agent.py": AGENT, "agentdeployment.yaml": MANIFEST.format(name=name)}
    there = [file for file in files if (folder / file).exists()]
    if there and not force:
        raise Failure(f"{' and '.join(there)} exist already: --force overwrites")
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        (folder / file).write_text(text)
        click.echo(f"wrote {folder / file}")
    click.echo(f"next: paddock dev {folder / 'agent.py'} --agent {name}")
