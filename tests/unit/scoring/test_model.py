"""The shipped model, its card, and the graph against scikit-learn."""

from __future__ import annotations

import hashlib

import numpy as np
import orjson
import pytest

from services.scoring import export, features, train
from services.scoring.model import Ensemble, ModelInvalid
from tests.unit.scoring.builders import DEFAULTS

MODEL = (DEFAULTS / "ensemble.onnx").read_bytes()
CARD = (DEFAULTS / "ensemble.json").read_bytes()


def rows(count: int, seed: int = 3) -> features.Floats:
    """Feature rows over the whole of each range, most of them near its lower end."""
    rng = np.random.default_rng(seed)
    span = np.array([feature.maximum for feature in features.REGISTRY])
    drawn = rng.random((count, features.WIDTH)) ** 4 * span
    whole = span <= 16
    drawn[:, whole] = np.round(drawn[:, whole], 2)
    return drawn.astype(np.float32)


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    return Ensemble(MODEL, CARD)


def test_the_shipped_model_is_small_and_scores_from_0_to_1(ensemble: Ensemble) -> None:
    assert len(MODEL) < 1 << 20
    scores = ensemble.run(rows(500))
    assert scores.shape == (500, 4)
    assert scores.min() >= 0
    assert scores.max() <= 1
    np.testing.assert_array_equal(scores[:, 0], (scores[:, 1] + scores[:, 2]) * np.float32(0.5))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 64, 255])
def test_a_row_scores_alike_in_batches_of_any_size(ensemble: Ensemble, size: int) -> None:
    drawn = rows(256)
    whole = ensemble.run(drawn)
    pieces = np.concatenate([ensemble.run(drawn[i : i + size]) for i in range(0, 256, size)])
    np.testing.assert_array_equal(pieces.view(np.uint32), whole.view(np.uint32))


def test_legal_facts_move_the_violation_likelihood_only(ensemble: Ensemble) -> None:
    drawn = rows(200)
    turned = drawn.copy()
    turned[:, features.ANOMALY_FEATURES :] = (
        np.array([5000, 1, 1, 1], np.float32) - drawn[:, features.ANOMALY_FEATURES :]
    )
    np.testing.assert_array_equal(ensemble.run(drawn)[:, :3], ensemble.run(turned)[:, :3])


def test_the_graph_equals_scikit_learn_on_ten_thousand_rows() -> None:
    rng = np.random.default_rng(11)
    count = 6_000
    drawn = rows(count, seed=5)
    plan = train.Plan(neighbour_points=500, boosting_trees=40, most_rows=3_000)
    violating = (drawn[:, 6] > 20) | (rng.random(count) < 0.05)
    traffic = train.Traffic(
        drawn, np.linspace(0, plan.days, count), violating, violating, [""] * count, rng.integers(0, 8, count)
    )
    fitted = train.fit(plan, traffic)
    graph = export.build(fitted)
    card = orjson.loads(CARD) | {"sha256": hashlib.sha256(graph).hexdigest()}
    asked = rows(10_000, seed=6)
    found = Ensemble(graph, orjson.dumps(card)).run(asked)
    np.testing.assert_allclose(found, train.reference(fitted, asked), atol=1e-5, rtol=0)


def test_thresholds_round_down_so_that_the_same_floats_go_left() -> None:
    for threshold in (0.1, 1 / 3, -0.1, 1e-9, 12345.678):
        rounded = export.below(threshold)
        assert rounded <= threshold < float(np.nextafter(np.float32(rounded), np.float32(np.inf)))


def test_average_path_by_hand() -> None:
    # c(2) = 1; c(3) = 2 (ln 2 + 0.5772156649) - 4/3 (Liu, Ting, Zhou 2008, equation 1)
    found = export.average_path(np.array([1, 2, 3]))
    np.testing.assert_allclose(found, [0.0, 1.0, 2 * (np.log(2) + 0.5772156649) - 4 / 3], rtol=1e-9)


def test_calibration_goes_through_its_quantiles() -> None:
    line = train.calibrate(np.linspace(0.0, 1000.0, 100_001))
    np.testing.assert_allclose(
        line.apply(np.array([-5.0, 0.0, 500.0, 900.0, 990.0, 2000.0])), [0, 0, 0.2, 0.5, 0.8, 1.0], atol=1e-4
    )


def broken_card(**changes: object) -> bytes:
    return orjson.dumps(orjson.loads(CARD) | changes)


@pytest.mark.parametrize(
    ("model", "card", "says"),
    [
        (MODEL[:-1], CARD, "SHA-256"),
        (MODEL, b"{", "not JSON"),
        (MODEL, b"[]", "format"),
        (MODEL, broken_card(format=2), "format"),
        (MODEL, broken_card(sha256=None), "SHA-256"),
        (MODEL, broken_card(inputs=["events_1h"]), "inputs"),
        (MODEL, broken_card(registry_version=0), "registry_version"),
        (b"\x08", broken_card(sha256=hashlib.sha256(b"\x08").hexdigest()), "does not load"),
    ],
)
def test_models_that_must_not_decide_are_refused(model: bytes, card: bytes, says: str) -> None:
    with pytest.raises(ModelInvalid, match=says):
        Ensemble(model, card)


def test_the_card_states_what_was_measured() -> None:
    card = orjson.loads(CARD)
    metrics = card["metrics"]
    assert max(metrics["greatest_difference"].values()) <= 1e-5
    assert metrics["difference_rows"] == 10_000
    assert 0.5 < metrics["anomaly_auc"] < 1
    assert metrics["rows"] > 100_000
