"""The table "Callers per RPC" of docs/architecture.md is the allow-list, both ways."""

from __future__ import annotations

import re
from pathlib import Path

from services.common.callers import CALLERS

ARCHITECTURE = Path(__file__).parent.parent / "docs" / "architecture.md"
HEADING = re.compile(r"^#+\s+Callers per RPC\s*$", re.MULTILINE)


def documented() -> dict[str, frozenset[str]]:
    """Reads rows such as: | `usher.fraud.v1.FraudService/AssessEvents` | ingest, gateway |"""
    text = ARCHITECTURE.read_text(encoding="utf-8")
    heading = HEADING.search(text)
    assert heading is not None, "docs/architecture.md has no heading 'Callers per RPC'"
    section = re.split(r"^#", text[heading.end() :], maxsplit=1, flags=re.MULTILINE)[0]
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in section.splitlines()
        if line.strip().startswith("|")
    ]
    assert rows[0] == ["RPC", "Callers"], rows[0]
    table: dict[str, frozenset[str]] = {}
    for rpc, callers in rows[2:]:
        method = "/" + rpc.strip("`").lstrip("/")
        assert method not in table, f"{method} has two rows"
        table[method] = frozenset(name.strip(" `") for name in callers.split(",") if name.strip(" `"))
    return table


def test_the_document_is_the_allow_list() -> None:
    assert documented() == CALLERS


def test_every_rpc_names_its_callers() -> None:
    assert CALLERS
    for method, callers in CALLERS.items():
        assert re.fullmatch(r"/usher\.[a-z]+\.v1\.[A-Za-z]+Service/[A-Za-z]+", method), method
        assert callers, f"{method} is callable by nobody"
