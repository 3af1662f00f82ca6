"""Reproducible scientific data pipelines: typed functions over streams, computed once, with provenance.

Every name is loaded when it is first used, so that importing orcapod costs next to nothing; the types of
the names are in ``__init__.pyi``.
"""

from importlib import import_module

_HOMES = {
    "CachedFunctionPod": "pods",
    "ContentHash": "hashing",
    "Directory": "types",
    "File": "types",
    "FunctionPod": "pods",
    "NodeConfig": "functions",
    "Pipeline": "pipeline",
    "PipelineConfig": "functions",
    "PythonPacketFunction": "functions",
    "ResultCache": "records",
    "RunResult": "nodes",
    "Schema": "types",
    "cases": "sources",
    "code_of": "pods",
    "compare": "ledger",
    "compare_code": "pods",
    "function_pod": "pods",
    "grid": "sources",
    "logical_type": "types",
    "open_store": "ledger",
    "output_path": "files",
    "remove_orphans": "integrity",
    "verify_store": "integrity",
    "write_report": "report",
}
_ROOMS = ("databases", "errors", "executors", "observers", "operators", "orchestrators", "sources", "types")

__all__ = sorted([*_HOMES, *_ROOMS])


def __getattr__(name: str) -> object:
    if name in _ROOMS:
        return import_module(f"orcapod.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'orcapod' has no attribute {name!r}; found {__all__}")
    found = getattr(import_module(f"orcapod.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*globals(), *__all__]
