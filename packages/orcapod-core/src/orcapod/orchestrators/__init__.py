"""Orchestrators: they run the nodes of a pipeline."""

from orcapod.orchestrators.asynchronous import AsyncPipelineOrchestrator
from orcapod.orchestrators.sync import SyncPipelineOrchestrator

__all__ = ["AsyncPipelineOrchestrator", "SyncPipelineOrchestrator"]
