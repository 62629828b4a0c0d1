from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes import FakeMesh


@pytest.fixture
async def mesh(short_tmp_path: Path) -> AsyncIterator[FakeMesh]:
    """The four services that ingest asks, as fakes."""
    async with FakeMesh(short_tmp_path) as running:
        yield running


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite database of the test's own."""
    return f"sqlite:///{tmp_path}/ingest.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """Each of the two databases in turn."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    return str(request.getfixturevalue(name))
