"""What all tests have: clusters where a mark asks for one, and examples without haste."""

from hypothesis import HealthCheck, settings

pytest_plugins = ("testbed.plugin", "testbed.fixtures")

# Of an example the result counts, not how long a busy machine took for it. Whether the examples are
# the same each time is left as it is: where CI is set they are.
settings.register_profile(
    "patient", parent=settings(), deadline=None, print_blob=True,
    suppress_health_check=(HealthCheck.too_slow,),
)  # fmt: skip
settings.load_profile("patient")
