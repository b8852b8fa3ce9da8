"""Pools in a Kubernetes cluster. Only this package imports `kubernetes`, `kopf` and `aiohttp`."""
