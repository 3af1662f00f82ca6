from orcapod.ui.application import app
from orcapod.ui.server import serve

__all__ = ["app", "serve"]
