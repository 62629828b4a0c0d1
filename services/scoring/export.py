"""Builds the ensemble's ONNX graph by hand from fitted models.

One graph, no converter: the forests as TreeEnsembleRegressor, Local Outlier Factor as MatMul, TopK and Gather.
scikit-learn and onnx are needed to train and export only; no serving process imports this module.

Sources: F. T. Liu, K. M. Ting, Z.-H. Zhou, "Isolation Forest", ICDM 2008 (path length and c(n));
M. Breunig et al., "LOF: Identifying Density-Based Local Outliers", SIGMOD 2000 (reachability and local density).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from services.scoring import features

Doubles = NDArray[np.float64]
EXTRA_NEIGHBOURS = 8
"""Candidates beyond k that the fast distances keep, so that the exact ones choose the right k."""
FINE = 2.0**20
"""Steps of a calibrated score."""
TINY = 1e-10
"""What scikit-learn adds to a mean reachability before it inverts it."""


class Scaling(NamedTuple):
    """z = (x / (x + half) - mean) / deviation, in float32, for each anomaly feature."""

    half: features.Floats
    mean: features.Floats
    deviation: features.Floats

    def apply(self, rows: features.Floats) -> features.Floats:
        """Scales feature rows as the graph does, operation by operation."""
        a = rows[:, : features.ANOMALY_FEATURES]
        return ((a / (a + self.half)) - self.mean) / self.deviation


class Calibration(NamedTuple):
    """A rising broken line from a raw score to 0..1 through (x, y); level outside."""

    x: features.Floats
    y: features.Floats

    def apply(self, raw: Doubles) -> Doubles:
        """The calibrated score."""
        return np.interp(raw, self.x.astype(np.float64), self.y.astype(np.float64))


class Fitted(NamedTuple):
    """What goes into the graph. `forest`, `neighbours`, `boosting` are scikit-learn's fitted estimators."""

    scaling: Scaling
    forest: Any
    neighbours: Any
    boosting: Any
    forest_calibration: Calibration
    neighbours_calibration: Calibration


def average_path(n: NDArray[np.integer[Any]]) -> Doubles:
    """c(n) of the Isolation Forest paper: mean length of an unsuccessful search in a tree of n points."""
    count = n.astype(np.float64)
    path = np.zeros(len(count))
    path[count == 2] = 1.0
    many = count > 2
    path[many] = 2.0 * (np.log(count[many] - 1.0) + np.euler_gamma) - 2.0 * (count[many] - 1.0) / count[many]
    return path


class _Trees:
    """Attributes of a TreeEnsembleRegressor, tree by tree."""

    def __init__(self) -> None:
        self._columns: dict[str, list[Any]] = {
            name: []
            for name in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")
        }
        self._leaves: list[tuple[int, int, float]] = []
        self._count = 0

    def add(self, tree: Any, leaf_values: Doubles) -> None:
        """Adds one of scikit-learn's trees with the value of each of its nodes that is a leaf."""
        number, self._count = self._count, self._count + 1
        for node in range(tree.node_count):
            leaf = tree.children_left[node] < 0
            row = (
                number,
                node,
                0 if leaf else int(tree.feature[node]),
                0.0 if leaf else below(float(tree.threshold[node])),
                b"LEAF" if leaf else b"BRANCH_LEQ",
                0 if leaf else int(tree.children_left[node]),
                0 if leaf else int(tree.children_right[node]),
            )
            for column, value in zip(self._columns.values(), row, strict=True):
                column.append(value)
            if leaf:
                self._leaves.append((number, node, float(leaf_values[node])))

    def node(self, source: str, target: str, base: float) -> onnx.NodeProto:
        nodes: dict[str, Any] = {f"nodes_{name}": column for name, column in self._columns.items()}
        return helper.make_node(
            "TreeEnsembleRegressor",
            [source],
            [target],
            domain="ai.onnx.ml",
            n_targets=1,
            base_values=[base],
            aggregate_function="SUM",
            post_transform="NONE",
            target_treeids=[leaf[0] for leaf in self._leaves],
            target_nodeids=[leaf[1] for leaf in self._leaves],
            target_ids=[0] * len(self._leaves),
            target_weights=[leaf[2] for leaf in self._leaves],
            **nodes,
        )


def below(threshold: float) -> float:
    """The greatest float32 not above a threshold: x <= threshold holds for the same float32 x."""
    rounded = np.float32(threshold)
    return float(np.nextafter(rounded, np.float32(-np.inf)) if float(rounded) > threshold else rounded)


class _Graph:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def op(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def calibrated(self, raw: str, line: Calibration, output: str) -> str:
        widths = np.diff(line.x)[None, :].astype(np.float32)
        slopes = (np.diff(line.y.astype(np.float64)) / np.diff(line.x.astype(np.float64))).astype(np.float32)[
            None, :
        ]
        past = self.op("Sub", [raw, self.constant(f"{output}_x", line.x[None, :-1])], f"{output}_past")
        past = self.op("Max", [past, "zero"], f"{output}_from")
        past = self.op("Min", [past, self.constant(f"{output}_widths", widths)], f"{output}_within")
        part = self.op("Mul", [past, self.constant(f"{output}_slopes", slopes)], f"{output}_parts")
        # In steps of 2^-20 the parts, at most 1 together, add up exactly: the runtime's order of adding depends on
        # the size of the batch and must not show.
        part = self.op("Mul", [part, "fine"], f"{output}_scaled")
        part = self.op("Round", [part], f"{output}_whole")
        part = self.op("Div", [part, "fine"], f"{output}_exact")
        total = self.op("ReduceSum", [part, "last_axis"], f"{output}_sum", keepdims=1)
        lifted = self.op("Add", [total, self.constant(f"{output}_y", line.y[:1])], f"{output}_lifted")
        return self.op("Min", [lifted, "one"], output)


def build(fitted: Fitted) -> bytes:
    """The serialised graph: input `features` [N, WIDTH], output `scores` [N, 4] in the order of model.OUTPUTS."""
    g = _Graph()
    g.constant("zero", np.zeros(1, np.float32))
    g.constant("one", np.ones(1, np.float32))
    g.constant("fine", np.array([FINE], np.float32))
    g.constant("last_axis", np.array([-1], np.int64))
    g.constant("from_column", np.array([0], np.int64))
    g.constant("to_column", np.array([features.ANOMALY_FEATURES], np.int64))
    g.constant("column_axis", np.array([1], np.int64))
    a = g.op("Slice", ["features", "from_column", "to_column", "column_axis"], "anomaly_features")
    shifted = g.op("Add", [a, g.constant("half", fitted.scaling.half)], "shifted")
    bounded = g.op("Div", [a, shifted], "bounded")
    centred = g.op("Sub", [bounded, g.constant("mean", fitted.scaling.mean)], "centred")
    z = g.op("Div", [centred, g.constant("deviation", fitted.scaling.deviation)], "z")

    # The calibrated line rises with the raw score, so the forest's raw score is minus the mean path length.
    trees = _Trees()
    count = len(fitted.forest.estimators_)
    for estimator in fitted.forest.estimators_:
        tree = estimator.tree_
        trees.add(tree, -(_depths(tree) + average_path(tree.n_node_samples)) / count)
    g.nodes.append(trees.node(z, "forest_raw", 0.0))
    forest = g.calibrated("forest_raw", fitted.forest_calibration, "isolation_forest")

    neighbours = g.calibrated(
        _outlier_factor(g, z, fitted.neighbours), fitted.neighbours_calibration, "outlier_factor"
    )

    boosting = _Trees()
    rate = fitted.boosting.learning_rate
    for (stage,) in fitted.boosting.estimators_:
        boosting.add(stage.tree_, rate * stage.tree_.value[:, 0, 0])
    prior = fitted.boosting.init_.class_prior_[1]
    g.nodes.append(boosting.node("features", "log_odds", float(np.log(prior / (1 - prior)))))
    likelihood = g.op("Sigmoid", ["log_odds"], "likelihood")

    both = g.op("Add", [forest, neighbours], "both")
    ensemble = g.op("Mul", [both, g.constant("a_half", np.array([0.5], np.float32))], "ensemble")
    g.op("Concat", [ensemble, forest, neighbours, likelihood], "scores", axis=1)
    graph = helper.make_graph(
        g.nodes,
        "usher_scoring_ensemble",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", features.WIDTH])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", 4])],
        g.constants,
    )
    model = helper.make_model(
        graph,
        producer_name="usher",
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)],
        ir_version=8,
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _depths(tree: Any) -> Doubles:
    depth = np.zeros(tree.node_count)
    for node in range(tree.node_count):  # children come after their parent
        for child in (tree.children_left[node], tree.children_right[node]):
            if child >= 0:
                depth[child] = depth[node] + 1
    return depth


def _outlier_factor(g: _Graph, z: str, lof: Any) -> str:
    points = lof._fit_X.astype(np.float32)
    k = lof.n_neighbors_
    candidates = min(k + EXTRA_NEIGHBOURS, len(points))
    # Squared distances without |x|^2, which is the same for all points of a row: fast, and good to choose by.
    g.constant("points_double", points.astype(np.float64))
    g.constant("points_across", points.T * np.float32(-2.0))
    g.constant("points_squared", (points.astype(np.float64) ** 2).sum(axis=1).astype(np.float32)[None, :])
    g.constant("point_reach", lof._distances_fit_X_[:, k - 1].astype(np.float32))
    g.constant("point_density", lof._lrd.astype(np.float32))
    g.constant("candidates", np.array([candidates], np.int64))
    g.constant("k", np.array([k], np.int64))
    g.constant("tiny", np.array([TINY], np.float32))
    g.constant("middle", np.array([1], np.int64))
    products = g.op("MatMul", [z, "points_across"], "products")
    near = g.op("Add", [products, "points_squared"], "near")
    g.nodes.append(
        helper.make_node(
            "TopK", [near, "candidates"], ["near_values", "near_points"], axis=1, largest=0, sorted=0
        )
    )
    # Exact distances of the candidates alone, in double precision: LOF jumps where the k-th and the next neighbour
    # change places, and in single precision about two rows in 10,000 cannot tell them apart.
    found = g.op("Gather", ["points_double", "near_points"], "found", axis=0)
    across = g.op("Unsqueeze", [g.op("Cast", [z], "z_double", to=TensorProto.DOUBLE), "middle"], "across")
    difference = g.op("Sub", [found, across], "difference")
    squares = g.op("Mul", [difference, difference], "squares")
    squared = g.op("ReduceSum", [squares, "last_axis"], "squared", keepdims=0)
    distances = g.op("Sqrt", [squared], "distances")
    g.nodes.append(
        helper.make_node(
            "TopK", [distances, "k"], ["nearest_double", "nearest_at"], axis=1, largest=0, sorted=1
        )
    )
    g.op("Cast", ["nearest_double"], "nearest", to=TensorProto.FLOAT)
    neighbours = g.op("GatherElements", ["near_points", "nearest_at"], "neighbours", axis=1)
    reach = g.op("Gather", ["point_reach", neighbours], "neighbour_reach", axis=0)
    reachability = g.op("Max", ["nearest", reach], "reachability")
    mean_reach = g.op("ReduceMean", [reachability], "mean_reach", axes=[1], keepdims=1)
    mean_reach = g.op("Add", [mean_reach, "tiny"], "mean_reach_tiny")
    density = g.op("Gather", ["point_density", neighbours], "neighbour_density", axis=0)
    mean_density = g.op("ReduceMean", [density], "mean_density", axes=[1], keepdims=1)
    return g.op("Mul", [mean_density, mean_reach], "outlier_raw")
