"""A throw-away Kubernetes cluster for the tests, without a registry. See docs/testbed.md."""
