"""Installations of the chart."""

from collections.abc import Iterator

import pytest

from chart.installation import IMAGE, Installation
from testbed.cluster import Cluster
from testbed.image_build import build_image
from testbed.places import CHECKOUT


@pytest.fixture(scope="session")
def image(cluster: Cluster) -> str:
    """The name of the project's image, which the real node has."""
    cluster.load_image(build_image(CHECKOUT, IMAGE, say=print))
    return IMAGE


@pytest.fixture
def installation(cluster: Cluster, namespace: str) -> Iterator[Installation]:
    """Nothing is installed yet; nothing is when the test is over."""
    made = Installation(cluster, namespace)
    yield made
    made.remove()
