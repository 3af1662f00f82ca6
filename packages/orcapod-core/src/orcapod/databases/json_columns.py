"""Nested values as JSON, which every SQL tool reads: lists, structs and maps of plain values, where that is exact.

Numbers are numbers, and where JSON has none, ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``; dates and times count from
1970, as columns of them do. A map is an object, or a list of pairs where its keys are no texts. Types that hold bytes,
or of which JSON would be another value, have no JSON, and are stored as the canonical bytes of ``orcapod.types.codec``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from types import NoneType
from typing import Any

import pyarrow as pa

from orcapod.arrow import array_of, scalar_of
from orcapod.compute import pc

__all__ = ["from_json", "has_json", "to_json"]

_WHOLE = (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())
_TICKS = {
    pa.date32(): pa.int32(),
    pa.timestamp("us"): pa.int64(),
    pa.timestamp("us", "UTC"): pa.int64(),
    pa.time64("us"): pa.int64(),
    pa.duration("us"): pa.int64(),
}
_ESCAPES = [("\\", "\\\\"), ('"', '\\"')] + [(chr(code), f"\\u{code:04x}") for code in range(32)]
_ODD_NUMBERS = {"nan": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"'}
_TEXT = pa.large_string()
_NUMBERS = [make(item) for make in (pa.list_, pa.large_list) for item in (*_WHOLE, pa.float64())]


def has_json(type_: Any) -> bool:
    """Say whether values of a nested type are exactly their JSON."""
    return pa.types.is_nested(type_) and _is_exact(type_)


def to_json(array: Any, escape: Callable[[Any], Any] = lambda texts: texts) -> pa.Array[Any]:
    """Return nested values as JSON; null for null.

    Args:
        array: of a type that ``has_json``.
        escape: what is done to texts within, before.
    """
    texts: pa.Array[Any] = pc.if_else(array.is_valid(), _tokens(array, escape), _text(None))
    return texts


def from_json(texts: Sequence[str | None], type_: Any) -> pa.Array[Any]:
    """Return the values of which ``to_json`` made these.

    Raises:
        ValueError: it made none of them, not of this type.
        pa.ArrowException: likewise.
    """
    if type_ in _NUMBERS:
        return _numbers(array_of(texts, _TEXT), type_)
    text = f"[{','.join('null' if each is None else each for each in texts)}]"
    try:
        values = json.loads(text)
        if len(values) != len(texts):
            raise ValueError(f"expected {len(texts)} values, found {len(values)}")
        _check_lists(values, type_)
        if _has_maps(type_) or any(odd in text for odd in _ODD_NUMBERS.values()):
            values = [_restored(value, type_) for value in values]
    except (RecursionError, AttributeError) as error:
        raise ValueError(f"expected {type_!s:.100}: {error}") from None
    array: pa.Array[Any] = array_of(values, type_)
    return array


def _check_lists(values: Sequence[Any], type_: Any) -> None:
    """Check that there are lists where they are to be: of a text, Arrow makes a list of its letters.

    Raises:
        ValueError: there is something else.
    """
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        if other := {*map(type, values)} - {list, NoneType}:
            raise ValueError(f"expected lists, found {other.pop().__name__}")
        if pa.types.is_nested(type_.value_type):
            _check_lists([item for value in values for item in value or ()], type_.value_type)
    elif pa.types.is_struct(type_):
        for field in type_:
            if pa.types.is_nested(field.type):
                _check_lists([value.get(field.name) for value in values if value is not None], field.type)


def _is_exact(type_: Any) -> bool:
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return _is_exact(type_.value_type)
    if pa.types.is_struct(type_):
        names = [field.name for field in type_]
        return len({*names}) == len(names) > 0 and all(_is_exact(field.type) for field in type_)
    if pa.types.is_map(type_):
        return _is_exact(type_.key_type) and _is_exact(type_.item_type)
    return type_ in (*_WHOLE, *_TICKS, pa.bool_(), pa.float64(), pa.string(), _TEXT)


def _tokens(array: Any, escape: Callable[[Any], Any]) -> Any:
    """Return the JSON of every value of a column, ``null`` for null."""
    type_ = array.type
    if pa.types.is_map(type_):
        lists = array.cast(pa.large_list(pa.struct([("key", type_.key_type), ("item", type_.item_type)])))
        keys, items = lists.flatten().flatten()
        pairs = _tokens(keys, escape), _tokens(items, escape)
        if _are_names(lists, keys):
            tokens = _list(lists, _joined(pairs[0], ":", pairs[1]), "{", "}")
        else:
            tokens = _list(lists, _joined("[", pairs[0], ",", pairs[1], "]"))
    elif pa.types.is_list(type_) or pa.types.is_large_list(type_):
        tokens = _list(array, _tokens(array.flatten(), escape))
    elif pa.types.is_struct(type_):
        parts: list[Any] = []
        for field, values in zip(type_, array.flatten(), strict=True):
            (name,) = _quoted(escape(array_of([field.name], _TEXT))).to_pylist()
            parts += [f"{',' if parts else '{'}{name}:", _tokens(values, escape)]
        tokens = _joined(*parts, "}")
    elif pa.types.is_string(type_) or pa.types.is_large_string(type_):
        tokens = _quoted(escape(array).cast(_TEXT))
    elif pa.types.is_floating(type_):
        tokens = array.cast(_TEXT)
        if not pc.all(pc.is_finite(array), min_count=0).as_py():
            for written, token in _ODD_NUMBERS.items():
                tokens = pc.if_else(pc.equal(tokens, _text(written)), _text(token), tokens)
        tokens = pc.if_else(pc.equal(tokens, _text("-0")), _text("-0.0"), tokens)
    else:
        tokens = (array.view(_TICKS[type_]) if type_ in _TICKS else array).cast(_TEXT)
    return pc.if_else(array.is_valid(), tokens, _text("null")) if array.null_count else tokens


def _are_names(lists: Any, keys: Any) -> bool:
    """Say whether the keys of maps are texts, none of them twice in one."""
    if not (pa.types.is_string(keys.type) or pa.types.is_large_string(keys.type)):
        return False
    entries = pa.table({"map": pc.list_parent_indices(lists), "key": keys})
    return bool(entries.group_by(["map", "key"], use_threads=False).aggregate([]).num_rows == len(keys))


def _list(array: Any, items: Any, begin: str = "[", end: str = "]") -> Any:
    """Return the JSON of lists, given that of all their items one after the other."""
    offsets = pa.concat_arrays([array_of([0], pa.int64()), pc.cumulative_sum(_counts(array))])
    return _joined(begin, pc.binary_join(pa.LargeListArray.from_arrays(offsets, items), _text(",")), end)


def _quoted(texts: Any) -> Any:
    for character, written in _ESCAPES[: 2 if _are_printable(texts) else None]:
        texts = pc.replace_substring(texts, character, written)
    return _joined('"', texts, '"')


def _text(text: str | None) -> Any:
    return scalar_of(text, _TEXT)


def _are_printable(texts: Any) -> bool:
    return not pc.any(pc.match_substring_regex(texts, "[\\x00-\\x1f]")).as_py()


def _joined(*parts: Any) -> Any:
    texts = (_text(part) if isinstance(part, str) else part for part in parts)
    return pc.binary_join_element_wise(*texts, _text(""))


def _numbers(texts: Any, type_: Any) -> pa.Array[Any]:
    """Return lists of numbers, column-wise."""
    if not pc.all(pc.match_substring_regex(texts, r"^\[.*\]$"), min_count=0).as_py():
        raise ValueError("expected lists")
    bodies = pc.if_else(pc.equal(texts, _text("[]")), _text(None), pc.utf8_trim(texts, "[]"))
    parts = pc.split_pattern(bodies, ",")
    numbers = pc.utf8_trim(parts.flatten(), '"')
    offsets = pa.concat_arrays([array_of([0], pa.int64()), pc.cumulative_sum(_counts(parts))])
    items = pc.if_else(pc.equal(numbers, _text("null")), _text(None), numbers).cast(type_.value_type)
    lists: pa.Array[Any] = pa.LargeListArray.from_arrays(offsets, items, mask=texts.is_null())
    return lists.cast(type_)


def _counts(lists: Any) -> Any:
    return pc.fill_null(pc.list_value_length(lists).cast(pa.int64()), scalar_of(0, pa.int64()))


def _has_maps(type_: Any) -> bool:
    return pa.types.is_map(type_) or any(_has_maps(type_.field(at).type) for at in range(type_.num_fields))


def _restored(value: Any, type_: Any) -> Any:
    """Return what JSON has read, with pairs for maps, and floats for the texts that stand for those it has not."""
    if value is None:
        return None
    if pa.types.is_struct(type_):
        return {field.name: _restored(value.get(field.name), field.type) for field in type_}
    if pa.types.is_map(type_):
        pairs = value.items() if isinstance(value, dict) else value
        return [(_restored(key, type_.key_type), _restored(item, type_.item_type)) for key, item in pairs]
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return [_restored(item, type_.value_type) for item in value]
    return float(value) if type_ == pa.float64() else value
