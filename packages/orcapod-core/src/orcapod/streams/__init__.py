"""Many rows: streams, and how they are derived from each other."""

from orcapod.streams.derived import DerivedStream, Producer, recording
from orcapod.streams.stream import Stream

__all__ = ["DerivedStream", "Producer", "Stream", "recording"]
