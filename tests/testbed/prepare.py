"""Getting this machine what a tier needs."""

import os
import time

from testbed import base_image, binaries, packages, postgres
from testbed.go_build import BuildFailed, Say
from testbed.tiers import Tier


def prepare(tier: Tier, say: Say) -> bool:
    """Install and build what is missing for a tier and those below it, as far as that goes.

    Whether it went all the way; if not, what failed was said. Packages are installed only where
    that is our right: as root, with apt-get.
    """
    try:
        lacking = sorted(set(packages.lacking(tier).values()))
        if lacking:
            install(lacking, say)
        binaries.build_missing(binaries.tools_of(tier), say)
        if tier is Tier.REALNODE and os.getuid() == 0:
            base_image.make_archive(say)
    except (BuildFailed, RuntimeError, OSError) as error:
        say(f"could not prepare tier {tier}: {error}")
        return False
    return True


def prepare_postgres(say: Say) -> None:
    """Install a PostgreSQL server if there is none and that is our right."""
    if postgres.programs() is None:
        try:
            install([postgres.PACKAGE], say)
        except RuntimeError as error:
            say(f"could not prepare {postgres.MARK}: {error}")


def install(lacking: list[str], say: Say) -> None:
    """Install packages after saying so, where that is our right. RuntimeError with apt's words."""
    if not packages.can_install():
        say(f"missing, and not ours to install: {', '.join(lacking)}")
        return
    say(f"installing {', '.join(lacking)} with apt-get")
    began = time.monotonic()
    packages.install(lacking)
    say(f"installed in {time.monotonic() - began:.0f} s")
