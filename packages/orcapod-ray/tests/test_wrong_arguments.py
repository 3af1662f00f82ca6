"""Every wrong argument is refused in our own words, or accepted; no cluster is started to find out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import ray

from orcapod.errors import ConfigError
from orcapod.testing import argument_faults
from orcapod_ray import RayExecutor


def right(value: object) -> Callable[[], object]:
    return lambda: value


TASK = {
    "runtime_env": right(None),
    "num_cpus": right(1),
    "num_gpus": right(0),
    "resources": right(None),
    "max_retries": right(3),
    "retry_exceptions": right(False),
    "memory": right(None),
}


def test_a_wrong_argument_is_refused_in_our_words() -> None:
    is_connected = ray.is_initialized()
    assert list(argument_faults(RayExecutor, {"address": right(None), "ray_init": right(None), **TASK})) == []
    assert list(argument_faults(RayExecutor().with_options, TASK)) == []
    assert ray.is_initialized() == is_connected


@pytest.mark.parametrize("retried", [[OSError, "OSError"], [int], "OSError", 5])
def test_what_is_retried_are_types_of_exceptions(retried: object) -> None:
    with pytest.raises(ConfigError, match="RayExecutor: found retry_exceptions .*as in retry_exceptions="):
        RayExecutor(retry_exceptions=retried)  # type: ignore[arg-type]
