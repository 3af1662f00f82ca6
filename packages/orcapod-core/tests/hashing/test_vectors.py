"""The pinned hashes: what was ever hashed keeps its hash.

Append-only. To add a vector, write it at the end of its file with an empty hash: the test fails and tells what to
write there. A hash that is there is never changed; another rule is another method, and another file.

``value``, ``schema`` and ``rows`` are Python expressions, since JSON knows neither -0.0 nor a tuple.
"""

import datetime
import decimal
import enum
import json
import math
import pathlib
import re
import uuid
import zoneinfo
from dataclasses import dataclass
from importlib import resources
from typing import Literal, TypedDict

import numpy
import pandas
import polars
import pyarrow
import pytest

from orcapod.hashing import ROW_METHOD, STRUCTURE_METHOD, ContentHash, hash_structure
from orcapod.sources import DictSource
from orcapod.types import AwareDatetime, logical_type


@logical_type(name="Window")
@dataclass
class Window:
    start: int
    stop: int | None = None


@logical_type(name="Note")
class Note:
    def __init__(self, text):
        self.text = text

    def to_bytes(self):
        return self.text.encode()

    @classmethod
    def from_bytes(cls, data):
        return cls(data.decode())


NAMES = {
    "AwareDatetime": AwareDatetime,
    "UTC": datetime.UTC,
    "ContentHash": ContentHash,
    "Colour": enum.Enum("Colour", {"RED": 1, "GREEN": 2}),
    "Decimal": decimal.Decimal,
    "Literal": Literal,
    "Note": Note,
    "PurePosixPath": pathlib.PurePosixPath,
    "Record": TypedDict("Record", {"a": int, "b": str | None}),
    "UUID": uuid.UUID,
    "Window": Window,
    "ZoneInfo": zoneinfo.ZoneInfo,
    "date": datetime.date,
    "datetime": datetime.datetime,
    "inf": math.inf,
    "nan": math.nan,
    "re": re,
    "np": numpy,
    "pa": pyarrow,
    "pd": pandas,
    "pl": polars,
    "time": datetime.time,
    "timedelta": datetime.timedelta,
}


def vectors(method):
    text = (resources.files("orcapod.testing") / "vectors" / f"{method}.json").read_text(encoding="utf-8")
    return [pytest.param(vector, id=vector["name"]) for vector in json.loads(text)]


def read(expression):
    return eval(expression, dict(NAMES))


@pytest.mark.parametrize("vector", vectors(ROW_METHOD))
def test_rows_keep_their_hashes(vector):
    source = DictSource(list(map(read, vector["rows"])), [], data_schema=read(vector["schema"]))
    found = [str(packet.content_hash()) for _, packet in source.iter_packets()]
    assert found == vector["hashes"]
    assert all(one.startswith(f"{ROW_METHOD}:") for one in found)


@pytest.mark.parametrize("vector", vectors(STRUCTURE_METHOD))
def test_structures_keep_their_hashes(vector):
    assert str(hash_structure(read(vector["value"]))) == vector["hash"]


@pytest.mark.parametrize("method", [ROW_METHOD, STRUCTURE_METHOD])
def test_no_two_vectors_have_one_name(method):
    names = [vector.id for vector in vectors(method)]
    assert len(set(names)) == len(names)
