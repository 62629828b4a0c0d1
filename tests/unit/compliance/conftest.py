"""Fixtures of the compliance tests."""

from __future__ import annotations

from pathlib import Path

import pytest

import services.compliance
from services.compliance.evaluate import Law
from services.compliance.packs import load_packs


@pytest.fixture(scope="session")
def law() -> Law:
    """The packs that the service ships."""
    folder = Path(services.compliance.__file__).parent / "packs"
    return Law(load_packs({path.stem: path.read_bytes() for path in folder.glob("*.yaml")}))
