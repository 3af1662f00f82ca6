"""What walks the nodes of a pipeline."""

from orcapod.orchestrators.sync import SyncPipelineOrchestrator

__all__ = ["SyncPipelineOrchestrator"]
