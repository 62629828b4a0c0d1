"""Which facts make a condition true, false or unknown: a search that proves where there are none.

Conditions compare fields with constants and with each other, so a few representative values of each field stand for all
others: the constants themselves, their neighbours, one further word, and no value. The search assigns a field only when
the answer depends on it, and gives up a branch as soon as it is decided otherwise; what it does not find within its
budget does not count as impossible.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from services.compliance.expression import (
    Compare,
    FieldRef,
    Has,
    Intersects,
    Junction,
    ListOf,
    Literal,
    Node,
    Not,
    Schema,
    Type,
    Value,
)
from services.compliance.facts import CLOSED

MAX_STEPS = 2_000
"""Evaluations of one search; a search that ends there proves nothing. The longest of the shipped packs takes 73."""

MAX_PACK_STEPS = 20_000
"""Evaluations of all searches of one pack, so that no pack takes long to load, whatever it says."""

ANOTHER = "another"
"""A word that no condition names."""

_LISTS = (Type.STRINGS, Type.INTS)


class Verdict(enum.Enum):
    """What a search says of a rule's condition."""

    BOTH = "both"
    """It can hold and fail, or the search could not tell."""
    NEVER = "never"
    ALWAYS = "always"


class Variable(NamedTuple):
    """What a search assigns: a field, whether a list has a value, or whether a list holds an element."""

    path: str
    element: str | int | None = None
    """For an element of a list."""


Assignment = dict[Variable, Value]
"""Values found. A list's own variable holds whether it has a value at all, an element's whether it is in the list."""

Goal = tuple[Node, bool | None]
"""A condition and the answer that is wanted of it."""


class _OpenError(Exception):
    """The answer depends on a variable that has no value yet."""

    def __init__(self, variable: Variable) -> None:
        self.variable = variable


class _ExhaustedError(Exception):
    """The budget is spent."""


class Budget:
    """How many evaluations the searches of a pack may still make together."""

    def __init__(self, steps: int = MAX_PACK_STEPS) -> None:
        self.left = steps


def contradiction(
    given: Sequence[Node],
    condition: Node,
    schema: Schema,
    numbers: Mapping[str, tuple[int, ...]],
    budget: Budget | None = None,
) -> Verdict:
    """Whether, where the `given` conditions hold, `condition` can hold and can fail.

    `numbers` are the values of the pack's lookups by name.
    """
    search = Search([*given, condition], schema, numbers, budget)
    holding: list[Goal] = [(node, True) for node in given]
    try:
        if next(search.solutions([*holding, (condition, True)]), None) is None:
            return Verdict.NEVER
        if next(search.solutions([*holding, (condition, False)]), None) is None:
            return Verdict.ALWAYS
    except _ExhaustedError:
        return Verdict.BOTH
    return Verdict.BOTH


def possible(condition: Node, fixed: Mapping[str, Value]) -> bool:
    """Whether a condition can hold where some fields have the given values. True where that cannot be told."""
    search = Search([condition], None, {})
    start: Assignment = {Variable(path): value for path, value in fixed.items()}
    try:
        return next(search.solutions([(condition, True)], start), None) is not None
    except _ExhaustedError:
        return True


class Search:
    """Searches for facts, with the representative values that the conditions of `trees` give.

    `schema` gives the fields' types, so that comparisons of a field with a field have values; without it they are
    compared over the constants alone.
    """

    def __init__(
        self,
        trees: Sequence[Node],
        schema: Schema | None,
        numbers: Mapping[str, tuple[int, ...]],
        budget: Budget | None = None,
    ) -> None:
        self._budget = budget or Budget()
        self._schema = schema
        self._numbers = numbers
        self._constants: dict[str, dict[Value, None]] = {}
        self._linked: dict[str, set[str]] = {}
        self._lists: set[str] = set()
        for tree in trees:
            self._learn(tree)
        self._candidates: dict[str, tuple[Value, ...]] = {}
        self._steps = 0

    def solutions(self, goals: Sequence[Goal], start: Assignment | None = None) -> Iterator[Assignment]:
        """Assignments under which every condition has its wanted answer, in a fixed order.

        Raises an exception of its own where the budget is spent, which `bounded` turns into an end.
        """
        self._steps = 0
        yield from self._search(goals, dict(start or {}))

    def bounded(self, goals: Sequence[Goal], start: Assignment | None = None) -> Iterator[Assignment]:
        """As `solutions`, and ends where the budget is spent."""
        found = self.solutions(goals, start)
        while True:
            try:
                yield next(found)
            except (StopIteration, _ExhaustedError):
                return

    def _search(self, goals: Sequence[Goal], held: Assignment) -> Iterator[Assignment]:
        self._steps += 1
        self._budget.left -= 1
        if self._steps > MAX_STEPS or self._budget.left < 0:
            raise _ExhaustedError
        needed: Variable | None = None
        for node, wanted in goals:
            try:
                if self._answer(node, held) is not wanted:
                    return
            except _OpenError as error:
                needed = needed or error.variable
        if needed is None:
            yield dict(held)
            return
        for value in self._values(needed):
            held[needed] = value
            yield from self._search(goals, held)
        del held[needed]

    # --- the values that stand for all --------------------------------------------------------------

    def _learn(self, node: Node) -> None:
        match node:
            case Junction(_, operands):
                for operand in operands:
                    self._learn(operand)
            case Not(operand):
                self._learn(operand)
            case Intersects(left, right):
                for side in (left, right):
                    if isinstance(side, FieldRef):
                        self._lists.add(side.path)
            case Compare("in", left, right):
                if isinstance(right, FieldRef):
                    self._lists.add(right.path)
                    if isinstance(left, FieldRef):
                        self._constants.setdefault(left.path, {})
                elif isinstance(left, FieldRef) and isinstance(right, ListOf):
                    self._constants.setdefault(left.path, {}).update(dict.fromkeys(right.values))
            case Compare(_, FieldRef(left), FieldRef(right)):
                self._linked.setdefault(left, set()).add(right)
                self._linked.setdefault(right, set()).add(left)
            case Compare(_, FieldRef(path), Literal(value)) | Compare(_, Literal(value), FieldRef(path)):
                self._constants.setdefault(path, {})[value] = None
            case _:
                pass

    def _values(self, variable: Variable) -> tuple[Value, ...]:
        if variable.element is not None or variable.path in self._lists:
            return (True, False)
        known = self._candidates.get(variable.path)
        if known is None:
            known = self._candidates[variable.path] = self._representatives(variable.path)
        return known

    def _representatives(self, path: str) -> tuple[Value, ...]:
        if path in self._numbers:
            return self._numbers[path]
        if path in CLOSED:
            return CLOSED[path]
        kind = self._schema.types.get(path) if self._schema is not None else None
        if kind in _LISTS:
            return (True, False)
        constants = dict(self._constants.get(path, {}))
        for other in self._linked.get(path, ()):
            constants.update(dict.fromkeys(self._numbers.get(other, ())))
            constants.update(self._constants.get(other, {}))
        if (
            kind is Type.BOOL
            or (not constants and kind is None)
            or any(isinstance(c, bool) for c in constants)
        ):
            return (True, False, None)
        if kind is Type.STRING or any(isinstance(constant, str) for constant in constants):
            return (*constants, ANOTHER, None)
        integers = [constant for constant in constants if isinstance(constant, int)] or [1_000]
        near = dict.fromkeys(value + step for value in integers for step in (0, -1, 1) if value + step >= 0)
        return (*near, None)

    # --- Kleene's logic over what is assigned -------------------------------------------------------

    def _answer(self, node: Node, held: Assignment) -> bool | None:
        match node:
            case Literal(value):
                return bool(value)
            case Has(path):
                return self._has(path, held)
            case FieldRef(path):
                scalar = self._scalar(path, held)
                return None if scalar is None else bool(scalar)
            case Not(operand):
                inner = self._answer(operand, held)
                return None if inner is None else not inner
            case Junction(operator, operands):
                return self._junction(operator == "||", operands, held)
            case Intersects(left, right):
                return self._intersection(left, right, held)
            case Compare(operator, left, right):
                return self._comparison(operator, left, right, held)
        raise AssertionError(node)

    def _junction(self, deciding: bool, operands: Sequence[Node], held: Assignment) -> bool | None:
        result: bool | None = not deciding
        needed: _OpenError | None = None
        for operand in operands:
            try:
                value = self._answer(operand, held)
            except _OpenError as error:
                needed = needed or error
                continue
            if value is deciding:
                return value
            if value is None:
                result = None
        if needed is not None:
            raise needed
        return result

    def _has(self, path: str, held: Assignment) -> bool:
        if path in self._lists:
            return self._list_known(path, held)
        return self._scalar(path, held) is not None

    def _scalar(self, path: str, held: Assignment) -> Value:
        variable = Variable(path)
        if variable not in held:
            raise _OpenError(variable)
        return held[variable]

    def _list_known(self, path: str, held: Assignment) -> bool:
        return bool(self._scalar(path, held))

    def _holds(self, path: str, element: str | int, held: Assignment) -> bool:
        variable = Variable(path, element)
        if variable not in held:
            raise _OpenError(variable)
        return bool(held[variable])

    def _intersection(self, left: Node, right: Node, held: Assignment) -> bool | None:
        constant, field = (right, left) if isinstance(left, FieldRef) else (left, right)
        assert isinstance(field, FieldRef)
        if not self._list_known(field.path, held):
            return None
        if isinstance(constant, ListOf):
            return self._any(constant.values, lambda item: self._holds(field.path, item, held))
        assert isinstance(constant, FieldRef)
        if not self._list_known(constant.path, held):
            return None
        return self._holds(field.path, ANOTHER, held) and self._holds(constant.path, ANOTHER, held)

    @staticmethod
    def _any(items: Sequence[str | int], holds: object) -> bool:
        assert callable(holds)
        needed: _OpenError | None = None
        for item in items:
            try:
                if holds(item):
                    return True
            except _OpenError as error:
                needed = needed or error
        if needed is not None:
            raise needed
        return False

    def _comparison(self, operator: str, left: Node, right: Node, held: Assignment) -> bool | None:
        if operator == "in" and isinstance(right, FieldRef):
            element = self._side(left, held)
            known = self._list_known(right.path, held)
            if element is None or not known:
                return None
            assert isinstance(element, str | int)
            return self._holds(right.path, element, held)
        one = self._side(left, held)
        other = self._side(right, held)
        if one is None or other is None:
            return None
        match operator:
            case "==":
                return one == other
            case "!=":
                return one != other
            case "in":
                assert isinstance(other, tuple)
                return one in other
        assert isinstance(one, int)
        assert isinstance(other, int)
        match operator:
            case "<":
                return one < other
            case "<=":
                return one <= other
            case ">":
                return one > other
        return one >= other

    def _side(self, node: Node, held: Assignment) -> Value:
        match node:
            case Literal(value):
                return value
            case ListOf(values):
                return values
            case FieldRef(path):
                return self._scalar(path, held)
            case Has(path):
                return self._has(path, held)
        raise AssertionError(node)
