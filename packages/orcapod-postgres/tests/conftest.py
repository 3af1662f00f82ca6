"""The server of this session, and one hypothesis profile for all laws."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["orcapod_postgres.testing.fixtures"]

settings.register_profile(
    "orcapod", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile("orcapod")
