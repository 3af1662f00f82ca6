"""What walks the nodes of a pipeline."""

from orcapod.orchestrators.asynchronous import AsyncPipelineOrchestrator
from orcapod.orchestrators.channels import ChannelStatistics, Inbox
from orcapod.orchestrators.sync import SyncPipelineOrchestrator

__all__ = ["AsyncPipelineOrchestrator", "ChannelStatistics", "Inbox", "SyncPipelineOrchestrator"]
