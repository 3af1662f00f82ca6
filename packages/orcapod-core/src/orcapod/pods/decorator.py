"""``function_pod``: the decorator that gives a function its pod and leaves it a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from types import BuiltinFunctionType, MethodType
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from orcapod.errors import SchemaError
from orcapod.functions import Identity, NodeConfig, Packages, PythonPacketFunction, checked_node_config
from orcapod.pods.pod import FunctionPod

__all__ = ["PodFunction", "function_pod"]

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class PodFunction(Protocol[P, R_co]):
    """A function with a pod: call it as ever, or apply ``function.pod`` to streams."""

    pod: FunctionPod

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


def function_pod(
    output_keys: str | Sequence[str],
    *,
    name: str | None = None,
    version: str = "v0.0",
    identity: Identity = "code",
    depends_on: Sequence[object] = (),
    ignores: Sequence[object] = (),
    packages: Packages = "name",
    tags: str | Sequence[str] = (),
    label: str | None = None,
    node_config: NodeConfig | None = None,
    max_concurrency: int | None = None,
    retries: int | None = None,
    timeout: float | None = None,
) -> Callable[[Callable[P, R_co]], PodFunction[P, R_co]]:
    """Give a typed function a ``pod``, to be applied to streams; the function itself stays as it is.

    The method of an object, and an object that can be called, bear no pod: what is given back for them calls them, and
    has one. Under or over ``@staticmethod``, the function that the class gives has it.

    Args:
        output_keys: the name of its output, or the names of the members of the tuple that it returns.
        name: what it is called in records; the function's own name if None.
        version: ``v{major}.{minor}``; another major version is another function.
        identity: ``code`` makes what the function says, and everything of the user's own code that it
            refers to, part of its identity; ``version`` trusts the author to change the major version.
        depends_on: functions, classes or values that belong to its identity and that code does not show; they say
            what matters of what cannot be seen into.
        ignores: objects that its identity does not depend on, or the names under which a warning lists them.
        packages: ``version`` makes the versions of the distributions that it uses part of its identity.
        tags: the parameters that are filled from tag columns: ``tags=["subject"]`` gives it the tag ``subject``, and
            what that says is part of what is computed. Functions see no others.
        label: what its nodes are called; its name if None.
        node_config: how its packets are run; the pipeline's defaults if None.
        max_concurrency: how many packets may be computed at once; takes the place of what ``node_config`` says.
        retries: how often a packet that fails is tried again; likewise.
        timeout: after how many seconds a packet is given up; likewise.

    Raises:
        SchemaError: types are missing, or are such that no column can have them, or it is no function that gives
            a result when it is called; says what to do.
        ConfigError: a number makes no sense.
    """
    if callable(output_keys) or isinstance(output_keys, staticmethod | classmethod):
        name = getattr(output_keys, "__name__", "f")
        raise SchemaError(
            f"function_pod was given the function {name!r}, expected the name of its output first: "
            f"@function_pod('y') above 'def {name}'",
            node=name,
        )
    declared = {"max_concurrency": max_concurrency, "retries": retries, "timeout": timeout}
    options: dict[str, Any] = {name: value for name, value in declared.items() if value is not None}
    config = checked_node_config(node_config)
    if options:
        config = replace(config or NodeConfig(), **options)

    def give(function: Callable[P, R_co]) -> PodFunction[P, R_co]:
        packet_function = PythonPacketFunction(
            function,
            output_keys,
            name=name,
            version=version,
            identity=identity,
            depends_on=depends_on,
            ignores=ignores,
            packages=packages,
            tags=tags,
        )
        given = _bearing(function)
        bearer: Any = given.__func__ if isinstance(given, staticmethod) else given  # which is what the class gives
        bearer.pod = FunctionPod(packet_function, label=label, node_config=config)
        return cast(PodFunction[P, R_co], given)

    return give


def _bearing(function: Callable[..., Any]) -> Any:
    """Return what stands for a function and can bear a pod, which is nobody else's."""
    is_method = isinstance(function, MethodType | BuiltinFunctionType)
    return partial(function) if is_method or not hasattr(function, "__name__") else function
