"""Every rule of every shipped pack can be violated, can be kept, and can lack a fact: by events made from the pack."""

from __future__ import annotations

from pathlib import Path

import pytest

import services.compliance
from services.compliance.evaluate import Law
from services.compliance.packs import Pack, load_packs
from tests.unit.compliance.exemplars import KEEPS, LACKS, VIOLATES, exemplar

FOLDER = Path(services.compliance.__file__).parent / "packs"
PACKS = load_packs({path.stem: path.read_bytes() for path in FOLDER.glob("*.yaml")})


@pytest.mark.parametrize("pack", PACKS, ids=lambda pack: pack.id)
def test_every_rule_has_its_three_events(pack: Pack) -> None:
    law = Law([pack])

    missing = [
        (rule.id, wanted)
        for rule in pack.rules
        for wanted in (VIOLATES, KEEPS, LACKS)
        if exemplar(law, pack, rule, wanted) is None
    ]

    assert missing == []
