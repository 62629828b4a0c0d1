"""Decision trees as arrays, and exactly how much each feature contributes to what they say (TreeSHAP).

Source: S. Lundberg, G. Erion, S.-I. Lee, "Consistent Individualized Feature Attribution for Tree Ensembles", 2018,
algorithm 2 (path-dependent Shapley values). The contributions of a row and the mean of the training rows add up to the
ensemble's output.
"""

from __future__ import annotations

import base64
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from services.common.errors import FailedPrecondition

FORMAT = 1
MOST_NODES = 200_000


class TreesInvalid(FailedPrecondition):
    """Trees that explain nothing: they do not fit their model or are not well formed."""

    def __init__(self, message: str) -> None:
        super().__init__("MODEL_INVALID", message)


class Tree(NamedTuple):
    """One tree: arrays of one entry a node, node 0 the root.

    Attributes:
        feature: column that a node asks for, -1 for a leaf.
        threshold: rows with a value of at most this go left.
        left, right: nodes below, -1 for a leaf.
        value: what a leaf says.
        cover: training rows that came by.
    """

    feature: NDArray[np.int64]
    threshold: NDArray[np.float32]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    value: NDArray[np.float32]
    cover: NDArray[np.float64]


class Trees(NamedTuple):
    """An ensemble: its output is `base` plus the sum of what the trees say."""

    trees: tuple[Tree, ...]
    base: float


def output(trees: Trees, row: NDArray[np.float32]) -> float:
    """What the ensemble says of a row."""
    total = trees.base
    for tree in trees.trees:
        node = 0
        while tree.left[node] >= 0:
            node = int((tree.left if row[tree.feature[node]] <= tree.threshold[node] else tree.right)[node])
        total += float(tree.value[node])
    return total


class Explainer:
    """Shapley values of an ensemble's rows, exact for its trees.

    Each leaf is prepared once: a feature on its path lets a share of the training rows pass, or the row itself (1 or 0).
    A feature's Shapley value is the integral over t from 0 to 1 of its own difference times the product, over the
    leaf's other features, of t * (row passes) + (1 - t) * share (G. Owen, "Multilinear Extensions of Games", 1972). The
    integrand is a polynomial, for which Gauss-Legendre quadrature with enough nodes is exact; all leaves are weighed
    together, as arrays.
    """

    def __init__(self, trees: Trees) -> None:
        leaves = [leaf for tree in trees.trees for leaf in _leaves(tree)]
        depth = max((len(leaf.features) for leaf in leaves), default=0)
        count = len(leaves)
        # What is missing to the depth of the deepest leaf passes for certain and contributes nothing.
        self._features = np.zeros((depth, count), np.intp)
        self._low = np.full((depth, count), -np.inf, np.float32)
        self._high = np.full((depth, count), np.inf, np.float32)
        shares = np.ones((depth, count))
        for number, leaf in enumerate(leaves):
            for place, (feature, (low, high, share)) in enumerate(leaf.features.items()):
                self._features[place, number] = feature
                self._low[place, number], self._high[place, number] = low, high
                shares[place, number] = share
        values = np.array([leaf.value for leaf in leaves])
        self.mean = trees.base + float((values * shares.prod(axis=0)).sum())
        # n nodes are exact up to degree 2 n - 1; the integrand has degree depth - 1.
        nodes, weights = np.polynomial.legendre.leggauss(max(1, (depth + 1) // 2))
        self._nodes = ((nodes + 1) / 2)[:, None, None]
        self._shared = (1 - self._nodes) * shares
        self._passed = self._shared + self._nodes
        self._weights = (weights / 2)[:, None] * values
        self._if_passed, self._if_not = 1 - shares, -shares

    def values(self, row: NDArray[np.float32]) -> NDArray[np.float64]:
        """Contributions to the output, one a feature; with `mean` they add up to the output."""
        asked = row[self._features]
        passes = (asked > self._low) & (asked <= self._high)
        factors = np.where(passes, self._passed, self._shared)
        others = (self._weights * factors.prod(axis=1))[:, None, :] / factors
        parts = others.sum(axis=0) * np.where(passes, self._if_passed, self._if_not)
        found = np.bincount(self._features.ravel(), weights=parts.ravel(), minlength=len(row))
        return found.astype(np.float64, copy=False)


class _Leaf(NamedTuple):
    value: float
    features: dict[int, tuple[float, float, float]]
    """Feature -> (above, at most, share of the training rows that its splits on the path let pass)."""


def _leaves(tree: Tree) -> list[_Leaf]:
    found: list[_Leaf] = []
    stack: list[tuple[int, dict[int, tuple[float, float, float]]]] = [(0, {})]
    while stack:
        node, path = stack.pop()
        if tree.left[node] < 0:
            found.append(_Leaf(float(tree.value[node]), path))
            continue
        feature, threshold = int(tree.feature[node]), float(tree.threshold[node])
        low, high, share = path.get(feature, (-np.inf, np.inf, 1.0))
        for child, bounds in (
            (int(tree.left[node]), (low, min(high, threshold))),
            (int(tree.right[node]), (max(low, threshold), high)),
        ):
            passed = share * float(tree.cover[child]) / float(tree.cover[node])
            stack.append((child, {**path, feature: (*bounds, passed)}))
    return found


def write_trees(trees: Trees, sha256: str, normals: NDArray[np.float64]) -> bytes:
    """Trees as JSON for the policy set. `sha256` is the model's whose trees they are, `normals` the population's usual
    value of each feature."""

    def packed(parts: list[Any], kind: str) -> str:
        return base64.b64encode(np.concatenate(parts).astype(kind).tobytes()).decode()

    return orjson.dumps(
        {
            "format": FORMAT,
            "sha256": sha256,
            "base": trees.base,
            "normals": [float(f"{value:.6g}") for value in normals],
            "nodes": [len(tree.feature) for tree in trees.trees],
            **{
                name: packed([getattr(tree, name) for tree in trees.trees], kind)
                for name, kind in _KINDS.items()
            },
        },
        option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE,
    )


_KINDS = {"feature": "<i4", "threshold": "<f4", "left": "<i4", "right": "<i4", "value": "<f4", "cover": "<f8"}


def read_trees(content: bytes, sha256: str, width: int) -> tuple[Trees, NDArray[np.float64]]:
    """Trees and normals that `write_trees` wrote. Raises TreesInvalid."""
    try:
        read = orjson.loads(content)
        if read["format"] != FORMAT:
            raise TreesInvalid(f"the explaining trees are not of format {FORMAT}")
        if read["sha256"] != sha256:
            raise TreesInvalid("the explaining trees are those of another model")
        counts = [int(count) for count in read["nodes"]]
        arrays = {
            name: np.frombuffer(base64.b64decode(read[name], validate=True), kind)
            for name, kind in _KINDS.items()
        }
        normals = np.array(read["normals"], np.float64)
        base = float(read["base"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise TreesInvalid(f"the explaining trees cannot be read: {type(error).__name__}: {error}") from None
    if any(len(array) != sum(counts) for array in arrays.values()) or sum(counts) > MOST_NODES:
        raise TreesInvalid("the explaining trees have arrays of different lengths")
    if len(normals) != width:
        raise TreesInvalid(f"the explaining trees tell {len(normals)} usual values, not {width}")
    trees, start = [], 0
    for count in counts:
        part = slice(start, start + count)
        tree = Tree(*(arrays[name][part] for name in Tree._fields))
        _check(tree, width)
        trees.append(tree)
        start += count
    return Trees(tuple(trees), base), normals


def _check(tree: Tree, width: int) -> None:
    inner = tree.left >= 0
    nodes = np.arange(len(tree.left))
    forward = (
        (tree.left > nodes) & (tree.right > nodes) & (tree.left < len(nodes)) & (tree.right < len(nodes))
    )
    fits = (tree.feature >= 0) & (tree.feature < width)
    if not len(nodes) or not (forward & fits)[inner].all() or (tree.cover <= 0).any():
        raise TreesInvalid("an explaining tree is not well formed")
