"""Clusters for the tests that ask for one by a mark; nothing happens for the others."""

pytest_plugins = ("testbed.plugin", "testbed.fixtures")
