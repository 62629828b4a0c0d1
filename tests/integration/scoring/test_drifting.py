"""Drift of what passes an engine: counted, told as a metric and to alerts, once a day."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson

from services.common.client import ClientSettings
from services.common.policy import Part, PolicySetCache, write_policy_set
from services.common.server import ServerSettings
from services.common.telemetry import TelemetrySettings, start_telemetry
from services.scoring import drift, features, rules
from services.scoring.drifting import Drifting
from services.scoring.engine import Engines
from services.scoring.model import OUTPUTS
from services.scoring.settings import ScoringSettings
from tests.fakes import FakeMesh
from usher.policy.v1 import policy_pb2

DEFAULTS = Path(rules.__file__).parent / "defaults"


def a_set(directory: Path) -> str:
    """The shipped set with a card that tells of its training."""
    rng = np.random.default_rng(1)
    rows = rng.random((2_000, features.WIDTH)).astype(np.float32)
    card = orjson.loads((DEFAULTS / "ensemble.json").read_bytes())
    card["snapshot"] = drift.snapshot(rows, rng.random((2_000, len(OUTPUTS))).astype(np.float32))
    return write_policy_set(
        directory,
        [
            Part(policy_pb2.PART_KIND_SCORING_RULES, "outcomes", (DEFAULTS / "outcomes.yaml").read_bytes()),
            Part(policy_pb2.PART_KIND_MODEL, "ensemble", (DEFAULTS / "ensemble.onnx").read_bytes()),
            Part(policy_pb2.PART_KIND_MODEL_CARD, "ensemble", orjson.dumps(card)),
            Part(policy_pb2.PART_KIND_MODEL_CARD, "trees", (DEFAULTS / "trees.json").read_bytes()),
            Part(policy_pb2.PART_KIND_NORMS, "population", (DEFAULTS / "norms.json").read_bytes()),
        ],
    )


async def test_what_moved_is_told_once_a_day(tmp_path: Path, short_tmp_path: Path) -> None:
    engines = Engines(PolicySetCache(tmp_path))
    async with FakeMesh(short_tmp_path) as mesh:
        settings = ScoringSettings(
            ServerSettings("127.0.0.1:0"), tmp_path, alerts=ClientSettings(mesh.target("alerts"))
        )
        telemetry = start_telemetry("scoring", TelemetrySettings())
        async with Drifting(engines, settings, telemetry) as drifting:
            assert await drifting.look() == [], "nothing was decided yet"
            engine = await engines.get(a_set(tmp_path))
            assert engine.drift is not None
            rng = np.random.default_rng(2)
            rows = rng.random((3_000, features.WIDTH)).astype(np.float32)
            rows[:, 3] += 5.0
            engine.drift.add(rows, rng.random((3_000, len(OUTPUTS))).astype(np.float32))
            assert await drifting.look() == [features.NAMES[3]]
            await drifting.look()
        psi = telemetry.registry.get_sample_value("usher_scoring_drift_psi", {"column": features.NAMES[3]})
        assert psi is not None
        assert psi > drift.MOVED
        assert telemetry.registry.get_sample_value("usher_scoring_unexplained_decisions") == 0
        kinds = [one.kind for one in mesh.alerts.messages.values()]
        assert kinds == ["duty.drift"]
