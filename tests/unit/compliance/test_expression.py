"""The language of conditions: what it accepts, what it refuses, and that its logic is Kleene's."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.compliance.expression import (
    MAX_CHARACTERS,
    ExpressionError,
    Schema,
    Type,
    compile_expression,
    missing_fields,
    parse_instant,
)

SCHEMA = Schema(
    [
        ("age", Type.INT),
        ("purpose", Type.STRING),
        ("consent.status", Type.STRING),
        ("consent.scope", Type.STRINGS),
        ("purposes", Type.INTS),
        ("shared", Type.BOOL),
        ("minor", Type.BOOL),
        ("event_time", Type.TIME),
        ("aware_time", Type.TIME),
    ]
)
LISTS = {"ADS": ["ads", "tracking"], "PRIMES": [2, 3, 5]}


def evaluate(text: str, **known: Any) -> bool | None:
    values = [known.get(path.replace(".", "_")) for path in SCHEMA.types]
    return compile_expression(text, SCHEMA, LISTS).test(values)


@pytest.mark.parametrize(
    ("text", "known", "expected"),
    [
        ("age < 13", {"age": 12}, True),
        ("age < 13", {"age": 13}, False),
        ("13 <= age", {"age": 13}, True),
        ("age >= -1", {"age": 0}, True),
        ("age == 13", {}, None),
        ('purpose == "ads"', {"purpose": "ads"}, True),
        ("purpose != 'ads'", {"purpose": "ads"}, False),
        (r'purpose == "a\"b\\c\nd"', {"purpose": 'a"b\\c\nd'}, True),
        ("purpose in ADS", {"purpose": "tracking"}, True),
        ('purpose in ["ads"]', {"purpose": "basic"}, False),
        ('!(purpose in ["ads"])', {}, None),
        ("purpose in consent.scope", {"purpose": "ads", "consent_scope": ("ads",)}, True),
        ("purpose in consent.scope", {"purpose": "ads", "consent_scope": ()}, False),
        ("purpose in consent.scope", {"purpose": "ads"}, None),
        ("4 in purposes", {"purposes": (2, 4)}, True),
        ("age in PRIMES", {"age": 4}, False),
        ("shared", {"shared": True}, True),
        ("shared == false", {"shared": False}, True),
        ("has(age) && age < 13", {}, False),
        ("has(consent.scope)", {"consent_scope": ()}, True),
        ("has(age) == shared", {"shared": False}, True),
        ("sets.intersects(consent.scope, ADS)", {"consent_scope": ("x", "ads")}, True),
        ("sets.intersects(ADS, consent.scope)", {"consent_scope": ("x",)}, False),
        ("sets.intersects(consent.scope, ADS)", {"consent_scope": ()}, False),
        ("sets.intersects(consent.scope, ADS)", {}, None),
        ("!sets.intersects(consent.scope, ['ads'])", {"consent_scope": ("ads",)}, False),
        ("sets.intersects(consent.scope, consent.scope)", {"consent_scope": ("a",)}, True),
        ("sets.intersects(purposes, PRIMES)", {"purposes": (4, 5)}, True),
        ('event_time >= "2026-01-26"', {"event_time": 1_769_385_600}, True),
        ('event_time >= "2026-01-26"', {"event_time": 1_769_385_599}, False),
        ('"2026-01-26T00:00:01Z" <= event_time', {"event_time": 1_769_385_600}, False),
        ("aware_time < event_time", {"event_time": 2, "aware_time": 1}, True),
        ("aware_time < event_time", {"event_time": 2}, None),
        ("true", {}, True),
        ("true && shared || minor", {"shared": False, "minor": True}, True),
        ("minor || true && shared", {"shared": False, "minor": True}, True),
        ("!shared || minor", {"shared": True, "minor": False}, False),
        ("!!shared", {"shared": True}, True),
    ],
)
def test_value(text: str, known: dict[str, Any], expected: bool | None) -> None:
    assert evaluate(text, **known) is expected


def test_literal_dates_are_utc() -> None:
    # 2026-01-26 is 20,479 days after 1970-01-01: 56 years of 365 days, 14 leap days (1972 to 2024), 25 days.
    assert parse_instant("2026-01-26") == (56 * 365 + 14 + 25) * 86_400
    assert compile_expression('event_time < "2026-01-26"', SCHEMA).instants == (1_769_385_600,)


# Kleene's tables, by hand: rows true, unknown, false.
KNOWN = {"T": True, "U": None, "F": False}
AND = {"TT": "T", "TU": "U", "TF": "F", "UT": "U", "UU": "U", "UF": "F", "FT": "F", "FU": "F", "FF": "F"}
OR = {"TT": "T", "TU": "T", "TF": "T", "UT": "T", "UU": "U", "UF": "U", "FT": "T", "FU": "U", "FF": "F"}


@pytest.mark.parametrize(("operator", "table"), [("&&", AND), ("||", OR)])
def test_kleene_tables(operator: str, table: dict[str, str]) -> None:
    test = compile_expression(f"shared {operator} minor", SCHEMA).test
    for (left, right), expected in ((key, KNOWN[value]) for key, value in table.items()):
        values = [None] * len(SCHEMA.types)
        values[SCHEMA.positions["shared"]] = KNOWN[left]
        values[SCHEMA.positions["minor"]] = KNOWN[right]
        assert test(values) is expected, f"{left} {operator} {right}"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "unexpected the end"),
        ("age <", "unexpected the end"),
        ("age < 13)", "unexpected ')'"),
        ("(age < 13", "expected ')'"),
        ("age < 13 && ", "unexpected the end"),
        ("age < 13 < 14", "do not chain"),
        ("agee < 13", "did you mean age?"),
        ("status == 'x'", "did you mean consent.status?"),
        ("consent.state == 'x'", "did you mean consent.status?"),
        ("PRIME == 1", "did you mean PRIMES?"),
        ("__class__ == 'x'", "there is no field"),
        ("size(purpose) > 1", "no calls"),
        ("size(purpose) > 1", "only has(field)"),
        ("sets.intersects(purpose, ADS)", "compares lists, purpose is none"),
        ("sets.intersects(ADS, ['x'])", "it never changes"),
        ("sets.intersects(purposes, ADS)", "lists of one type"),
        ("sets.intersects(consent.scope)", "expected ','"),
        ("sets.intersects(consent.scope, ADS", "expected ')'"),
        ("sets.intersects(shared, ADS)", "compares lists"),
        ("sets.contains(consent.scope, ADS)", "there are no calls"),
        ("sets.intersects(" * 100 + "ADS", "nests at most"),
        ("has(nothing)", "there is no field"),
        ("has(age", "expected ')'"),
        ("has(1)", "has() takes a field"),
        ("age + 1 < 13", "cannot read"),
        ("age < 1.5", "cannot read"),
        ("age < 13; import os", "cannot read"),
        ("purpose == `x`", "cannot read"),
        ("age ? true : false", "cannot read"),
        ('purpose == "x', "cannot read"),
        (r'purpose == "\x41"', "cannot read"),
        ("purpose == 1", "values of one type"),
        ("shared == 1", "values of one type"),
        ("age in ADS", "a value and a list of its type"),
        ("ADS in purpose", "a value and a list of its type"),
        ("purpose in []", "is empty"),
        ("purpose in ['a', 1]", "not both"),
        ("purpose in [age]", "a list holds literal"),
        ("consent.scope == ADS", "use `in`"),
        ("purpose < 'x'", "orders ints and times"),
        ("shared < true", "orders ints and times"),
        ("age", "a condition is true or false"),
        ("ADS", "a condition is true or false"),
        ("age && shared", "joins conditions"),
        ("!purpose", "joins conditions"),
        ("(age < 1) == shared", "compares values, not conditions"),
        ("1 < 2", "names no field"),
        ("event_time > 5", "values of one type"),
        ("event_time > purpose", "a time is compared with"),
        ('event_time > "tomorrow"', "is not a date"),
        ('event_time > "2026-02-30"', "day is out of range"),
        ("age < 99999999999999999999", "64 bits"),
        ("age < " + "9" * 3_000, "64 bits"),
        ("(" * 200 + "shared" + ")" * 200, "nests at most"),
        ("!" * 200 + "shared", "nests at most"),
        ("||".join(["shared"] * 500), "at most 500 nodes"),
        ("shared || " + " " * MAX_CHARACTERS + "minor", "at most 4,000 characters"),
    ],
)
def test_refusal(text: str, complaint: str) -> None:
    with pytest.raises(ExpressionError, match=re.escape(complaint)):
        compile_expression(text, SCHEMA, LISTS)


def test_missing_names_what_the_unknown_rests_on() -> None:
    compiled = compile_expression('(purpose == "ads" || shared) && age < 13 && has(minor)', SCHEMA)
    values: list[Any] = [None] * len(SCHEMA.types)
    values[SCHEMA.positions["minor"]] = True

    assert missing_fields(compiled.tree, SCHEMA, values) == ["purpose", "shared", "age"]
    values[SCHEMA.positions["shared"]] = True
    assert missing_fields(compiled.tree, SCHEMA, values) == ["age"]
    values[SCHEMA.positions["age"]] = 13
    assert missing_fields(compiled.tree, SCHEMA, values) == []


def test_the_deepest_condition_compiles() -> None:
    text = "shared"
    for _ in range(39):
        text = f"(minor || shared && {text})"

    assert evaluate(text, shared=True, minor=False) is True
    assert evaluate(text, shared=False, minor=None) is None


# Random conditions, each with an oracle that computes in numbers: false 0, unknown 1/2, true 1; not x is 1 - x, and
# is the minimum, or the maximum (Kleene's strong logic as Lukasiewicz's three values have it).
Values = dict[str, Any]
Oracle = Callable[[Values], float]

ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def leaf_of(parts: tuple[str, str, int]) -> tuple[str, Oracle]:
    kind, operator, number = parts
    word = "abc"[number % 3]
    match kind:
        case "order":
            return f"age {operator} {number}", lambda v: known(v["age"], lambda x: ORDER[operator](x, number))
        case "word":
            equal = "==" if operator in ("==", "<", ">") else "!="
            return (
                f'purpose {equal} "{word}"',
                lambda v: known(v["purpose"], lambda x: ORDER[equal](x, word)),
            )
        case "in":
            return f'purpose in ["{word}", "z"]', lambda v: known(v["purpose"], lambda x: x in (word, "z"))
        case "scope":
            return f'"{word}" in consent.scope', lambda v: known(v["consent.scope"], lambda x: word in x)
        case "shares":
            return (
                f'sets.intersects(consent.scope, ["{word}", "q"])',
                lambda v: known(v["consent.scope"], lambda x: word in x),
            )
        case "has":
            return "has(age)", lambda v: float(v["age"] is not None)
        case "literal":
            return ("true", lambda v: 1.0) if number % 2 else ("false", lambda v: 0.0)
    return "shared", lambda v: known(v["shared"], bool)


def known(value: Any, test: Callable[[Any], bool]) -> float:
    return 0.5 if value is None else float(test(value))


def negated(inner: tuple[str, Oracle]) -> tuple[str, Oracle]:
    return f"!({inner[0]})", lambda v: 1 - inner[1](v)


def joined(operator: str, operands: list[tuple[str, Oracle]]) -> tuple[str, Oracle]:
    choose: Callable[[list[float]], float] = min if operator == "&&" else max
    text = f" {operator} ".join(f"({operand[0]})" for operand in operands)
    return text, lambda v: choose([operand[1](v) for operand in operands])


LEAVES = st.tuples(
    st.sampled_from(["order", "word", "in", "scope", "shares", "has", "literal", "shared"]),
    st.sampled_from(sorted(ORDER)),
    st.integers(0, 5),
).map(leaf_of)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: (
        inner.map(negated)
        | st.builds(joined, st.sampled_from(["&&", "||"]), st.lists(inner, min_size=2, max_size=4))
    ),
    max_leaves=12,
)
VALUES = st.fixed_dictionaries(
    {
        "age": st.none() | st.integers(0, 5),
        "purpose": st.none() | st.sampled_from(["a", "b", "z"]),
        "consent.scope": st.none() | st.lists(st.sampled_from(["a", "b"]), max_size=2).map(tuple),
        "shared": st.none() | st.booleans(),
    }
)


@given(CONDITIONS, st.lists(VALUES, min_size=1, max_size=5))
def test_agrees_with_the_oracle(condition: tuple[str, Oracle], rows: list[Values]) -> None:
    text, oracle = condition
    compiled = compile_expression(text, SCHEMA)
    for row in rows:
        values = [row.get(path) for path in SCHEMA.types]
        result = compiled.test(values)
        assert result is {0.0: False, 0.5: None, 1.0: True}[oracle(row)]
        missing = missing_fields(compiled.tree, SCHEMA, values)
        assert (result is None) == bool(missing)
        assert all(row[path] is None for path in missing)


@given(CONDITIONS, VALUES, VALUES)
def test_learning_a_fact_never_reverses_an_answer(
    condition: tuple[str, Oracle], row: Values, more: Values
) -> None:
    """Kleene's logic is monotonic: what is known stays known when unknown facts become known."""
    compiled = compile_expression(condition[0], SCHEMA)
    before = compiled.test([row.get(path) for path in SCHEMA.types])
    # has() asks for the absence itself, and is left out.
    if before is None or "has(" in condition[0]:
        return
    learnt = {path: more[path] if value is None else value for path, value in row.items()}
    assert compiled.test([learnt.get(path) for path in SCHEMA.types]) is before


@given(
    st.text(max_size=60)
    | st.lists(
        st.sampled_from(
            [
                "age",
                "has",
                "(",
                ")",
                "[",
                "]",
                "&&",
                "||",
                "!",
                "==",
                "<",
                "in",
                "1",
                '"a"',
                ",",
                "shared",
                " ",
                "\n",
                "sets.intersects(",
                "consent.scope",
                "ADS",
                "event_time",
                '"2026-01-26"',
            ]
        ),
        max_size=20,
    ).map("".join)
)
def test_any_text_compiles_or_is_refused(text: str) -> None:
    try:
        compiled = compile_expression(text, SCHEMA, LISTS)
    except ExpressionError:
        return
    assert compiled.test([None] * len(SCHEMA.types)) in (True, False, None)
