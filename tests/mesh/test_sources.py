"""Every way in at once, under kills: the sender's ledger and ours agree id by id. A short `bench.drills sources`."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.drills import sources


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.xdist_group("faults")
def test_every_way_in_at_once_survives_kills(tmp_path: Path) -> None:
    found = sources.drill(tmp_path, None, kills=4, seed=11, step=lambda what: None)

    assert found.violations == []
    assert all(found.sent[way] for way in ("grpc", "http", "kafka", "redis", "file"))
    assert found.poison
    assert found.repeated, "what was accepted before a kill, or came by two ways, was known"
