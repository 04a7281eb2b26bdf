from __future__ import annotations

import copy
import pickle

import pytest

from trainlog import Header, Kind, Variable


def test_the_four_kinds() -> None:
    assert [(str(kind), int(kind)) for kind in Kind] == [
        ("evolution", 1),
        ("stats", 2),
        ("event", 3),
        ("creature", 4),
    ]


@pytest.mark.parametrize("name", ["stats", "STATS", "Stats", 2, Kind.STATS])
def test_a_kind_by_any_of_its_names(name: str | int) -> None:
    assert Kind.of(name) is Kind.STATS


def test_an_unknown_kind_keeps_its_number() -> None:
    kind = Kind(7)
    assert kind == 7
    assert str(kind) == "kind_7"
    assert Kind(7) is kind is Kind.of("kind_7")
    assert pickle.loads(pickle.dumps(kind)) is kind
    assert copy.deepcopy(kind) is kind
    assert list(Kind) == [1, 2, 3, 4]


@pytest.mark.parametrize("name", ["walk", "kind_", "kind_256", -1, 256, 1.5, None])
def test_what_is_no_kind(name: object) -> None:
    with pytest.raises(ValueError, match=r"kind|valid Kind"):
        Kind(name)  # type: ignore[arg-type]


def test_a_variable_is_called_by_its_name_unless_it_has_a_key() -> None:
    assert Variable("v").key == "v"
    assert Variable("v", "state", key="state/v").key == "state/v"


def test_a_header_has_no_surprises() -> None:
    assert Header() == Header({}, 0, ())
