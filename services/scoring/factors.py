"""What the models looked at: the features that moved their scores, against what is usual for this viewer.

Violation model: Shapley values, exact for its trees (`trees.Explainer`). Anomaly models: a feature's contribution is by
how much the ensemble's score falls when that feature alone is set to what is usual, everything else staying; it is
computed with the graph that scored the event, so it holds for the forest, the neighbours and LOF alike. Unlike Shapley
values these do not add up to the score: features that say the same share their effect, which a person reading "what
alone would have made it ordinary" wants to know. (Source of the method: occlusion, M. Zeiler, R. Fergus, "Visualizing
and Understanding Convolutional Networks", ECCV 2014; baseline values instead of grey patches.)
"""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from services.scoring import features
from services.scoring.decide import Inputs
from services.scoring.features import INDEX, NAMES
from services.scoring.model import Ensemble
from services.scoring.profile import O
from services.scoring.trees import Explainer
from usher.decision.v1 import decision_pb2

LEAST_CONTRIBUTION = {
    decision_pb2.FACTOR_MODEL_ANOMALY: 0.01,
    decision_pb2.FACTOR_MODEL_VIOLATION: 0.1,
}
"""Contributions below this (score, log odds) are not worth a sentence."""


class Models(NamedTuple):
    """What factors are computed with.

    Attributes:
        normals: the population's usual value of each feature.
        least_events: events from which on a viewer's own usual values count.
    """

    ensemble: Ensemble
    explainer: Explainer
    normals: NDArray[np.float64]
    least_events: int


def normals_of(models: Models, inputs: Inputs, i: int) -> tuple[features.Floats, NDArray[np.bool_]]:
    """What is usual for event `i`'s viewer, one value a feature, and which of them are the viewer's own."""
    row = models.normals.astype(np.float32)
    own = np.zeros(len(row), bool)
    observed = inputs.observed[i]
    total = int(observed[O.TOTAL])
    if total < max(models.least_events, 1):
        return row, own
    a_week = max(float(observed[O.EVENTS_7D]), 1.0)
    mean_volume = float(observed[O.VOLUME_ALL]) / max(int(observed[O.VOLUME_EVENTS]), 1)
    moving = float(observed[O.VOLUME_EVENTS]) / total
    told = {
        "events_1m": a_week / 10_080,
        "events_1h": a_week / 168,
        "events_24h": a_week / 7,
        "events_per_day": a_week / 7,
        "hours_since_last": 168 / a_week,
        "rate_ratio": 1.0,
        "volume_ratio": 1.0,
        "volume_24h": mean_volume * moving * a_week / 7 / (1 << 20),
        "failures_1h": 0.0,
        "new_device": 0.0,
        "new_country": 0.0,
        "new_network": 0.0,
        "devices_known": float(observed[O.DEVICES]),
        "countries_known": float(observed[O.COUNTRIES]),
        "account_age_days": float(inputs.features[i, INDEX["account_age_days"]]),
    }
    for name, value in told.items():
        row[INDEX[name]] = value
        own[INDEX[name]] = True
    return row, own


def factors(models: Models, inputs: Inputs, i: int, most: int) -> list[decision_pb2.Factor]:
    """The strongest factors of event `i`: up to `most` of each model, the anomaly's first, strongest first."""
    row = inputs.features[i]
    usual, own = normals_of(models, inputs, i)
    anomaly = features.ANOMALY_FEATURES
    differing = np.nonzero(row[:anomaly] != usual[:anomaly])[0]
    asked = np.repeat(row[None, :], len(differing) + 1, axis=0)
    asked[np.arange(len(differing)), differing] = usual[differing]
    scores = models.ensemble.run(asked)[:, 0].astype(np.float64)
    unusual = np.zeros(features.WIDTH)
    unusual[differing] = scores[-1] - scores[:-1]
    found: list[decision_pb2.Factor] = []
    for model, values in (
        (decision_pb2.FACTOR_MODEL_ANOMALY, unusual),
        (decision_pb2.FACTOR_MODEL_VIOLATION, models.explainer.values(row)),
    ):
        strength = np.abs(values)
        order = np.argsort(-strength, kind="stable")[:most]
        found.extend(
            decision_pb2.Factor(
                model=model,
                feature=NAMES[f],
                value=float(row[f]),
                normal=float(usual[f]),
                own_normal=bool(own[f]),
                contribution=float(values[f]),
            )
            for f in order.tolist()
            if strength[f] >= LEAST_CONTRIBUTION[model]
        )
    return found


def risk_factors(row: features.Floats) -> list[decision_pb2.RiskFactor]:
    """The named risk factors of a violation that hold for a feature row, by number."""
    return [number for number, feature, exceeds in _RISK_FACTORS if row[feature] > exceeds]


_RISK_FACTORS = [
    (
        cast(decision_pb2.RiskFactor, decision_pb2.RiskFactor.Value(f"RISK_FACTOR_{name.upper()}")),
        INDEX[feature],
        exceeds,
    )
    for name, (feature, exceeds) in features.RISK_FACTORS.items()
]
