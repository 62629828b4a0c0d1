"""The population stability index, and counting within bounds."""

from __future__ import annotations

import numpy as np
import orjson
import pytest

from services.scoring import drift, features
from services.scoring.model import OUTPUTS


def table(rows: int, seed: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    made = rng.normal(size=(rows, features.WIDTH)).astype(np.float32)
    made[:, 0] += shift
    made[:, 1] = 7.0
    return made, rng.random((rows, len(OUTPUTS))).astype(np.float32)


def test_psi_by_hand() -> None:
    # (0.6 - 0.5) * ln(0.6 / 0.5) + (0.4 - 0.5) * ln(0.4 / 0.5) = 0.0182322 + 0.0223144
    assert drift.psi(np.array([0.5, 0.5]), np.array([60.0, 40.0])) == pytest.approx(0.0405465, abs=1e-7)
    assert drift.psi(np.array([0.5, 0.5]), np.array([5.0, 5.0])) == 0.0


def test_what_moved_shows_and_what_did_not_does_not() -> None:
    card = {"snapshot": drift.snapshot(*table(20_000, 1))}
    trained = drift.read(card)
    assert trained is not None
    watch = drift.Watch(trained)
    watch.add(*table(drift.LEAST_ROWS - 1, 2, shift=2.0))
    assert watch.indices() == {}
    watch.add(*table(5_000, 3, shift=2.0))
    found = watch.indices()
    assert found[features.NAMES[0]] > drift.MOVED
    assert max(value for name, value in found.items() if name != features.NAMES[0]) < 0.1
    assert found[features.NAMES[1]] == 0.0, "a column that never changes"


def test_memory_is_bounded_and_the_past_fades() -> None:
    trained = drift.read({"snapshot": drift.snapshot(*table(5_000, 1))})
    assert trained is not None
    watch = drift.Watch(trained, window=4_000)
    for seed in range(4):
        watch.add(*table(1_000, seed, shift=3.0))
    moved = watch.indices()[features.NAMES[0]]
    for seed in range(40):
        watch.add(*table(1_000, seed))
    assert watch.indices()[features.NAMES[0]] < 0.1 < moved
    assert sum(len(count) for count in watch._counts) <= drift.BINS * len(drift.COLUMNS)


def test_the_snapshot_survives_the_card() -> None:
    told = drift.snapshot(*table(500, 1))
    again = drift.read({"snapshot": orjson.loads(orjson.dumps(told))})
    assert again is not None
    assert all(sum(shares) == pytest.approx(1, abs=1e-4) for shares in again.shares)


def test_a_card_without_the_snapshot_is_no_error() -> None:
    assert drift.read({}) is None
    assert drift.read({"snapshot": {"format": 99, "columns": {}}}) is None
