"""Shapley values: against their definition, against the shap package, and adding up; trees that are refused."""

from __future__ import annotations

from itertools import combinations
from math import factorial

import numpy as np
import orjson
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from services.scoring import export, features
from services.scoring.trees import Explainer, Tree, Trees, TreesInvalid, output, read_trees, write_trees
from tests.unit.scoring.builders import DEFAULTS

SHA = orjson.loads((DEFAULTS / "ensemble.json").read_bytes())["sha256"]
TREES = (DEFAULTS / "trees.json").read_bytes()


def tree(*nodes: tuple[int, float, int, int, float, float]) -> Tree:
    columns = [np.array(column) for column in zip(*nodes, strict=True)]
    return Tree(*columns)


# 10 rows; x0 <= 1: 6 of them, of which x1 <= 5: 2.
SMALL = tree(
    (0, 1.0, 1, 2, 0.0, 10.0),
    (1, 5.0, 3, 4, 0.0, 6.0),
    (-1, 0.0, -1, -1, 4.0, 4.0),
    (-1, 0.0, -1, -1, 1.0, 2.0),
    (-1, 0.0, -1, -1, -2.0, 4.0),
)


def expected(one: Tree, row: np.ndarray, known: set[int], node: int = 0) -> float:
    # The mean of the tree where the features of `known` are those of the row (Lundberg 2018, algorithm 1).
    if one.left[node] < 0:
        return float(one.value[node])
    left, right, feature = int(one.left[node]), int(one.right[node]), int(one.feature[node])
    if feature in known:
        return expected(one, row, known, left if row[feature] <= one.threshold[node] else right)
    a, b = (expected(one, row, known, child) * float(one.cover[child]) for child in (left, right))
    return (a + b) / float(one.cover[node])


def by_definition(one: Tree, row: np.ndarray) -> np.ndarray:
    m = len(row)
    values = np.zeros(m)
    for i in range(m):
        rest = [f for f in range(m) if f != i]
        for size in range(m):
            for chosen in combinations(rest, size):
                weight = factorial(size) * factorial(m - size - 1) / factorial(m)
                more = expected(one, row, {*chosen, i}) - expected(one, row, set(chosen))
                values[i] += weight * more
    return values


@pytest.mark.parametrize("row", [[0, 0, 9], [0, 9, 9], [2, 0, 9], [1, 5, 0]])
def test_values_are_those_of_the_definition(row: list[float]) -> None:
    asked = np.array(row, np.float32)
    found = Explainer(Trees((SMALL,), 0.5))
    np.testing.assert_allclose(found.values(asked), by_definition(SMALL, asked), atol=1e-12)
    # 0.5 and 4 * 0.4 + 1 * 0.2 - 2 * 0.4
    assert found.mean == pytest.approx(1.5)


def test_a_feature_that_is_asked_twice_counts_once() -> None:
    twice = tree(
        (0, 4.0, 1, 2, 0.0, 8.0),
        (0, 2.0, 3, 4, 0.0, 5.0),
        (1, 1.0, 5, 6, 0.0, 3.0),
        (-1, 0.0, -1, -1, 1.0, 2.0),
        (-1, 0.0, -1, -1, 3.0, 3.0),
        (-1, 0.0, -1, -1, -1.0, 1.0),
        (-1, 0.0, -1, -1, 5.0, 2.0),
    )
    for row in ([1.0, 0.0], [3.0, 0.0], [9.0, 0.0], [9.0, 2.0]):
        asked = np.array(row, np.float32)
        np.testing.assert_allclose(
            Explainer(Trees((twice,), 0.0)).values(asked), by_definition(twice, asked), atol=1e-12
        )


@pytest.fixture(scope="module")
def boosted() -> tuple[HistGradientBoostingClassifier, np.ndarray]:
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(3_000, 6)).astype(np.float32)
    labels = (rows[:, 0] * rows[:, 1] + rows[:, 2] + rng.normal(0, 0.3, 3_000)) > 0.5
    return HistGradientBoostingClassifier(max_iter=25, max_leaf_nodes=15, early_stopping=False).fit(
        rows, labels
    ), rows


def test_values_are_those_of_the_shap_package(
    boosted: tuple[HistGradientBoostingClassifier, np.ndarray],
) -> None:
    shap = pytest.importorskip("shap")
    model, rows = boosted
    found = Explainer(export.boosted_trees(model))
    theirs = shap.TreeExplainer(model, feature_perturbation="tree_path_dependent")
    asked = rows[:200]
    ours = np.array([found.values(row) for row in asked])
    np.testing.assert_allclose(ours, theirs.shap_values(asked), atol=1e-4)
    assert found.mean == pytest.approx(float(np.ravel(theirs.expected_value)[0]), abs=1e-4)


def test_values_add_up_to_the_output(boosted: tuple[HistGradientBoostingClassifier, np.ndarray]) -> None:
    model, rows = boosted
    trees = export.boosted_trees(model)
    found = Explainer(trees)
    for row, odds in zip(rows[:100], model.decision_function(rows[:100]), strict=True):
        assert output(trees, row) == pytest.approx(odds, abs=1e-5)
        assert found.mean + found.values(row).sum() == pytest.approx(odds, abs=1e-5)


def test_the_shipped_trees_are_those_of_the_shipped_model() -> None:
    trees, normals = read_trees(TREES, SHA, features.WIDTH)
    assert len(trees.trees) == 120
    assert len(normals) == features.WIDTH
    again, _ = read_trees(write_trees(trees, SHA, normals), SHA, features.WIDTH)
    for one, other in zip(trees.trees, again.trees, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def broken(**changes: object) -> bytes:
    return orjson.dumps(orjson.loads(TREES) | changes)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "cannot be read"),
        (b"{}", "cannot be read"),
        (broken(format=9), "format"),
        (broken(sha256="0" * 64), "another model"),
        (broken(nodes=[3]), "different lengths"),
        (broken(feature="!"), "cannot be read"),
        (broken(normals=[1.0]), "usual values"),
    ],
)
def test_wrong_trees_are_refused(content: bytes, says: str) -> None:
    with pytest.raises(TreesInvalid, match=says):
        read_trees(content, SHA, features.WIDTH)


def test_a_tree_that_runs_in_a_circle_is_refused() -> None:
    circle = Trees((SMALL._replace(left=np.array([1, 0, -1, -1, -1])),), 0.0)
    with pytest.raises(TreesInvalid, match="well formed"):
        read_trees(write_trees(circle, SHA, np.zeros(3)), SHA, 3)
