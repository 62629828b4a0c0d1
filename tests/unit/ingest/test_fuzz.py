"""A short run of bench.fuzz, and the same promise by hypothesis: nothing crashes, each input ends in exactly one way."""

from __future__ import annotations

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.fuzz import end_of_bytes, end_of_json, run

_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)


def test_made_up_inputs_end_in_exactly_one_way() -> None:
    ends = run(seconds=60, seed=20261125, most=4_000)
    assert ends.total() == 4_000
    # Both edges, and every ending.
    assert {
        "JSON decidable",
        "JSON failed",
        "JSON refused",
        "bytes decidable",
        "bytes failed",
        "bytes refused",
    } <= set(ends)


@settings(max_examples=200, deadline=None)
@given(_VALUES)
def test_any_json_ends(value: object) -> None:
    assert end_of_json(orjson.dumps(value)) in ("refused", "failed", "decidable", "decidable+failed")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_end(data: bytes) -> None:
    assert end_of_json(data) in ("refused", "failed", "decidable", "decidable+failed")
    assert end_of_bytes(data) in ("refused", "failed", "decidable", "decidable+failed")
