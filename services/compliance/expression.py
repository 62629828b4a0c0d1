"""A small typed language for the conditions of rules, with exact three-valued logic.

The syntax is a subset of CEL's (https://github.com/google/cel-spec), so that operators know it::

    legal_basis_claimed == "consent" && !(purpose in consent.scope)
    has(user_age) && user_age < 13

Literals are 64-bit integers, strings and booleans; a list is a literal, a list named by the pack, or a field. Operators:
`&& || ! == != < <= > >= in`, parentheses, `has(field)` and `sets.intersects(list, list)` (whether two lists share a
value; the name is that of CEL's extension). There are no other calls, no arithmetic, no loops and no access to anything
but the fields of the schema. A time is compared with another time field or with a literal date
(`event_time >= "2026-01-26"`, midnight UTC).

A field without a value is unknown, and so is every comparison with it; `&&`, `||` and `!` follow Kleene's strong
logic (S. C. Kleene, Introduction to Metamathematics, 1952, section 64): `false && unknown` is false, `true || unknown`
is true, everything else with an unknown operand is unknown. `has(field)` is never unknown.

A condition is checked against the schema and compiled once to a Python function of a sequence of values; only text
made from whitelisted nodes is compiled, with no builtins.
"""

from __future__ import annotations

import difflib
import enum
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

MAX_CHARACTERS = 4_000
MAX_NODES = 500
MAX_DEPTH = 40
"""Nesting of parentheses and negations: the generated code indents with them, and Python reads 100 levels."""

_MAX_INT = 2**63 - 1

Value = bool | int | str | tuple[str, ...] | tuple[int, ...] | None
"""Value of a field: times are whole seconds since 1970 UTC; None is unknown."""

Condition = Callable[[Sequence[Value]], bool | None]
"""A compiled condition: values in the order of the schema -> true, false or unknown (None)."""


class Type(enum.Enum):
    """Types of fields."""

    STRING = "string"
    INT = "int"
    BOOL = "bool"
    TIME = "time"
    STRINGS = "list of strings"
    INTS = "list of ints"


_ELEMENT = {Type.STRINGS: Type.STRING, Type.INTS: Type.INT}


class ExpressionError(ValueError):
    """A condition that cannot be compiled; the text says where and why, with a suggestion where there is one."""


class Literal(NamedTuple):
    """A constant."""

    value: bool | int | str


class ListOf(NamedTuple):
    """A list of constants, all strings or all integers; `name` where the pack named it."""

    values: tuple[str, ...] | tuple[int, ...]
    name: str = ""


class FieldRef(NamedTuple):
    """A field of the schema by its path."""

    path: str


class Has(NamedTuple):
    """Whether a field has a value."""

    path: str


class Not(NamedTuple):
    """Negation."""

    operand: Node


class Junction(NamedTuple):
    """`&&` or `||` over two or more operands."""

    operator: str
    operands: tuple[Node, ...]


class Compare(NamedTuple):
    """A comparison, or membership with `in`."""

    operator: str
    left: Node
    right: Node


class Intersects(NamedTuple):
    """Whether two lists, a field's and a constant or another field's, share a value."""

    left: Node
    right: Node


Node = Literal | ListOf | FieldRef | Has | Not | Junction | Compare | Intersects


class Compiled(NamedTuple):
    """A condition ready to be evaluated."""

    text: str
    tree: Node
    test: Condition
    fields: tuple[str, ...]
    """Paths that it reads, in order of appearance."""
    instants: tuple[int, ...]
    """Literal dates that it names, in seconds since 1970 UTC: where its answer may change with the event's time."""


class Schema:
    """The fields that conditions may name, with their types and their positions in the sequence of values.

    Raises ValueError where two fields share a path.
    """

    def __init__(self, fields: Sequence[tuple[str, Type]]) -> None:
        self.types: dict[str, Type] = dict(fields)
        self.positions: dict[str, int] = {path: position for position, (path, _) in enumerate(fields)}
        if len(self.types) != len(fields):
            raise ValueError("two fields of the schema share a path")

    def extended(self, fields: Sequence[tuple[str, Type]]) -> Schema:
        """This schema with further fields behind its own."""
        return Schema([*self.types.items(), *fields])


def compile_expression(
    text: str, schema: Schema, lists: Mapping[str, Sequence[str] | Sequence[int]] | None = None
) -> Compiled:
    """Checks and compiles a condition.

    `lists` are the pack's named lists. Raises ExpressionError for anything that is not a well-typed condition
    within MAX_CHARACTERS, MAX_NODES and MAX_DEPTH.
    """
    if len(text) > MAX_CHARACTERS:
        raise ExpressionError(
            f"a condition has at most {MAX_CHARACTERS:,} characters, this one {len(text):,}"
        )
    parser = _Parser(text, schema, lists or {})
    tree = parser.parse()
    generator = _Generator(schema)
    generator.check_condition(tree)
    return Compiled(text, generator.resolved(tree), generator.function(tree), *generator.summary())


def missing_fields(tree: Node, schema: Schema, values: Sequence[Value]) -> list[str]:
    """Paths of the unknown fields that make a condition unknown, in order of appearance; empty where it is known."""
    found: dict[str, None] = {}
    _explain(tree, schema, values, found)
    return list(found)


def parse_instant(text: str) -> int:
    """Seconds since 1970 UTC of a date ("2026-01-26", midnight UTC) or a time in UTC ("2026-01-26T08:00:00Z").

    Raises ValueError for anything else.
    """
    if not re.fullmatch(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?", text):
        raise ValueError(f'{text!r} is not a date: write "2026-01-26" or "2026-01-26T08:00:00Z"')
    return int(datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC).timestamp())


_TOKEN = re.compile(
    r"""[ \t\r\n]*(?:
      (?P<int>-?[0-9]+(?![0-9A-Za-z_.]))
    | (?P<string>"(?:[^"\\\n]|\\["'\\nt])*"|'(?:[^'\\\n]|\\["'\\nt])*')
    | (?P<path>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)
    | (?P<operator>&&|\|\||==|!=|<=|>=|<|>|!|\(|\)|\[|\]|,)
    )""",
    re.VERBOSE,
)
_ESCAPES = {"\\n": "\n", "\\t": "\t"}
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})


class _Token(NamedTuple):
    kind: str
    text: str
    position: int


class _Parser:
    """Recursive descent over the tokens; every node is counted, every level of nesting too."""

    def __init__(self, text: str, schema: Schema, lists: Mapping[str, Sequence[str] | Sequence[int]]) -> None:
        self._schema = schema
        self._lists = lists
        self._tokens = _tokenise(text)
        self._next = 0
        self._nodes = 0

    def parse(self) -> Node:
        tree = self._junction("||", 0)
        token = self._peek()
        if token.kind != "end":
            raise self._unexpected(token)
        return tree

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        self._next += 1
        return token

    def _accept(self, text: str) -> bool:
        token = self._peek()
        if token.kind in ("operator", "path") and token.text == text:
            self._next += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            token = self._peek()
            raise ExpressionError(f"expected {text!r} at {token.position}, found {_shown(token)}")

    def _unexpected(self, token: _Token) -> ExpressionError:
        return ExpressionError(f"unexpected {_shown(token)} at {token.position}")

    def _count(self) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise ExpressionError(f"a condition has at most {MAX_NODES} nodes")

    def _junction(self, operator: str, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise ExpressionError(f"a condition nests at most {MAX_DEPTH} levels")
        operands = [self._operand(operator, depth)]
        while self._accept(operator):
            operands.append(self._operand(operator, depth))
        if len(operands) == 1:
            return operands[0]
        self._count()
        return Junction(operator, tuple(operands))

    def _operand(self, operator: str, depth: int) -> Node:
        return self._junction("&&", depth) if operator == "||" else self._comparison(depth)

    def _comparison(self, depth: int) -> Node:
        left = self._unary(depth)
        token = self._peek()
        if token.text not in _COMPARISONS or token.kind not in ("operator", "path"):
            return left
        self._take()
        self._count()
        right = self._unary(depth)
        after = self._peek()
        if after.text in _COMPARISONS and after.kind in ("operator", "path"):
            raise ExpressionError(f"comparisons do not chain: put parentheses at {after.position}")
        return Compare(token.text, left, right)

    def _unary(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise ExpressionError(f"a condition nests at most {MAX_DEPTH} levels")
        if self._accept("!"):
            self._count()
            return Not(self._unary(depth + 1))
        return self._primary(depth)

    def _primary(self, depth: int) -> Node:
        token = self._take()
        self._count()
        if token.kind == "int":
            return Literal(_integer(token))
        if token.kind == "string":
            return Literal(_unquote(token.text))
        if token.kind == "path":
            return self._name(token, depth)
        if token.text == "(" and token.kind == "operator":
            inner = self._junction("||", depth + 1)
            self._expect(")")
            return inner
        if token.text == "[" and token.kind == "operator":
            return self._list(token)
        raise self._unexpected(token)

    def _name(self, token: _Token, depth: int) -> Node:
        if token.text in ("true", "false"):
            return Literal(token.text == "true")
        following = self._peek()
        called = following.kind == "operator" and following.text == "("
        if token.text == "has" and called:
            self._take()
            field = self._take()
            if field.kind != "path":
                raise ExpressionError(f"has() takes a field, not {_shown(field)} at {field.position}")
            self._expect(")")
            self._known(field)
            return Has(field.text)
        if token.text == "sets.intersects" and called:
            self._take()
            left = self._unary(depth + 1)
            self._expect(",")
            right = self._unary(depth + 1)
            self._expect(")")
            return Intersects(left, right)
        if called:
            raise ExpressionError(
                f"{token.text}() at {token.position}: there are no calls, only has(field) and sets.intersects(list, list)"
            )
        if token.text in self._lists:
            return _constant_list(list(self._lists[token.text]), token.text)
        self._known(token)
        return FieldRef(token.text)

    def _known(self, token: _Token) -> None:
        if token.text in self._schema.types:
            return
        names = [*self._schema.types, *self._lists]
        # The last part alone too: "status" should suggest "consent.status".
        tails = {name.rpartition(".")[2]: name for name in self._schema.types}
        close = difflib.get_close_matches(token.text, names, n=1, cutoff=0.6) or [
            tails[tail] for tail in difflib.get_close_matches(token.text.rpartition(".")[2], list(tails), n=1)
        ]
        advice = f"; did you mean {close[0]}?" if close else ""
        raise ExpressionError(f"there is no field {token.text} (at {token.position}){advice}")

    def _list(self, opening: _Token) -> Node:
        values: list[str | int] = []
        while not self._accept("]"):
            if values:
                self._expect(",")
            token = self._take()
            self._count()
            if token.kind == "int":
                values.append(_integer(token))
            elif token.kind == "string":
                values.append(_unquote(token.text))
            else:
                raise ExpressionError(
                    f"a list holds literal strings or ints, not {_shown(token)} at {token.position}"
                )
        if not values:
            raise ExpressionError(f"the list at {opening.position} is empty: nothing is in it")
        return _constant_list(values, "")


def _tokenise(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    end = len(text.rstrip(" \t\r\n"))
    while position < end:
        match = _TOKEN.match(text, position, end)
        if match is None or match.end() == position:
            raise ExpressionError(f"cannot read {text[position : position + 12].strip()!r} at {position}")
        kind = match.lastgroup or ""
        tokens.append(_Token(kind, match.group(kind), match.start(kind)))
        position = match.end()
    tokens.append(_Token("end", "", end))
    return tokens


def _shown(token: _Token) -> str:
    return "the end" if token.kind == "end" else repr(token.text)


def _integer(token: _Token) -> int:
    # Digits beyond the limit are not converted: Python's conversion is quadratic.
    if len(token.text) > 20 or not -_MAX_INT - 1 <= int(token.text) <= _MAX_INT:
        raise ExpressionError(f"the number at {token.position} does not fit into 64 bits")
    return int(token.text)


def _unquote(text: str) -> str:
    return re.sub(r"\\.", lambda match: _ESCAPES.get(match.group(), match.group()[1]), text[1:-1])


def _constant_list(values: Sequence[str | int], name: str) -> ListOf:
    label = f"the list {name}" if name else "a list"
    if not values:
        raise ExpressionError(f"{label} is empty")
    if all(isinstance(value, str) for value in values):
        return ListOf(tuple(str(value) for value in values), name)
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return ListOf(tuple(int(value) for value in values), name)
    raise ExpressionError(f"{label} holds strings or ints, not both and nothing else")


class _Generator:
    """Checks the types of a tree and writes its function."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._constants: dict[str, object] = {}
        self._fields: dict[str, None] = {}
        self._instants: dict[int, None] = {}
        self._lines: list[str] = []
        self._temporaries = 0

    def summary(self) -> tuple[tuple[str, ...], tuple[int, ...]]:
        return tuple(self._fields), tuple(self._instants)

    def check_condition(self, node: Node) -> None:
        """Raises ExpressionError unless the node is a condition (true, false or unknown)."""
        match node:
            case Junction(operator, operands):
                for operand in operands:
                    self._check_operand(operand, operator)
            case Not(operand):
                self._check_operand(operand, "!")
            case Compare():
                self._check_comparison(node)
            case Intersects():
                self._check_intersection(node)
            case _ if self._type(node) is not Type.BOOL:
                raise ExpressionError(f"a condition is true or false, {_describe(node)} is not")
            case _:
                pass

    def _check_operand(self, node: Node, operator: str) -> None:
        if not isinstance(node, _CONDITIONS) and self._type(node) is not Type.BOOL:
            raise ExpressionError(f"{operator} joins conditions, {_describe(node)} is none")
        self.check_condition(node)

    def _type(self, node: Node) -> Type:
        match node:
            case Literal(bool()) | Has() | Not() | Junction() | Compare() | Intersects():
                return Type.BOOL
            case Literal(int()):
                return Type.INT
            case Literal():
                return Type.STRING
            case ListOf(values):
                return Type.STRINGS if isinstance(values[0], str) else Type.INTS
            case FieldRef(path):
                return self._schema.types[path]
        raise AssertionError(node)

    def _check_comparison(self, node: Compare) -> None:
        operator, left, right = node
        for side in (left, right):
            if isinstance(side, _CONDITIONS):
                raise ExpressionError(f"{operator} compares values, not conditions: {_describe(side)}")
        if not isinstance(left, FieldRef) and not isinstance(right, FieldRef):
            raise ExpressionError(
                f"{_describe(left)} {operator} {_describe(right)} names no field: it never changes"
            )
        left_type, right_type = self._type(left), self._type(right)
        if operator == "in":
            if _ELEMENT.get(right_type) is not left_type:
                raise ExpressionError(
                    f"`in` needs a value and a list of its type: {_describe(left)} is a {left_type.value}, "
                    f"{_describe(right)} a {right_type.value}"
                )
            return
        if left_type in _ELEMENT or right_type in _ELEMENT:
            raise ExpressionError(f"{operator} does not compare lists: use `in`")
        if Type.TIME in (left_type, right_type) and Type.STRING in (left_type, right_type):
            literal = left if left_type is Type.STRING else right
            self._instant(literal)
            return
        if left_type is not right_type:
            raise ExpressionError(
                f"{operator} compares values of one type: {_describe(left)} is a {left_type.value}, "
                f"{_describe(right)} a {right_type.value}"
            )
        if operator not in ("==", "!=") and left_type not in (Type.INT, Type.TIME):
            raise ExpressionError(f"{operator} orders ints and times, not a {left_type.value}")

    def _check_intersection(self, node: Intersects) -> None:
        sides = (node.left, node.right)
        for side in sides:
            if isinstance(side, _CONDITIONS) or self._type(side) not in _ELEMENT:
                raise ExpressionError(f"sets.intersects compares lists, {_describe(side)} is none")
        if not any(isinstance(side, FieldRef) for side in sides):
            raise ExpressionError("sets.intersects of two constant lists names no field: it never changes")
        if self._type(node.left) is not self._type(node.right):
            raise ExpressionError("sets.intersects compares lists of one type")

    def _instant(self, node: Node) -> int:
        if not isinstance(node, Literal) or not isinstance(node.value, str):
            raise ExpressionError(
                f"a time is compared with a time or a literal date, not with {_describe(node)}"
            )
        try:
            return parse_instant(node.value)
        except ValueError as error:
            raise ExpressionError(str(error)) from error

    def resolved(self, node: Node) -> Node:
        """The tree with literal dates as seconds, the form that `missing_fields` reads."""
        match node:
            case Junction(operator, operands):
                return Junction(operator, tuple(self.resolved(operand) for operand in operands))
            case Not(operand):
                return Not(self.resolved(operand))
            case Compare(operator, left, right):
                if Type.TIME in (self._type(left), self._type(right)):
                    left, right = (
                        Literal(self._instant(side)) if self._type(side) is Type.STRING else side
                        for side in (left, right)
                    )
                return Compare(operator, left, right)
            case _:
                return node

    def function(self, tree: Node) -> Condition:
        result = self._emit(self.resolved(tree), 1)
        source = "\n".join(["def test(v):", *self._lines, f" return {result}"])
        namespace: dict[str, object] = {"__builtins__": {}, **self._constants}
        exec(compile(source, "<condition>", "exec"), namespace)
        test: Condition = namespace["test"]  # type: ignore[assignment]
        return test

    def _line(self, depth: int, text: str) -> None:
        self._lines.append(" " * depth + text)

    def _temporary(self) -> str:
        self._temporaries += 1
        return f"t{self._temporaries}"

    def _read(self, path: str) -> str:
        self._fields[path] = None
        return f"v[{self._schema.positions[path]}]"

    def _constant(self, value: object) -> str:
        name = f"C{len(self._constants)}"
        self._constants[name] = value
        return name

    def _emit(self, node: Node, depth: int) -> str:
        """Writes the lines that compute a condition; returns the name that holds true, false or None."""
        match node:
            case Junction(operator, operands):
                return self._emit_junction(operator, operands, depth)
            case Not(operand):
                inner = self._emit(operand, depth)
                name = self._temporary()
                self._line(depth, f"{name} = None if {inner} is None else not {inner}")
                return name
            case Compare():
                return self._emit_comparison(node, depth)
            case Intersects():
                return self._emit_intersection(node, depth)
            case Has(path):
                name = self._temporary()
                self._line(depth, f"{name} = {self._read(path)} is not None")
                return name
            case FieldRef(path):
                name = self._temporary()
                self._line(depth, f"{name} = {self._read(path)}")
                return name
            case Literal(bool() as value):
                return repr(value)
        raise AssertionError(node)

    def _emit_junction(self, operator: str, operands: tuple[Node, ...], depth: int) -> str:
        # The deciding value ends the evaluation; of the others unknown stays.
        deciding, neutral = ("False", "True") if operator == "&&" else ("True", "False")
        name = self._temporary()
        self._line(depth, f"{name} = {self._emit(operands[0], depth)}")
        for operand in operands[1:]:
            self._line(depth, f"if {name} is not {deciding}:")
            other = self._emit(operand, depth + 1)
            self._line(depth + 1, f"if {other} is not {neutral}: {name} = {other}")
        return name

    def _emit_comparison(self, node: Compare, depth: int) -> str:
        operator, left, right = node
        sides: list[str] = []
        unknown: list[str] = []
        for side in (left, right):
            match side:
                case FieldRef(path):
                    name = self._temporary()
                    self._line(depth, f"{name} = {self._read(path)}")
                    sides.append(name)
                    unknown.append(f"{name} is None")
                case Has(path):
                    sides.append(f"({self._read(path)} is not None)")
                case ListOf(values):
                    sides.append(self._constant(frozenset(values)))
                case Literal(value):
                    if isinstance(value, int) and not isinstance(value, bool) and self._is_time(left, right):
                        self._instants[value] = None
                    sides.append(self._constant(value))
                case _:
                    raise AssertionError(side)
        name = self._temporary()
        comparison = f"{sides[0]} {operator} {sides[1]}"
        self._line(depth, f"{name} = None if {' or '.join(unknown)} else {comparison}")
        return name

    def _emit_intersection(self, node: Intersects, depth: int) -> str:
        constant, field = node.left, node.right
        if isinstance(constant, FieldRef):
            constant, field = field, constant
        assert isinstance(field, FieldRef)
        held = self._temporary()
        self._line(depth, f"{held} = {self._read(field.path)}")
        name = self._temporary()
        if isinstance(constant, ListOf):
            other = self._constant(frozenset(constant.values))
            self._line(depth, f"{name} = None if {held} is None else not {other}.isdisjoint({held})")
        else:
            assert isinstance(constant, FieldRef)
            other = self._temporary()
            self._line(depth, f"{other} = {self._read(constant.path)}")
            unknown = f"{held} is None or {other} is None"
            self._line(depth, f"{name} = None if {unknown} else not {{*{held}}}.isdisjoint({other})")
        return name

    def _is_time(self, *sides: Node) -> bool:
        return any(
            isinstance(side, FieldRef) and self._schema.types[side.path] is Type.TIME for side in sides
        )


_CONDITIONS = (Junction, Not, Compare, Intersects)


def _describe(node: Node) -> str:
    match node:
        case Literal(value):
            return repr(value).lower() if isinstance(value, bool) else repr(value)
        case ListOf(_, name):
            return name or "a list"
        case FieldRef(path):
            return path
        case Has(path):
            return f"has({path})"
    return "a condition"


def _explain(node: Node, schema: Schema, values: Sequence[Value], found: dict[str, None]) -> bool | None:
    """Evaluates a condition by walking it; adds the unknown fields on which an unknown result rests."""
    match node:
        case Junction(operator, operands):
            return _explain_junction(operator, operands, schema, values, found)
        case Not(operand):
            inner = _explain(operand, schema, values, found)
            return None if inner is None else not inner
        case Literal(value):
            return bool(value)
        case Has(path):
            return values[schema.positions[path]] is not None
        case FieldRef(path):
            held = values[schema.positions[path]]
            if held is None:
                found[path] = None
                return None
            return bool(held)
        case Compare(operator, left, right):
            sides = [_held(side, schema, values) for side in (left, right)]
            unknown = [
                side.path
                for side, held in zip((left, right), sides, strict=True)
                if held is None and isinstance(side, FieldRef)
            ]
            found.update(dict.fromkeys(unknown))
            return None if unknown else _compare(operator, sides[0], sides[1])
        case Intersects(left, right):
            sides = [_held(side, schema, values) for side in (left, right)]
            unknown = [
                side.path
                for side, held in zip((left, right), sides, strict=True)
                if held is None and isinstance(side, FieldRef)
            ]
            found.update(dict.fromkeys(unknown))
            return None if unknown else _share(sides[0], sides[1])
    raise AssertionError(node)


def _explain_junction(
    operator: str,
    operands: tuple[Node, ...],
    schema: Schema,
    values: Sequence[Value],
    found: dict[str, None],
) -> bool | None:
    deciding = operator == "||"
    result: bool | None = not deciding
    inside: dict[str, None] = {}
    for operand in operands:
        value = _explain(operand, schema, values, inside)
        if value is deciding:
            return value
        if value is None:
            result = None
    if result is None:
        found.update(inside)
    return result


def _held(node: Node, schema: Schema, values: Sequence[Value]) -> Value:
    match node:
        case Literal(value):
            return value
        case ListOf(constants):
            return constants
        case FieldRef(path):
            return values[schema.positions[path]]
        case Has(path):
            return values[schema.positions[path]] is not None
    raise AssertionError(node)


def _share(left: Value, right: Value) -> bool:
    return isinstance(left, tuple) and isinstance(right, tuple) and not set(left).isdisjoint(right)


def _compare(operator: str, left: Value, right: Value) -> bool:
    match operator:
        case "==":
            return left == right
        case "!=":
            return left != right
        case "in":
            return isinstance(right, tuple) and left in right
    assert isinstance(left, int)
    assert isinstance(right, int)
    match operator:
        case "<":
            return left < right
        case "<=":
            return left <= right
        case ">":
            return left > right
    return left >= right
