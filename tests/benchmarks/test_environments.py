"""The benchmark of environments runs on a tiny size, and what it compares is equal. No time is asserted."""

import pytest

from benchmarks import environments

pytest.importorskip("gymnasium")


@pytest.mark.parametrize("count", [0, 3])
def test_the_returns_that_are_read_are_those_of_gymnasium(count, tmp_path):
    where = {"name": "CartPole-v1", "count": count, "folder": str(tmp_path), "steps": 120}
    bare, peer, ours = (environments.stepped(wrapper=wrapper, **where) for wrapper in ("bare", *environments._WRAPPERS))
    assert bare["returns"] == []
    assert environments._checked([(peer, ours)]) == f"{len(peer['returns'])} episodes"
    assert environments._checked([(bare, ours)]).startswith("failed")


def test_one_frame_and_a_frame_for_each(tmp_path):
    assert environments.batched(4, str(tmp_path), 3).keys() == {"one frame", "a frame for each"}
