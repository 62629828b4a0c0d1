"""Builds the one ONNX graph of all models by hand from fitted ones, and the trees that explanations read.

One graph, no converter: forests and boosted trees as TreeEnsembleRegressor, nearest neighbours as MatMul and ReduceMin,
Local Outlier Factor as MatMul, TopK and Gather. Nothing in it depends on the size of the batch: sums that the runtime
may order differently are rounded to steps that add up exactly.
scikit-learn and onnx are needed to train and export only; no serving process imports this module.

Sources: F. T. Liu, K. M. Ting, Z.-H. Zhou, "Isolation Forest", ICDM 2008 (path length and c(n));
M. Breunig et al., "LOF: Identifying Density-Based Local Outliers", SIGMOD 2000 (reachability and local density);
G. Pang, K. M. Ting, D. Albrecht, "LeSiNN", ICDM Workshops 2015 (nearest neighbours in sub-samples);
J. Platt, "Probabilistic Outputs for Support Vector Machines", 1999 (the sigmoid that makes a score a probability).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from services.scoring import features
from services.scoring.detector import WEIGHTS, Calibration, Detector, average_path
from services.scoring.trees import Tree, Trees

Doubles = NDArray[np.float64]
FINE = 2.0**20
"""Steps of a calibrated score."""
TINY = 1e-10
"""What scikit-learn adds to a mean reachability before it inverts it."""


class Sigmoid(NamedTuple):
    """Probability 1 / (1 + exp(-(slope * log odds + shift)))."""

    slope: float
    shift: float


class Fitted(NamedTuple):
    """What goes into the graph: the detector, the boosted trees (log odds) and what makes them a probability."""

    detector: Detector
    violation: Trees
    sigmoid: Sigmoid


def boosted_trees(boosting: Any) -> Trees:
    """The trees of a fitted HistGradientBoostingClassifier of two classes. Categories and missing values unused."""
    trees = []
    for (predictor,) in boosting._predictors:
        nodes = predictor.nodes
        leaf = nodes["is_leaf"].astype(bool)
        trees.append(
            Tree(
                feature=np.where(leaf, -1, nodes["feature_idx"]).astype(np.int64),
                threshold=np.array(
                    [
                        0.0 if end else below(float(t))
                        for end, t in zip(leaf, nodes["num_threshold"], strict=True)
                    ],
                    np.float32,
                ),
                left=np.where(leaf, -1, nodes["left"].astype(np.int64)),
                right=np.where(leaf, -1, nodes["right"].astype(np.int64)),
                value=np.where(leaf, nodes["value"], 0.0).astype(np.float32),
                cover=nodes["count"].astype(np.float64),
            )
        )
    return Trees(tuple(trees), float(np.ravel(boosting._baseline_prediction)[0]))


class _Trees:
    """Attributes of a TreeEnsembleRegressor, tree by tree."""

    def __init__(self) -> None:
        self._columns: dict[str, list[Any]] = {
            name: []
            for name in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")
        }
        self._leaves: list[tuple[int, int, float]] = []
        self._count = 0

    def add(self, tree: Tree) -> None:
        """Adds a tree."""
        number, self._count = self._count, self._count + 1
        for node in range(len(tree.feature)):
            leaf = tree.left[node] < 0
            row = (
                number,
                node,
                0 if leaf else int(tree.feature[node]),
                0.0 if leaf else float(tree.threshold[node]),
                b"LEAF" if leaf else b"BRANCH_LEQ",
                0 if leaf else int(tree.left[node]),
                0 if leaf else int(tree.right[node]),
            )
            for column, value in zip(self._columns.values(), row, strict=True):
                column.append(value)
            if leaf:
                self._leaves.append((number, node, float(tree.value[node])))

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
    """The serialised graph: input `features` [N, WIDTH], output `scores` [N, 5] in the order of model.OUTPUTS."""
    found = fitted.detector
    scales = found.scales
    g = _Graph()
    g.constant("zero", np.zeros(1, np.float32))
    g.constant("one", np.ones(1, np.float32))
    g.constant("fine", np.array([FINE], np.float32))
    g.constant("last_axis", np.array([-1], np.int64))
    g.constant("from_column", np.array([0], np.int64))
    g.constant("to_column", np.array([features.ANOMALY_FEATURES], np.int64))
    g.constant("column_axis", np.array([1], np.int64))
    a = g.op("Slice", ["features", "from_column", "to_column", "column_axis"], "anomaly_features")
    above = g.op("Sub", [a, g.constant("least", scales.least)], "above")
    linear = g.op("Div", [above, g.constant("width", scales.width)], "linear")
    centred = g.op("Sub", [a, g.constant("middle", scales.middle)], "centred")
    u = g.op("Div", [centred, g.constant("deviation", scales.deviation)], "u")
    grown = g.op("Add", [g.op("Abs", [u], "u_abs"), "one"], "u_grown")
    grown = g.op("Sqrt", [g.op("Sqrt", [grown], "u_root")], "u_fourth_root")
    root = g.op("Mul", [g.op("Sign", [u], "u_sign"), g.op("Sub", [grown, "one"], "u_less")], "root")

    # The calibrated line rises with the raw score, so the forest's raw score is minus the mean path length.
    both_scales = g.op("Concat", [linear, root], "both_scales", axis=1)
    trees = _Trees()
    for tree in isolation_trees(found):
        trees.add(tree)
    g.nodes.append(trees.node(both_scales, "forest_raw", 0.0))
    nearest = g.op(
        "Add",
        [
            _nearest(g, linear, found.draws.linear, found.draws.linear_weights, "linear"),
            _nearest(g, root, found.draws.root, found.draws.root_weights, "root"),
        ],
        "nearest_raw",
    )
    raw = ("forest_raw", nearest, _outlier_factor(g, root, found.factor))
    calibrated, weighed = [], []
    for name, one, line in zip(WEIGHTS, raw, found.calibrations, strict=True):
        calibrated.append(g.calibrated(one, line, name))
        weight = g.constant(f"{name}_weight", np.array([WEIGHTS[name]], np.float32))
        weighed.append(g.op("Mul", [name, weight], f"{name}_weighed"))
    forest, neighbours, factor = calibrated
    ensemble = g.op("Add", [g.op("Add", weighed[:2], "two_models"), weighed[2]], "ensemble")

    boosting = _Trees()
    for tree in fitted.violation.trees:
        boosting.add(tree)
    g.nodes.append(boosting.node("features", "log_odds", fitted.violation.base))
    slope = g.constant("slope", np.array([fitted.sigmoid.slope], np.float32))
    shift = g.constant("shift", np.array([fitted.sigmoid.shift], np.float32))
    odds = g.op("Add", [g.op("Mul", ["log_odds", slope], "steepened"), shift], "shifted_odds")
    likelihood = g.op("Sigmoid", [odds], "likelihood")

    g.op("Concat", [ensemble, forest, factor, likelihood, neighbours], "scores", axis=1)
    graph = helper.make_graph(
        g.nodes,
        "usher_scoring_ensemble",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", features.WIDTH])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", 5])],
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


def isolation_trees(found: Detector) -> list[Tree]:
    """The forest's trees over (linear columns, root columns); leaves hold minus their share of the mean path length."""
    trees = []
    total = len(found.linear_forest.estimators_) + len(found.root_forest.estimators_)
    for forest, shift in ((found.linear_forest, 0), (found.root_forest, features.ANOMALY_FEATURES)):
        for estimator in forest.estimators_:
            tree = estimator.tree_
            leaf = tree.children_left < 0
            trees.append(
                Tree(
                    feature=np.where(leaf, -1, tree.feature + shift),
                    threshold=np.array(
                        [
                            0.0 if end else below(float(t))
                            for end, t in zip(leaf, tree.threshold, strict=True)
                        ],
                        np.float32,
                    ),
                    left=tree.children_left,
                    right=tree.children_right,
                    value=(-(_depths(tree) + average_path(tree.n_node_samples)) / total).astype(np.float32),
                    cover=tree.n_node_samples.astype(np.float64),
                )
            )
    return trees


def _nearest(g: _Graph, scaled: str, samples: Any, weights: Any, name: str) -> str:
    sizes = {len(sample) for sample in samples}
    if len(sizes) != 1:
        raise ValueError("the sub-samples of a model that serves have one size")
    (size,) = sizes
    # Squared distances as |x|^2 + |p|^2 - 2 x p, least of each sub-sample, then the weighted sum of their roots.
    points = np.concatenate(samples)
    g.constant(f"{name}_across", points.T * np.float32(-2.0))
    squared = (points.astype(np.float64) ** 2).sum(axis=1).astype(np.float32)
    g.constant(f"{name}_squared", squared[None, :])
    g.constant(f"{name}_shape", np.array([-1, len(samples), size], np.int64))
    products = g.op("MatMul", [scaled, f"{name}_across"], f"{name}_products")
    near = g.op("Add", [products, f"{name}_squared"], f"{name}_near")
    least = g.op("Reshape", [near, f"{name}_shape"], f"{name}_by_draw")
    least = g.op("ReduceMin", [least], f"{name}_least", axes=[2], keepdims=0)
    own = g.op("ReduceSumSquare", [scaled], f"{name}_own", axes=[1], keepdims=1)
    distance = g.op(
        "Sqrt", [g.op("Max", [g.op("Add", [least, own], f"{name}_d2"), "zero"], f"{name}_d2_0")], f"{name}_d"
    )
    weight = g.constant(f"{name}_draw_weights", weights.astype(np.float32)[:, None])
    return g.op("MatMul", [distance, weight], f"{name}_nearest")


def _depths(tree: Any) -> Doubles:
    depth = np.zeros(tree.node_count)
    for node in range(tree.node_count):  # children come after their parent
        for child in (tree.children_left[node], tree.children_right[node]):
            if child >= 0:
                depth[child] = depth[node] + 1
    return depth


def _outlier_factor(g: _Graph, z: str, lof: Any) -> str:
    # Densest first: TopK keeps the nearest so far, and finds them sooner where most traffic is.
    order = np.argsort(-lof._lrd, kind="stable")
    points = lof._fit_X[order].astype(np.float64)
    k = lof.n_neighbors_
    g.constant("points_across", points.T * -2.0)
    g.constant("points_squared", (points**2).sum(axis=1)[None, :])
    g.constant("point_reach", lof._distances_fit_X_[order, k - 1].astype(np.float32))
    g.constant("point_density", lof._lrd[order].astype(np.float32))
    g.constant("k", np.array([k], np.int64))
    g.constant("tiny", np.array([TINY], np.float32))
    g.constant("zero_double", np.zeros(1, np.float64))
    # Squared distances as |x|^2 + |p|^2 - 2 x p, in double precision: LOF jumps where the k-th and the next neighbour
    # change places, and in single precision about two rows in 10,000 cannot tell them apart. |x|^2 is the same for all
    # points of a row and is added to the nearest alone.
    z = g.op("Cast", [z], "z_double", to=TensorProto.DOUBLE)
    near = g.op("Add", [g.op("MatMul", [z, "points_across"], "products"), "points_squared"], "near")
    neighbours = "neighbours"
    g.nodes.append(
        helper.make_node("TopK", [near, "k"], ["near_values", neighbours], axis=1, largest=0, sorted=0)
    )
    own = g.op("ReduceSumSquare", [z], "own", axes=[1], keepdims=1)
    squared = g.op("Max", [g.op("Add", ["near_values", own], "squared"), "zero_double"], "squared_0")
    g.op("Cast", [g.op("Sqrt", [squared], "distances")], "nearest", to=TensorProto.FLOAT)
    reach = g.op("Gather", ["point_reach", neighbours], "neighbour_reach", axis=0)
    reachability = g.op("Max", ["nearest", reach], "reachability")
    mean_reach = g.op("ReduceMean", [reachability], "mean_reach", axes=[1], keepdims=1)
    mean_reach = g.op("Add", [mean_reach, "tiny"], "mean_reach_tiny")
    density = g.op("Gather", ["point_density", neighbours], "neighbour_density", axis=0)
    mean_density = g.op("ReduceMean", [density], "mean_density", axes=[1], keepdims=1)
    return g.op("Mul", [mean_density, mean_reach], "outlier_raw")
