"""One event's inputs of a decision, spelt out; everything not named is an ordinary viewer's ordinary play."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from services.common.policy import Part, write_policy_set
from services.scoring import decide, features, rules
from services.scoring.extract import Facts
from services.scoring.profile import Columns, O
from usher.event.v1 import event_pb2
from usher.policy.v1 import policy_pb2

DEFAULTS = Path(rules.__file__).parent / "defaults"
NOW = 1_790_000_000
DAY = 86_400
NORMS = {"events_1h": 100.0, "exports_24h": 20.0, "exports_24h_extreme": 60.0}
SIGNALS = rules.SIGNALS


@cache
def default_rules() -> rules.Rules:
    return rules.read_rules((DEFAULTS / "outcomes.yaml").read_bytes(), NORMS)


def write_scoring_set(directory: Path, **replaced: bytes) -> str:
    """Writes a policy set of scoring's shipped parts alone; parts may be replaced by file stem and suffix."""
    parts = [
        (policy_pb2.PART_KIND_SCORING_RULES, "outcomes", "outcomes_yaml"),
        (policy_pb2.PART_KIND_MODEL, "ensemble", "ensemble_onnx"),
        (policy_pb2.PART_KIND_MODEL_CARD, "ensemble", "ensemble_json"),
        (policy_pb2.PART_KIND_MODEL_CARD, "trees", "trees_json"),
        (policy_pb2.PART_KIND_NORMS, "population", "norms_json"),
    ]
    return write_policy_set(
        directory,
        [
            Part(kind, name, replaced.get(file) or (DEFAULTS / file.replace("_", ".")).read_bytes())
            for kind, name, file in parts
        ],
    )


def inputs(
    *,
    event_class: int = event_pb2.EVENT_CLASS_PLAYBACK,
    observed: dict[int, int] | None = None,
    named: dict[str, float] | None = None,
    signals: dict[str, float] | None = None,
    ensemble: float = 0.0,
    place: tuple[int, ...] = (),
    item_flags: int = 0,
    verdict_flags: int = 0,
    compliance: float = 0.0,
    mode: int = decide.ENFORCE,
    created_days: float = 100,
    chargebacks: int = 0,
    hour: int = 12,
    region: int = 0,
) -> decide.Inputs:
    def one(value: int) -> np.ndarray:
        return np.array([value], np.int64)

    seen = np.zeros((1, O.WIDTH), np.int64)
    ordinary = {O.TOTAL: 1000, O.EVENTS_7D: 50, O.GAP: 3600, O.AGE: 100 * DAY, O.DEVICES: 2, O.HOUR_ALL: 500}
    for position, value in {**ordinary, O.HOUR_EVENTS: 100, **(observed or {})}.items():
        seen[0, position] = value
    row = np.array([[feature.default for feature in features.REGISTRY]], np.float32)
    row[0, features.INDEX["device_hours"]] = 500
    row[0, features.INDEX["account_age_days"]] = created_days
    for name, number in (named or {}).items():
        row[0, features.INDEX[name]] = number
    told = np.zeros((1, features.SIGNALS), np.float32)
    for name, number in (signals or {}).items():
        told[0, SIGNALS[name]] = number
        if name in features.INDEX:
            row[0, features.INDEX[name]] = number
    return decide.Inputs(
        events=Columns(
            time=one(NOW),
            event_class=one(event_class),
            failed=one(0),
            error=one(0),
            device=one(5),
            address=one(6),
            country=one(ord("D") << 8 | ord("E")),
            hour=one(hour),
            volume=one(-1),
            network=one(7),
            title=one(0),
            instrument=one(0),
            kind=one(1),
            playing=one(0),
            refused=one(0),
            page=one(0),
            lacking=one(0),
            handling=one(3),
        ),
        facts=Facts(
            created=one(NOW - round(created_days * DAY)),
            chargebacks=one(chargebacks),
            consent_lacking=one(0),
            facts_missing=one(0),
            minor=one(0),
            advertising=one(0),
            weekend=one(0),
            region=one(region),
            types=[""],
        ),
        observed=seen,
        features=row,
        signals=told,
        scores=np.array([[ensemble, ensemble, ensemble, 0.25, ensemble]], np.float32),
        place_flags=one(sum(1 << flag for flag in place)),
        item_flags=one(item_flags),
        verdict_flags=one(verdict_flags),
        compliance_risk=np.array([compliance]),
        modes=one(mode),
    )


def decided(**settings: Any) -> decide.Decided:
    return decide.decide(default_rules(), inputs(**settings))
