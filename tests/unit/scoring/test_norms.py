"""The population's norms: read, written, and refused where they are wrong."""

from __future__ import annotations

import numpy as np
import orjson
import pytest

from services.scoring.norms import LEAST_SHARE, Norms, NormsInvalid, read_norms, write_norms
from services.scoring.profile import KIND_SLOTS, KINDS
from tests.unit.scoring.builders import DEFAULTS


def test_what_is_written_is_read() -> None:
    share, volume = np.full(KIND_SLOTS, LEAST_SHARE), np.zeros(KIND_SLOTS)
    share[1], volume[13] = 0.5, 2048.0
    found = read_norms(write_norms(Norms({"a": 1.5}, share, volume)))
    assert found.values == {"a": 1.5}
    np.testing.assert_allclose(found.kind_share, share)
    np.testing.assert_allclose(found.kind_volume, volume)


def test_the_shipped_norms_know_all_kinds() -> None:
    found = read_norms((DEFAULTS / "norms.json").read_bytes())
    assert found.kind_share.sum() == pytest.approx(1.0, abs=1e-3)
    assert found.values.keys() == {"events_1h", "exports_24h", "exports_24h_extreme"}
    assert len(KINDS) <= KIND_SLOTS


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not JSON"),
        (b"[]", "version"),
        (b'{"version": 1, "norms": {}}', "version"),
        (orjson.dumps({"version": 2, "norms": {"a": "x"}, "kinds": {}}), "ValueError"),
        (orjson.dumps({"version": 2, "norms": {}}), "kinds"),
        (
            orjson.dumps({"version": 2, "norms": {}, "kinds": {"teleport": {"share": 1, "volume_kib": 1}}}),
            "ValueError",
        ),
        (orjson.dumps({"version": 2, "norms": {}, "kinds": {"play": {"share": 1}}}), "volume_kib"),
        (b'{"version": 2, "norms": {"a": 1e999}, "kinds": {}}', "JSON|number"),
    ],
)
def test_wrong_norms_are_refused_by_name(content: bytes, says: str) -> None:
    with pytest.raises(NormsInvalid, match=says):
        read_norms(content)
