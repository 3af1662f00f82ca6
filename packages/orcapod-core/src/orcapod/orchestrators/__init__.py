"""Orchestrators: they run the nodes of a pipeline."""

from orcapod.execution import Channel
from orcapod.orchestrators.asynchronous import AsyncPipelineOrchestrator
from orcapod.orchestrators.sync import SyncPipelineOrchestrator

__all__ = ["AsyncPipelineOrchestrator", "Channel", "SyncPipelineOrchestrator"]
