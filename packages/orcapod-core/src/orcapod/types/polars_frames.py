"""Frames and series of polars as values; loaded when polars is met in an annotation or a value."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from orcapod.types.tables import FrameType, register_frame

__all__ = ["PolarsFrameType", "PolarsSeriesType"]

_COMPATIBLE = pl.CompatLevel.oldest()  # the same for all versions of polars, since hashes are made of it


class PolarsFrameType(FrameType):
    """``polars.DataFrame``."""

    suffixes = (".csv", ".parquet", ".arrow")

    def write(self, value: Any) -> memoryview:
        sink = BytesIO()
        try:
            value.write_ipc_stream(sink, compat_level=_COMPATIBLE)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise ValueError(error) from None
        return sink.getbuffer()

    def read(self, data: Any) -> Any:
        try:
            return pl.read_ipc_stream(bytes(data))
        except pl.exceptions.PolarsError as error:
            raise ValueError(error) from None

    def export(self, value: Any, file: Path) -> None:
        if file.suffix == ".csv":
            value.write_csv(file)
        else:
            super().export(value, file)

    def difference(self, one: Any, other: Any) -> str:
        is_same = one.schema == other.schema and one.equals(other)
        return "" if is_same else "convert columns of objects"


class PolarsSeriesType(PolarsFrameType):
    """``polars.Series``: a frame of one column."""

    def write(self, value: Any) -> memoryview:
        return super().write(value.to_frame())

    def read(self, data: Any) -> Any:
        return super().read(data).to_series()

    def export(self, value: Any, file: Path) -> None:
        super().export(value.to_frame() if file.suffix == ".csv" else value, file)

    def difference(self, one: Any, other: Any) -> str:
        return super().difference(one.to_frame(), other.to_frame())


for _python, _dtype in ((pl.DataFrame, PolarsFrameType), (pl.Series, PolarsSeriesType)):
    register_frame(_python, _dtype(_python))
