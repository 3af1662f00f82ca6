from orcapod.observers.composite import CompositeObserver
from orcapod.observers.drawing import is_watched
from orcapod.observers.logging import LoggingObserver
from orcapod.observers.progress import ProgressObserver
from orcapod.observers.status import StatusObserver
from orcapod.protocols import NoOpObserver

__all__ = ["CompositeObserver", "LoggingObserver", "NoOpObserver", "ProgressObserver", "StatusObserver", "is_watched"]
