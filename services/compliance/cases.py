"""Worked cases: events written as legal facts in YAML, with the answer that is expected of the law.

A file is a mapping with `cases`, or the list itself. A case has an `id` and an `event`: `event_time` and the facts of
`Event.privacy` by the names that senders use (docs/privacy-facts.md); `event_type`, `region`, `is_eu` and `has_consent`
are the event's own. `expected` holds `applicable`, `violations` (regulation, article, reason) and `outcome`, and both
lists with `_optional`: entries that may be there or not. Other keys are for people.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from services.common.event_json import event_from_json, event_schema
from services.compliance.evaluate import Law
from services.compliance.facts import is_own_right, read_facts
from services.compliance.packs import PackError, parse_yaml
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2

MAX_BYTES = 20_000_000
MAX_CASES = 20_000
MAX_VALUES = 2_000
"""Values of one case's event."""
MAX_LEVELS = 8
"""Levels of one case's event."""

_OWN_FIELDS = frozenset({"event_time", "event_type", "region", "is_eu", "has_consent"})
_OUTCOMES = {
    decision_pb2.COMPLIANCE_STATUS_COMPLIANT: "compliant",
    decision_pb2.COMPLIANCE_STATUS_VIOLATION: "violation",
    decision_pb2.COMPLIANCE_STATUS_GAP: "gap",
}


class CaseError(ValueError):
    """A file or a case that cannot be read; the text says where and why."""


class Case(NamedTuple):
    """One case."""

    id: str
    line: int
    """Of its file, from 1."""
    event: event_pb2.Event
    problems: tuple[str, ...]
    """What makes it impossible to evaluate."""
    unread: tuple[str, ...]
    """Facts with a value that cannot be read: they are taken as unknown."""
    unknown: tuple[str, ...]
    """Facts that no rule can ask for, each with the nearest one that there is."""
    expected: Mapping[str, Any] | None


def read_cases(document: bytes) -> list[Case]:
    """The cases of a file, in order. Raises CaseError where it is none."""
    if len(document) > MAX_BYTES:
        raise CaseError(f"a file of cases has at most {MAX_BYTES:,} bytes, this one {len(document):,}")
    try:
        tree = parse_yaml(document, aliases=True)
    except PackError as error:
        raise CaseError(str(error)) from error
    cases = tree.get("cases") if isinstance(tree, dict) else tree
    if not isinstance(cases, list):
        raise CaseError("write a list of cases, or a mapping whose key `cases` holds it")
    if len(cases) > MAX_CASES:
        raise CaseError(f"a file holds at most {MAX_CASES:,} cases, this one {len(cases):,}")
    return [_case(case, number) for number, case in enumerate(cases, start=1)]


def _case(tree: Any, number: int) -> Case:
    line = getattr(tree, "line", 0)
    if not isinstance(tree, dict):
        problem = "a case is a mapping with `id` and `event`"
        return Case(f"case {number}", line, event_pb2.Event(), (problem,), (), (), None)
    name = str(tree.get("id") or f"case {number}")
    told = tree.get("event")
    if not isinstance(told, dict):
        return Case(name, line, event_pb2.Event(), ("its `event` is not a mapping",), (), (), None)
    if not _fits(told, 0, [MAX_VALUES]):
        problem = (
            f"its `event` holds itself, more than {MAX_VALUES:,} values or more than {MAX_LEVELS} levels"
        )
        return Case(name, line, event_pb2.Event(), (problem,), (), (), None)
    expected = tree.get("expected")
    event = event_from_json(
        {
            "event_id": f"case-{number}",
            "user_id": "case",
            "device_id": "case",
            "event_type": "play",
            # A place that no law is about, and an address that has none: the legal facts alone speak.
            "region": "ZZ",
            "ip_address": "192.0.2.1",
            **{key: value for key, value in told.items() if key in _OWN_FIELDS},
            "privacy": {key: value for key, value in told.items() if key not in _OWN_FIELDS},
        }
    )
    problems = tuple(
        f"{item.field.removeprefix('privacy.')}: {item.message}".replace("timestamp", "event_time")
        for item in event.unmapped.violations
    )
    unknown = tuple(_suggest(path) for path in _paths(orjson.loads(event.unknown_json or b"{}")))
    # Without its time nothing is known of the law in force; any other fact may be missing.
    fatal = tuple(problem for problem in problems if problem.startswith("event_time"))
    return Case(
        name,
        line,
        event,
        fatal,
        tuple(problem for problem in problems if problem not in fatal),
        unknown,
        expected if isinstance(expected, dict) else None,
    )


def _fits(tree: Any, level: int, left: list[int]) -> bool:
    """Whether a tree is a small one: with aliases a short text may stand for an endless one."""
    left[0] -= 1
    if level > MAX_LEVELS or left[0] < 0:
        return False
    inner = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return all(_fits(item, level + 1, left) for item in inner)


def _paths(tree: Any, prefix: str = "") -> list[str]:
    if not isinstance(tree, dict):
        return [prefix]
    return [
        path for key, value in tree.items() for path in _paths(value, f"{prefix}.{key}" if prefix else key)
    ]


def _known() -> list[str]:
    return [
        path.removeprefix("privacy.") for path in _schema_paths(event_schema()) if path.startswith("privacy.")
    ]


def _schema_paths(schema: Mapping[str, Any], prefix: str = "") -> list[str]:
    found: list[str] = []
    for name, inner in schema.get("properties", {}).items():
        path = f"{prefix}.{name}" if prefix else name
        found += _schema_paths(inner, path) if "properties" in inner else [path]
    return found


def _suggest(path: str) -> str:
    path = path.removeprefix("privacy.")
    close = difflib.get_close_matches(path, _known(), n=1)
    return f"{path} (did you mean {close[0]}?)" if close else path


def evaluate_case(law: Law, case: Case) -> dict[str, Any]:
    """What the law says of a case: `id`, `applicable`, `violations`, `gaps`, `outcome`; or `id` and `error`."""
    if case.problems:
        return {"id": case.id, "error": "; ".join(case.problems)}
    own_right = is_own_right(case.event.event_type)
    answer = law.evaluate(read_facts(case.event, "", own_right=own_right))
    verdict = decision_pb2.Verdict.FromString(answer.verdict)
    violations = {(finding.regulation, finding.article, finding.reason): None for finding in verdict.findings}
    return {
        "id": case.id,
        "applicable": list(verdict.applicable),
        "violations": [
            {"regulation": regulation, "article": article, "reason": reason}
            for regulation, article, reason in violations
        ],
        "gaps": [
            {
                "regulation": gap.regulation,
                "article": gap.article,
                "rule": gap.rule,
                "missing": [path.removeprefix("privacy.") for path in gap.missing],
            }
            for gap in verdict.gaps
        ],
        "outcome": _OUTCOMES[verdict.status],
    }


def differences(case: Case, answer: Mapping[str, Any]) -> list[str]:
    """In what an answer is not the expected one; empty where it is, or where nothing is expected."""
    if case.expected is None:
        return []
    if "error" in answer:
        return [str(answer["error"])]
    found: list[str] = []
    expected = case.expected
    wanted = set(_names(expected.get("applicable")))
    allowed = wanted | set(_names(expected.get("applicable_optional")))
    given = set(answer["applicable"])
    found += [f"{name} should apply" for name in sorted(wanted - given)]
    found += [f"{name} should not apply" for name in sorted(given - allowed)]
    demanded = _triples(expected.get("violations"))
    accepted = demanded | _triples(expected.get("violations_optional"))
    violated = _triples(answer["violations"])
    found += [f"missing: {' '.join(item)}" for item in sorted(demanded - violated)]
    found += [f"not expected: {' '.join(item)}" for item in sorted(violated - accepted)]
    if expected.get("outcome") and expected["outcome"] != answer["outcome"]:
        found.append(f"outcome {answer['outcome']}, expected {expected['outcome']}")
    return found


def _names(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def _triples(value: Any) -> set[tuple[str, str, str]]:
    items: Sequence[Any] = value if isinstance(value, list) else []
    return {
        (str(item.get("regulation")), str(item.get("article")), str(item.get("reason")))
        for item in items
        if isinstance(item, dict)
    }
