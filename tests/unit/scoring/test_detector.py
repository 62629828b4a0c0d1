"""The detector: finds what is planted, reads no label, does not mind scales, duplicates, constants and gaps."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from services.scoring import detector
from services.scoring.detector import Sizes

SMALL = Sizes(linear_trees=30, root_trees=10, draws=8, reference_rows=200)


def planted(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """400 ordinary rows and 20 anomalies of one kind."""
    rng = np.random.default_rng(8)
    ordinary = np.concatenate([rng.normal(0, 1, (200, 4)), rng.normal(8, 1, (200, 4))])
    anomalies = {
        "far": lambda: rng.normal(0, 1, (20, 4)) + 30,
        "between": lambda: rng.normal(4, 0.5, (20, 4)),
        "together": lambda: rng.normal([16, -8, 16, -8], 0.05, (20, 4)),
    }[kind]()
    return np.concatenate([ordinary, anomalies]), np.repeat([0, 1], [400, 20])


@pytest.mark.parametrize("kind", ["far", "between", "together"])
def test_planted_anomalies_are_found(kind: str) -> None:
    rows, labels = planted(kind)
    scores = detector.fit_score(rows, SMALL, 1)
    assert roc_auc_score(labels, scores) > 0.97
    assert scores.min() >= 0
    assert scores.max() <= 1


def test_new_rows_are_scored_like_those_of_the_training() -> None:
    rows, _ = planted("far")
    found = detector.fit(rows[:400], SMALL, 1)
    assert found.score(rows[400:].astype(np.float32)).min() > np.quantile(
        found.score(rows[:400].astype(np.float32)), 0.99
    )


def test_units_do_not_matter() -> None:
    rows, labels = planted("between")
    scaled = rows * np.array([1e-6, 1, 1e6, 1e3]) + np.array([5, 0, -1e6, 0])
    assert roc_auc_score(labels, detector.fit_score(scaled, SMALL, 1)) > 0.97


def test_the_same_seed_gives_the_same_scores() -> None:
    rows, _ = planted("far")
    np.testing.assert_array_equal(detector.fit_score(rows, SMALL, 3), detector.fit_score(rows, SMALL, 3))


@pytest.mark.parametrize(
    "rows",
    [
        np.zeros((5, 3)),
        np.repeat([[1.0, 2.0]], 50, axis=0),
        np.concatenate([np.zeros((300, 2)), [[9.0, 9.0]]]),
        np.array([[np.nan, 1], [np.inf, 2], [3, -np.inf], [4, 5]]),
        np.full((6, 2), np.nan),
        np.array([[1e300, 0], [0, 1], [1, 0]]),
    ],
)
def test_degenerate_tables_are_scored(rows: np.ndarray) -> None:
    scores = detector.fit_score(rows, SMALL, 1)
    assert scores.shape == (len(rows),)
    assert np.isfinite(scores).all()


def test_an_outlier_among_duplicates_is_the_most_unusual() -> None:
    rows = np.concatenate([np.zeros((300, 2)), np.ones((300, 2)), [[9.0, 9.0]]])
    assert detector.fit_score(rows, SMALL, 1).argmax() == 600


@pytest.mark.parametrize("rows", [np.zeros((0, 3)), np.zeros((3, 0)), np.zeros(3)])
def test_empty_tables_are_refused(rows: np.ndarray) -> None:
    with pytest.raises(ValueError, match="rows and columns"):
        detector.fit_score(rows, SMALL, 1)


def test_average_path_by_hand() -> None:
    # c(2) = 1; c(3) = 2 (ln 2 + 0.5772156649) - 4/3 (Liu, Ting, Zhou 2008, equation 1)
    found = detector.average_path(np.array([1, 2, 3]))
    np.testing.assert_allclose(found, [0.0, 1.0, 2 * (np.log(2) + 0.5772156649) - 4 / 3], rtol=1e-9)


def test_calibration_goes_through_its_quantiles() -> None:
    line = detector.calibrate(np.linspace(0.0, 1000.0, 100_001))
    np.testing.assert_allclose(
        line.apply(np.array([-5.0, 0.0, 500.0, 900.0, 990.0, 2000.0])), [0, 0, 0.2, 0.5, 0.8, 1.0], atol=1e-4
    )


def test_weights_are_shares() -> None:
    assert sum(detector.WEIGHTS.values()) == pytest.approx(1.0)
