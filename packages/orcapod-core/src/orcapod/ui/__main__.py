"""``python -m orcapod.ui --store lab.db``: the page of a store, until Ctrl-C."""

from argparse import ArgumentParser

from orcapod.ui.server import serve

parser = ArgumentParser("python -m orcapod.ui", description="Serve the page of a store on this machine.")
parser.add_argument("--store", required=True, help="a URL, or the path of an SQLite file")
parser.add_argument("--port", type=int, default=0, help="any that is free if not given")
parser.add_argument("--no-browser", action="store_true", help="print the address only")
given = parser.parse_args()
serve(given.store, port=given.port, open_browser=not given.no_browser)
