"""Many rows: streams, and how they are derived from each other."""

from orcapod.streams.checked import checked_streams
from orcapod.streams.derived import DerivedStream, Producer, inputs_of, recording
from orcapod.streams.evaluation import evaluated, inputs_first
from orcapod.streams.stream import Stream
from orcapod.streams.verbs import Incomplete, Missing

__all__ = [
    "DerivedStream",
    "Incomplete",
    "Missing",
    "Producer",
    "Stream",
    "checked_streams",
    "evaluated",
    "inputs_first",
    "inputs_of",
    "recording",
]
