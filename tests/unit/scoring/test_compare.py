"""Champion and challenger."""

from __future__ import annotations

import numpy as np

from services.scoring import compare


def scored(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    viewer = np.repeat(np.arange(200), 10)
    labels = rng.random(2_000) < 0.05
    return labels, viewer, rng.random(2_000)


def test_a_challenger_that_knows_beats_one_that_guesses() -> None:
    labels, viewer, noise = scored(1)
    found = compare.compare(labels, noise, labels + noise * 0.1, viewer, 1, resamples=100)
    assert found.better
    assert found.challenger == 1.0
    assert 0 < found.low < found.challenger - found.champion < found.high


def test_the_same_scores_are_not_better_and_neither_is_chance() -> None:
    labels, viewer, noise = scored(2)
    assert not compare.compare(labels, noise, noise, viewer, 1, resamples=100).better
    better = 0
    for seed in range(10):
        labels, viewer, noise = scored(seed)
        other = np.random.default_rng(seed + 100).random(2_000)
        better += compare.compare(labels, noise, other, viewer, seed, resamples=100).better
    assert better <= 2, "chance wins once in forty"


def test_too_few_violations_promote_nothing() -> None:
    labels, viewer, noise = scored(3)
    labels[:] = False
    labels[:19] = True
    found = compare.compare(labels, noise, labels.astype(float), viewer, 1)
    assert not found.better
    assert "too little" in found.reason
