"""Frames' data of any kind, as hypothesis draws it."""

from __future__ import annotations

from hypothesis import strategies as st

json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.integers(-200, 200),
        st.floats(),
        st.text(max_size=5),
        st.sampled_from(["run", "walk", "stand"]),
        st.binary(max_size=3),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
        st.lists(st.floats(), min_size=2, max_size=2),
        st.lists(st.integers(0, 300), min_size=2, max_size=2),
    ),
    max_leaves=5,
)
frame_data = st.dictionaries(st.sampled_from(["step", "reward", "pos", "mode", "x"]), json_values, max_size=4)
