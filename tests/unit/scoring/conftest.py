from __future__ import annotations

from pathlib import Path

import pytest

from services.common.policy import Part as PolicyPart
from services.common.policy import PolicySet, read_policy_set, write_policy_set
from services.scoring.engine import Engine
from tests.unit.scoring.builders import DEFAULTS
from usher.policy.v1 import policy_pb2


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
            PolicyPart(kind, name, replaced.get(file) or (DEFAULTS / file.replace("_", ".")).read_bytes())
            for kind, name, file in parts
        ],
    )


@pytest.fixture(scope="session")
def policy_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("policies")


@pytest.fixture(scope="session")
def policy_set(policy_directory: Path) -> PolicySet:
    return read_policy_set(policy_directory, write_scoring_set(policy_directory))


@pytest.fixture(scope="session")
def engine(policy_set: PolicySet) -> Engine:
    return Engine(policy_set)
