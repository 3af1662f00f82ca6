"""Errors say what they speak of, to people and to programs, also after a journey between processes."""

from __future__ import annotations

import copy
import pickle

import pytest

from orcapod import errors
from orcapod.errors import ConfigError, LabelError, OrcapodError, PluginError, RecordTooLargeError

EVERY = [getattr(errors, name) for name in errors.__all__]
ABOUT = {"column": "x", "row": 3, "expected": "int", "found": "'a'", "node": "f", "source_id": "s"}


@pytest.mark.parametrize("kind", EVERY)
def test_every_error_carries_what_it_speaks_of_and_keeps_it_when_copied(kind: type[OrcapodError]) -> None:
    about = {"column": "x"} if kind is RecordTooLargeError else ABOUT
    error = kind("column 'x' is odd", **about)  # type: ignore[arg-type]
    for each in (error, copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(each) is kind
        assert str(each) == "column 'x' is odd"
        assert {name: getattr(each, name) for name in about} == about


@pytest.mark.parametrize("kind", EVERY)
def test_what_an_error_does_not_speak_of_is_none(kind: type[OrcapodError]) -> None:
    error = kind("odd")
    assert [getattr(error, name) or None for name in ABOUT] == [None] * len(ABOUT)


def test_names_and_options_without_meaning_are_configuration_errors_and_labels_are_keys() -> None:
    assert issubclass(PluginError, ConfigError)
    assert issubclass(PluginError, LookupError)
    assert issubclass(errors.UnknownOptionError, ConfigError)
    assert issubclass(errors.UnknownOptionError, errors.ExecutionError)
    assert issubclass(LabelError, KeyError)
    assert issubclass(LabelError, AttributeError)
