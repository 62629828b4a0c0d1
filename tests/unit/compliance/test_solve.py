"""The search for facts: what it finds is so, and what it says is impossible is."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import example, given, settings

from services.compliance.expression import Schema, Type, compile_expression
from services.compliance.facts import HANDLING
from services.compliance.packs import PackError, load_pack
from services.compliance.solve import Budget, Search, Variable, Verdict, contradiction, possible
from tests.unit.compliance.test_expression import CONDITIONS, SCHEMA, joined, leaf_of, negated

NUMBERS: dict[str, tuple[int, ...]] = {}


def verdict(condition: str, *given_: str, schema: Schema = SCHEMA, **numbers: tuple[int, ...]) -> Verdict:
    trees = [compile_expression(text, schema).tree for text in given_]
    return contradiction(trees, compile_expression(condition, schema).tree, schema, numbers)


@pytest.mark.parametrize(
    ("condition", "given_", "expected"),
    [
        ("age < 13", (), Verdict.BOTH),
        ("age < 13 && age > 12", (), Verdict.NEVER),
        ("age < 13 && age >= 12", (), Verdict.BOTH),
        ("age < 13", ("age >= 13",), Verdict.NEVER),
        ("age < 13", ("age < 12",), Verdict.ALWAYS),
        ("age != 5", ("age < 5",), Verdict.ALWAYS),
        ('purpose == "a"', ('purpose in ["b", "c"]',), Verdict.NEVER),
        ('purpose in ["b", "c"]', ('purpose in ["b", "c"]',), Verdict.ALWAYS),
        ('purpose != "a"', ('purpose == "b"',), Verdict.ALWAYS),
        ("has(age)", ("age < 3",), Verdict.ALWAYS),
        ("shared && !shared", (), Verdict.NEVER),
        ("shared || minor", ("!shared && !minor",), Verdict.NEVER),
        ("purpose in consent.scope", ('purpose == "a" && !("a" in consent.scope)',), Verdict.NEVER),
        ('"a" in consent.scope', ('sets.intersects(consent.scope, ["a"])',), Verdict.ALWAYS),
        ('sets.intersects(consent.scope, ["a", "b"])', ('"b" in consent.scope',), Verdict.ALWAYS),
        ('event_time >= "2026-01-26"', ('event_time < "2025-01-01"',), Verdict.NEVER),
        ("4 in purposes", ("!has(purposes)",), Verdict.NEVER),
    ],
)
def test_contradictions(condition: str, given_: tuple[str, ...], expected: Verdict) -> None:
    assert verdict(condition, *given_) is expected


def test_a_number_of_the_pack_takes_its_own_values() -> None:
    schema = SCHEMA.extended([("limit", Type.INT)])

    assert verdict("age < limit", "age >= 13", schema=schema, limit=(13, 16)) is Verdict.BOTH
    assert verdict("age < limit", "age >= 16", schema=schema, limit=(13, 16)) is Verdict.NEVER


def test_consent_has_no_other_states() -> None:
    schema = Schema([("consent.status", Type.STRING), (HANDLING, Type.STRING)])
    states = '["granted", "absent", "withdrawn", "expired"]'

    assert (
        verdict(f'!(consent.status in {states}) && consent.status != "not_required"', schema=schema)
        is Verdict.NEVER
    )


def test_possible() -> None:
    trigger = compile_expression('purpose == "a" && shared', SCHEMA).tree

    assert possible(trigger, {"purpose": "a"})
    assert not possible(trigger, {"purpose": "b"})
    assert not possible(trigger, {"shared": None})


def test_a_search_that_is_too_long_proves_nothing() -> None:
    many = [(f"f{number}", Type.INT) for number in range(40)]
    schema = Schema(many)
    # No two neighbours are equal, and the first equals the last: a puzzle, not a condition.
    parts = [f"f{number} != f{number + 1}" for number in range(39)]
    text = " && ".join([*parts, *[f"f{number} in [1, 2]" for number in range(40)], "f0 == f39"])

    assert verdict(text, schema=schema) is Verdict.BOTH


def test_a_pack_has_one_budget_for_all_its_rules() -> None:
    tree = compile_expression("age < 13 && age > 12", SCHEMA).tree

    assert contradiction([], tree, SCHEMA, NUMBERS, Budget(1)) is Verdict.BOTH
    assert contradiction([], tree, SCHEMA, NUMBERS, Budget()) is Verdict.NEVER


def domain(path: str) -> list[Any]:
    """Every value that matters to the conditions of the property."""
    kind = SCHEMA.types[path]
    if path == "age":
        return [None, *range(7)]
    if path == "purpose":
        return [None, "a", "b", "c", "z", "other"]
    if kind is Type.STRINGS:
        return [
            None,
            *itertools.chain.from_iterable(itertools.combinations("abcq", size) for size in range(5)),
        ]
    return [None, True, False]


@settings(max_examples=60, deadline=None)
@given(CONDITIONS)
@example(joined("||", [leaf_of(("scope", "!=", 0)), negated(leaf_of(("shares", "!=", 0)))]))
def test_agrees_with_trying_everything(condition: tuple[str, Any]) -> None:
    compiled = compile_expression(condition[0], SCHEMA)
    paths = list(compiled.fields)
    answers = set()
    for values in itertools.product(*(domain(path) for path in paths)):
        row = dict(zip(paths, values, strict=True))
        answers.add(compiled.test([row.get(path) for path in SCHEMA.types]))
    found = contradiction([], compiled.tree, SCHEMA, NUMBERS)

    expected = (
        Verdict.NEVER if True not in answers else Verdict.ALWAYS if False not in answers else Verdict.BOTH
    )
    assert found is expected


@settings(max_examples=60, deadline=None)
@given(CONDITIONS)
def test_what_is_found_is_so(condition: tuple[str, Any]) -> None:
    compiled = compile_expression(condition[0], SCHEMA)
    search = Search([compiled.tree], SCHEMA, NUMBERS)
    for wanted in (True, False, None):
        for found in itertools.islice(search.bounded([(compiled.tree, wanted)]), 5):
            values: list[Any] = [found.get(Variable(path)) for path in SCHEMA.types]
            position = SCHEMA.positions["consent.scope"]
            if values[position] is not None:
                held = [
                    item.element
                    for item, value in found.items()
                    if item.path == "consent.scope" and value is True
                ]
                values[position] = (
                    tuple(item for item in held if item is not None) if values[position] else None
                )
            assert compiled.test(values) is wanted


@settings(max_examples=80, deadline=None)
@given(
    CONDITIONS.map(
        lambda condition: condition[0].replace("age", "user_age").replace("shared", "child_directed")
    )
)
def test_any_pack_loads_or_is_refused_with_a_line(condition: str) -> None:
    document = f"""
id: XX_LAW
short_name: Law
name: A law
version: "1"
jurisdictions: [XK]
scope: {{article: s.1, by: [residence]}}
rules:
  - id: a_rule
    article: s.2
    reason: PURPOSE_LIMITATION
    summary: Says something.
    condition: '{condition}'
    severity: 3
    remedy: stop_processing
    affects: purposes
    verification: verified
"""
    try:
        problems: tuple[str, ...] = ()
        load_pack(document.encode())
    except PackError as error:
        problems = error.problems

    assert len(problems) <= 1
    assert all(problem.startswith("line ") for problem in problems)
