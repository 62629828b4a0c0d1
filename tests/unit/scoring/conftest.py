from __future__ import annotations

from pathlib import Path

import pytest

from services.common.policy import PolicySet, read_policy_set
from services.scoring.engine import Engine
from tests.unit.scoring.builders import write_scoring_set


@pytest.fixture(scope="session")
def policy_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("policies")


@pytest.fixture(scope="session")
def policy_set(policy_directory: Path) -> PolicySet:
    return read_policy_set(policy_directory, write_scoring_set(policy_directory))


@pytest.fixture(scope="session")
def engine(policy_set: PolicySet) -> Engine:
    return Engine(policy_set)
