"""``python -m orcapod.ui --store lab.db``: the page of a store, until Ctrl-C."""

from argparse import ArgumentParser

from orcapod.errors import OrcapodError
from orcapod.ui import serve

parser = ArgumentParser("python -m orcapod.ui", description="Serve the page of a store to a browser on this machine.")
parser.add_argument("--store", required=True, help="a URL, or the path of an SQLite file")
parser.add_argument("--port", type=int, default=0, help="any that is free if not given")
parser.add_argument("--no-browser", action="store_true", help="only print the address")
given = parser.parse_args()
try:
    serve(given.store, port=given.port, open_browser=not given.no_browser)
except OrcapodError as error:
    parser.exit(2, f"{error}\n")
