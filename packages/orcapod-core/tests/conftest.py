"""One hypothesis profile for all laws: bounded, and no clock, since a loaded machine is no bug."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "orcapod", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile("orcapod")
