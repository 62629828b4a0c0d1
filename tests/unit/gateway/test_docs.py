"""docs/events.md and docs/errors.md say what the code does."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from services.common import errors, event_json
from services.common.event_types import ALIASES, EVENT_TYPES
from usher.event.v1 import event_pb2

ROOT = Path(__file__).parents[3]
EVENTS = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
ERRORS = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")

_REASON = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*")
# Calls whose text in UPPER_SNAKE is a reason that somebody outside reads.
_MAKERS = {kind.__name__ for kind in errors.STATUS_CODES} | {
    "FieldViolation",
    "ItemError",
    "Failure",
    "Answer",
    "problem",
    "add",
    "_refuse",
    "refuse",
}


def fields(schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, child in schema["properties"].items():
        yield prefix + name
        if "properties" in child:
            yield from fields(child, f"{prefix}{name}.")


def rows(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]
        for line in text.splitlines()
        if line.startswith("| `")
    ]


def test_every_field_is_described_and_no_other() -> None:
    described = {row[0].strip("`") for row in rows(EVENTS.split("## Event types")[0])}
    assert described == set(fields(event_json.event_schema()))


def test_required_fields_are_marked() -> None:
    marked = {row[0].strip("`") for row in rows(EVENTS) if "**required**" in row[2]}
    assert marked == set(event_json.REQUIRED)


def test_further_names_are_accepted() -> None:
    for row in rows(EVENTS.split("## Event types")[0]):
        further = row[1].strip("` ")
        if further and further != "metadata":
            path = row[0].strip("`").split(".")[:-1]
            obj: dict[str, Any] = {further: []}
            for name in reversed(path):
                obj = {name: obj}
            violations = event_json.event_from_json(obj).unmapped.violations
            assert ".".join([*path, further]) in {item.field for item in violations}, row


def test_every_event_type_has_its_row() -> None:
    table = {row[0].strip("`"): row for row in rows(EVENTS.split("| type | class |")[1])}
    assert set(table) == set(EVENT_TYPES)
    for name, row in table.items():
        assert row[1] == event_pb2.EventClass.Name(EVENT_TYPES[name]).removeprefix("EVENT_CLASS_").lower()
        shown = set(re.findall(r"`([^`]+)`", row[2])) if len(row) > 2 else set()
        assert shown == {alias for alias, target in ALIASES.items() if target == name}


def reasons(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        values: list[ast.expr] = []
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in _MAKERS:
                values = [*node.args, *(item.value for item in node.keywords if item.arg == "reason")]
        elif isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            values = node.value.elts[:1]
        for value in values:
            text = value.value if isinstance(value, ast.Constant) else None
            if isinstance(text, str) and len(text) > 3 and _REASON.fullmatch(text):
                yield text


def test_every_reason_in_the_code_is_listed() -> None:
    listed = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", ERRORS))
    missing: dict[str, str] = {}
    for folder in ("services", "gateway", "cli"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for reason in reasons(ast.parse(path.read_text(encoding="utf-8"))):
                if reason not in listed:
                    missing[reason] = str(path.relative_to(ROOT))
    assert not missing


def test_the_search_for_reasons_finds_them() -> None:
    found = set(
        reasons(ast.parse((ROOT / "services" / "common" / "event_json.py").read_text(encoding="utf-8")))
    )
    assert {"MALFORMED_JSON", "WRONG_TYPE", "TOO_MANY_EVENTS", "TIME_OUT_OF_RANGE", "MISSING"} <= found


def test_statuses_of_the_edge_are_the_documented_ones() -> None:
    from gateway.problems import STATUS_OF_REASON

    documented = {
        row[0].strip("`"): row[2]
        for row in rows(ERRORS.split("## The whole call")[1].split("## Policy sets")[0])
    }
    for reason, status in STATUS_OF_REASON.items():
        assert documented[reason] == str(int(status)), reason
