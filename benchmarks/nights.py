"""Count what nightly runs on Delta Lake ask of object storage, on a server of S3 on this machine (moto).

Usage: nights.py [--nights 30] [--rows 2000] [--changed 100] [--folder STORE]

Every night opens the store anew, as a process of its own does. In the last one nothing is new. With ``--folder`` the
store is a folder, and the processor time of each night is all that is told.
"""

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orcapod as op
from orcapod.databases import open_database
from orcapod.observers import LoggingObserver
from orcapod.sources import DictSource

SERVER = """
import sys
from werkzeug.serving import WSGIRequestHandler
from moto.server import ThreadedMotoServer
import boto3
requests = open(sys.argv[1], "a", buffering=1)
WSGIRequestHandler.log_request = lambda self, *_: requests.write(f"{self.command} {self.path}\\n")
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
host, port = server.get_host_and_port()
url = f"http://127.0.0.1:{port}"
boto3.client("s3", endpoint_url=url, region_name="us-east-1").create_bucket(Bucket="lab")
print(url, flush=True)
sys.stdin.read()
"""


@op.function_pod("bmi")
def bmi(weight: float) -> float:
    return weight / 4


@op.function_pod("rate")
def rate(bmi: float) -> float:
    return bmi * 2


@op.function_pod("mean")
def mean(rate: list[float]) -> float:
    return sum(rate) / len(rate)


def run_night(url: str, weights: dict[int, float]) -> None:
    """Everything that a nightly job does, from opening the store to closing it."""
    rows = [{"id": number, "site": number % 10, "weight": weight} for number, weight in weights.items()]
    with open_database(url) as database:
        pipeline = op.Pipeline("study", database)
        with pipeline:
            patients = DictSource(rows, ["id", "site"], source_id="patients", record_id_column="id")
            rates = rate.pod(bmi.pod(patients, label="bmi"), label="rate")
            mean.pod(rates.group_by(["site"]), label="mean")
        pipeline.run(observer=LoggingObserver(pipeline.log_database))


@contextmanager
def served(requests: Path) -> Iterator[None]:
    """Have a server of S3, which writes a line for every request, and an environment that leads to it."""
    requests.touch()
    os.environ |= {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "us-east-1"}
    command = [sys.executable, "-c", SERVER, str(requests)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        os.environ |= {"AWS_ENDPOINT_URL": server.stdout.readline().strip(), "AWS_ALLOW_HTTP": "true"}
        yield
        server.communicate("")


def kind_of(request: str) -> str:
    """Return what is asked for, and whether it is the log of a table or anything else."""
    verb, path = request.split(maxsplit=1)
    return f"{'LIST' if 'list-type' in path else verb} {'log' if '_delta_log' in path else 'data'}"


def main() -> None:
    """Print a line for every night."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--changed", type=int, default=100)
    parser.add_argument("--folder", type=Path, help="a folder for the store, instead of a bucket")
    options = parser.parse_args()
    values = itertools.count(1.0)
    weights = {number: next(values) for number in range(options.rows)}

    with tempfile.TemporaryDirectory() as folder:
        requests = Path(folder) / "requests"
        with served(requests):
            for night in range(1, options.nights + 2):
                before, began = len(requests.read_text().splitlines()), time.process_time()
                run_night(f"delta:///{options.folder}" if options.folder else "delta+s3://lab/store", weights)
                sent = requests.read_text().splitlines()[before:]
                print(
                    f"{night:3} {time.process_time() - began:5.2f} s {len(sent):6}", dict(Counter(map(kind_of, sent)))
                )
                if night < options.nights:
                    changed = range(night * options.changed, (night + 1) * options.changed)
                    weights |= {number % options.rows: next(values) for number in changed}


if __name__ == "__main__":
    main()
