"""Execution of a packet function: looked up, called, stored, given on."""

from orcapod.execution.channel import Channel
from orcapod.execution.channels import InputChannels, OrderedInputChannels, checked_buffer_size
from orcapod.execution.concurrent import ConcurrentDriver, receiver
from orcapod.execution.failure_kinds import FailureKind, failure_kinds
from orcapod.execution.failure_text import INTERRUPTIONS, FailureText
from orcapod.execution.function_spec import Cache, FunctionSpec
from orcapod.execution.in_flight import InFlight
from orcapod.execution.inputs import Inputs, WholeInputs
from orcapod.execution.packet_error import Location, PacketError, PacketErrors
from orcapod.execution.packet_tally import FirstFailure, PacketTally
from orcapod.execution.run_loop import RunLoop
from orcapod.execution.selection import EVERYTHING, Recomputed, Selection
from orcapod.execution.sequential import SequentialDriver
from orcapod.execution.sessions import ThreadSession, local_session
from orcapod.execution.shared_work import SharedWork
from orcapod.execution.step import Step
from orcapod.execution.stored_rows import StoredRows, found_results
from orcapod.execution.where import checked_where

__all__ = [
    "EVERYTHING",
    "INTERRUPTIONS",
    "Cache",
    "Channel",
    "ConcurrentDriver",
    "FailureKind",
    "FailureText",
    "FirstFailure",
    "FunctionSpec",
    "InFlight",
    "InputChannels",
    "Inputs",
    "Location",
    "OrderedInputChannels",
    "PacketError",
    "PacketErrors",
    "PacketTally",
    "Recomputed",
    "RunLoop",
    "Selection",
    "SequentialDriver",
    "SharedWork",
    "Step",
    "StoredRows",
    "ThreadSession",
    "WholeInputs",
    "checked_buffer_size",
    "checked_where",
    "failure_kinds",
    "found_results",
    "local_session",
    "receiver",
]
