"""Regulation packs: the law as data, one YAML document a regulation.

A pack names the regulation, where and to whom it applies (`scope`), its rules with article, condition, severity and
remedy, and facts for people (deadlines, fines, rights; carried, not evaluated). The classes below describe every key.
Loading checks everything and reports every problem at once, with its line; a pack that loads can be evaluated, and each
of its rules can both be violated and kept (services/compliance/solve.py).
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import yaml

from services.compliance.clocks import MAX_NUMBER, UNITS, Period
from services.compliance.expression import (
    Compiled,
    ExpressionError,
    Schema,
    Type,
    compile_expression,
    parse_instant,
)
from services.compliance.facts import HANDLING, HANDLINGS, SCHEMA
from services.compliance.solve import Budget, Verdict, contradiction, possible

MAX_PACK_BYTES = 1_000_000
MAX_RULES = 200
MAX_NESTING = 32
"""Levels of a document."""

AFFECTS = ("purposes", "recipient", "transfer", "act", "duty")
"""What a rule speaks of: processing for the purpose, giving data to the recipient, the transfer, the act itself, or
a duty of the controller's own (a deadline, a notification), which suppresses nothing."""

SCOPE_CONNECTIONS = ("establishment", "location", "residence")
"""What can connect an event to a jurisdiction: the controller's establishment, or where the viewer is or resides."""

VERIFICATIONS = ("verified", "from_knowledge")

ALWAYS = 2**62
"""A time later than any event's."""

_ID = re.compile(r"[A-Z][A-Z0-9_]{1,39}")
_RULE_ID = re.compile(r"[a-z][a-z0-9_]{1,59}")
_REASON = re.compile(r"[A-Z][A-Z0-9_]{2,62}")
_WORD = re.compile(r"[a-z][a-z0-9_]{1,59}")
_JURISDICTION = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?")


class PackError(ValueError):
    """A pack that cannot be used. `problems` lists every reason, each with its place in the pack."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(problems))


class Clock(NamedTuple):
    """A period that a rule waits for: the rule is violated only once it has run out."""

    start: tuple[str, ...]
    """Facts at which it begins: the latest of them. The first must be known, the others count where they are."""
    period: Period
    stop: tuple[str, ...]
    """Facts that end it in time ("rights_request.answered_time"), whichever comes first; empty: nothing does."""
    extension: Period | None
    """What comes on top when `extension_notified` lies within the period."""
    extension_notified: str


class Rule(NamedTuple):
    """One rule. It is violated when `trigger` is true and `condition` holds and its clock has run out."""

    id: str
    """With the regulation's id: "EU_GDPR.consent_absent"."""
    article: str
    reason: str
    summary: str
    trigger: Compiled | None
    """Whether the rule is about this event at all; unknown counts as no."""
    condition: Compiled
    """What violates it; unknown is a gap."""
    clock: Clock | None
    severity: int
    """1 (minor) to 5 (grave)."""
    remedy: str
    affects: str
    forbids_act: bool
    consent_cannot_cure: bool
    """No consent makes it lawful: its condition may read nothing of the consent."""
    verification: str
    reviewed_by: str
    source: str
    """Where a verified rule was read."""
    handlings: frozenset[str]
    """Handlings (facts.HANDLINGS) under which its trigger can be true: the others need not ask it."""
    since: int
    """In force from this second since 1970 UTC."""
    until: int
    """In force before this second."""


class Lookup(NamedTuple):
    """A number by jurisdiction that conditions may name, such as the age of digital consent."""

    name: str
    by: tuple[str, ...]
    default: int
    values: dict[str, tuple[tuple[int, int], ...]]
    """(in force from this second since 1970 UTC, value) by jurisdiction, in order of time."""

    def at(self, area: str, time: int) -> int | None:
        """The number in force in an area, itself or as part of its country; None where the table has none."""
        for code in (area, area[:2]):
            held = None
            for since, value in self.values.get(code, ()):
                if since <= time:
                    held = value
            if held is not None:
                return held
        return None


class Pack(NamedTuple):
    """One regulation."""

    id: str
    short_name: str
    name: str
    version: str
    digest: str
    """SHA-256 of its document, in hexadecimal."""
    jurisdictions: tuple[str, ...]
    connections: tuple[str, ...]
    article: str
    """Where the law says to whom it applies."""
    applies: Compiled | None
    """Further condition of the scope."""
    since: int
    until: int
    schema: Schema
    lookups: tuple[Lookup, ...]
    rules: tuple[Rule, ...]
    instants: tuple[int, ...]
    """Dates at which its answer may change: of its own, of its rules and of their conditions."""
    notes: tuple[str, ...]
    """What is not modelled, and readings that were chosen."""
    facts: dict[str, Any]
    """For people: what the law says, with provision and verification. Not evaluated."""

    def rules_for(self, handling: str) -> tuple[Rule, ...]:
        """The rules that can speak under a handling."""
        return tuple(rule for rule in self.rules if handling in rule.handlings)


def load_packs(documents: Mapping[str, bytes], files: Mapping[str, object] | None = None) -> tuple[Pack, ...]:
    """Packs by name of their part, checked and compiled, in order of id.

    `files` tells the file of a pack where it is not `<name>.yaml`. Raises PackError with every problem of every pack,
    each as "file:line: what is wrong".
    """
    labels = {name: str(path) for name, path in (files or {}).items()}
    packs: list[Pack] = []
    problems: list[str] = []
    for name, document in sorted(documents.items()):
        try:
            pack = load_pack(document)
        except PackError as error:
            problems.extend(_placed(labels.get(name, f"{name}.yaml"), problem) for problem in error.problems)
            continue
        if pack.id != name:
            label = labels.get(name, f"{name}.yaml")
            problems.append(f"{label}:1: its id is {pack.id}, and a pack is named by its id")
        packs.append(pack)
    if problems:
        raise PackError(problems)
    return tuple(sorted(packs, key=lambda pack: pack.id))


def _placed(label: str, problem: str) -> str:
    line = re.match(r"line (\d+): ", problem)
    return f"{label}:{line[1]}: {problem[line.end() :]}" if line else f"{label}: {problem}"


def parse_yaml(document: bytes, *, aliases: bool = False) -> Any:
    """A document of YAML in which NO is a country, dates are text and repeated keys are refused.

    At most MAX_NESTING levels; aliases, by which a short text stands for an endless one, only where told. Raises
    PackError.
    """
    try:
        _require_plain(document, aliases)
        return yaml.load(document, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark is not None else ""
        what = " ".join(str(getattr(error, "problem", None) or error).split())
        raise PackError([f"{where}not YAML: {what}"]) from error


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 0


def _require_plain(document: bytes, aliases: bool) -> None:
    # Events come one by one; building the tree recurses in C, and a text of brackets alone would end the process.
    depth = 0
    for event in yaml.parse(document, Loader=_Events):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_NESTING:
                raise PackError([f"line {_line(event)}: nests more than {MAX_NESTING} levels"])
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent) and not aliases:
            raise PackError([f"line {_line(event)}: write it out: aliases (*) are not read"])


@lru_cache(maxsize=256)
def load_pack(document: bytes) -> Pack:
    """One pack from its YAML. Raises PackError."""
    if len(document) > MAX_PACK_BYTES:
        raise PackError([f"a pack has at most {MAX_PACK_BYTES:,} bytes, this one {len(document):,}"])
    reader = _Reader(parse_yaml(document), "pack")
    pack = _pack(reader, hashlib.sha256(document).hexdigest())
    if reader.problems or pack is None:
        raise PackError(reader.problems)
    return pack


_Events: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Mapping(dict[Any, Any]):
    """A mapping that knows the lines of its keys."""

    line = 0
    lines: dict[Any, int]


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Safe YAML in which NO is a country, not a boolean, a date is text, and a repeated key is an error."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        repeated = sorted({str(key) for key in keys if keys.count(key) > 1})
        if repeated:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {', '.join(repeated)} is written twice", node.start_mark
            )
        return super().construct_mapping(node, deep=deep)  # type: ignore[no-any-return]

    def construct_located(self, node: Any) -> Iterator[_Mapping]:
        found = _Mapping()
        found.line = node.start_mark.line + 1
        yield found
        found.update(self.construct_mapping(node))
        found.lines = {self.construct_object(key): key.start_mark.line + 1 for key, _ in node.value}


_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.construct_located)

_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern) if tag != "tag:yaml.org,2002:bool" else (tag, re.compile(r"^(?:true|false)$"))
        for tag, pattern in resolvers
        if tag != "tag:yaml.org,2002:timestamp"
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Reader:
    """Reads typed values out of a mapping and notes every problem with its path."""

    def __init__(self, tree: Any, path: str, problems: list[str] | None = None) -> None:
        self.problems: list[str] = [] if problems is None else problems
        self.path = path
        self._left: dict[str, Any] = {}
        self._line: int = getattr(tree, "line", 0)
        self._lines: dict[Any, int] = getattr(tree, "lines", {})
        if isinstance(tree, dict) and all(isinstance(key, str) for key in tree):
            self._left = dict(tree)
            self._keys: set[str] = set()
        else:
            self._keys = set()
            self.problem("is not a mapping with text keys")

    def problem(self, text: str, key: str = "") -> None:
        line = self._lines.get(key, self._line)
        where = f"line {line}: " if line else ""
        self.problems.append(f"{where}{self.path}{'.' if key else ''}{key} {text}")

    def has(self, key: str) -> bool:
        return key in self._left

    def peek(self, key: str) -> Any:
        return self._left.get(key)

    def take(self, key: str) -> Any:
        self._keys.add(key)
        return self._left.pop(key, None)

    def text(
        self, key: str, pattern: re.Pattern[str] | None = None, default: str | None = None, limit: int = 1_000
    ) -> str:
        value = self.take(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or not value.strip() or len(value) > limit:
            self.problem(f"is a text of 1 to {limit:,} characters", key)
            return default or ""
        if pattern is not None and not pattern.fullmatch(value):
            self.problem(f"is {value!r} and does not match {pattern.pattern}", key)
        return value.strip()

    def choice(self, key: str, choices: Sequence[str], default: str | None = None) -> str:
        value = self.take(key)
        if value is None and default is not None:
            return default
        if value not in choices:
            self.problem(f"is one of {', '.join(choices)}, not {value!r}", key)
            return choices[0]
        return str(value)

    def number(self, key: str, low: int, high: int, default: int | None = None) -> int:
        value = self.take(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self.problem(f"is a whole number from {low} to {high}", key)
            return low
        return value

    def flag(self, key: str) -> bool:
        value = self.take(key)
        if value is not None and not isinstance(value, bool):
            self.problem("is true or false", key)
        return value is True

    def texts(
        self, key: str, pattern: re.Pattern[str], default: tuple[str, ...] | None = None
    ) -> tuple[str, ...]:
        value = self.take(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
            self.problem("is a list of texts that is not empty", key)
            return ()
        for item in value:
            if not pattern.fullmatch(item):
                self.problem(f"holds {item!r}, which does not match {pattern.pattern}", key)
        return tuple(value)

    def day(self, key: str, default: int) -> int:
        value = self.take(key)
        if value is None:
            return default
        try:
            return parse_instant(value if isinstance(value, str) else str(value))
        except ValueError as error:
            self.problem(f"is not a date: {error}", key)
            return default

    def names(self) -> list[str]:
        """Keys that were not taken yet."""
        return list(self._left)

    def lines_of(self, key: str) -> tuple[str, ...]:
        """A list of remarks; empty where there are none."""
        value = self.take(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
            self.problem("is a list of texts", key)
            return ()
        return tuple(item.strip() for item in value)

    def inner(self, key: str) -> _Reader:
        return _Reader(self.take(key), f"{self.path}.{key}", self.problems)

    def done(self) -> None:
        for key in self._left:
            close = difflib.get_close_matches(key, sorted(self._keys), n=1)
            self.problem(f"is no key of a pack{f'; did you mean {close[0]}?' if close else ''}", key)


def _pack(reader: _Reader, digest: str) -> Pack | None:
    pack_id = reader.text("id", _ID)
    reader.path = pack_id or "pack"
    short_name = reader.text("short_name")
    name = reader.text("name")
    version = reader.text("version", re.compile(r"[0-9A-Za-z.+-]{1,40}"))
    jurisdictions = reader.texts("jurisdictions", _JURISDICTION)
    since, until = _force(reader)
    lists = _lists(reader)
    lookups = _lookups(reader)
    schema = SCHEMA.extended([(lookup.name, Type.INT) for lookup in lookups])
    scope = reader.inner("scope")
    article = scope.text("article")
    connections = scope.texts("by", re.compile("|".join(SCOPE_CONNECTIONS)))
    applies = _expression(scope, "when", schema, lists)
    scope.done()
    rules, lines = _rules(reader, pack_id, schema, lists)
    facts = reader.take("facts")
    if facts is not None and not isinstance(facts, dict):
        reader.problem("is a mapping", "facts")
    notes = reader.lines_of("notes")
    reader.done()
    if reader.problems:
        return None
    numbers = {lookup.name: _numbers(lookup) for lookup in lookups}
    contradictions = _contradictions(rules, applies, schema, numbers, (since, until))
    reader.problems += [f"line {lines[rule]}: {rule} {what}" for rule, what in contradictions]
    if reader.problems:
        return None
    return Pack(
        id=pack_id,
        short_name=short_name,
        name=name,
        version=version,
        digest=digest,
        jurisdictions=jurisdictions,
        connections=connections,
        article=article,
        applies=applies,
        since=since,
        until=until,
        schema=schema,
        lookups=lookups,
        rules=rules,
        instants=_instants(since, until, applies, rules, lookups),
        notes=notes,
        facts=facts or {},
    )


def _contradictions(
    rules: Sequence[Rule],
    applies: Compiled | None,
    schema: Schema,
    numbers: Mapping[str, tuple[int, ...]],
    force: tuple[int, int],
) -> list[tuple[str, str]]:
    """Rules that no event can violate or every event must, and rules that say the same twice: (rule, what)."""
    problems: list[tuple[str, str]] = []
    said: dict[tuple[object, ...], Rule] = {}
    budget = Budget()
    for rule in rules:
        if rule.until <= force[0] or rule.since >= force[1]:
            problems.append((rule.id, "is never in force: it lies outside the time of its pack"))
        conditions = [item for item in (applies, rule.trigger) if item is not None]
        verdict = contradiction(
            [item.tree for item in conditions], rule.condition.tree, schema, numbers, budget
        )
        if verdict is Verdict.NEVER:
            problems.append((rule.id, "is unreachable: no event can violate it"))
        elif verdict is Verdict.ALWAYS and rule.clock is None:
            problems.append((rule.id, "is contradictory: every event that it is about violates it"))
        trees = (
            rule.trigger.tree if rule.trigger else None,
            rule.condition.tree,
        )
        for other in (said[key] for key in said if key[:2] == trees):
            if other.clock == rule.clock and other.since < rule.until and rule.since < other.until:
                problems.append((rule.id, f"contradicts {other.id}: both answer the same condition"))
        said[(*trees, rule.id)] = rule
    return problems


def _numbers(lookup: Lookup) -> tuple[int, ...]:
    found = {lookup.default, *(value for dated in lookup.values.values() for _, value in dated)}
    return tuple(sorted(found))


def _instants(
    since: int,
    until: int,
    applies: Compiled | None,
    rules: Iterable[Rule],
    lookups: Iterable[Lookup],
) -> tuple[int, ...]:
    found = {since, until}
    for lookup in lookups:
        found.update(moment for dated in lookup.values.values() for moment, _ in dated)
    conditions = [applies]
    for rule in rules:
        found |= {rule.since, rule.until}
        conditions += [rule.trigger, rule.condition]
    for condition in conditions:
        if condition is not None:
            found.update(condition.instants)
    return tuple(sorted(found - {0, ALWAYS}))


def _force(reader: _Reader) -> tuple[int, int]:
    since, until = reader.day("effective_from", 0), reader.day("effective_to", ALWAYS)
    if since >= until:
        reader.problem("effective_from lies before effective_to, or the law is never in force")
    return since, until


def _expression(
    reader: _Reader, key: str, schema: Schema, lists: Mapping[str, Sequence[str] | Sequence[int]]
) -> Compiled | None:
    if not reader.has(key):
        return None
    text = reader.text(key, limit=4_000)
    try:
        return compile_expression(text, schema, lists) if text else None
    except ExpressionError as error:
        reader.problem(f"does not compile: {error}", key)
        return None


_FALSE = compile_expression("false", SCHEMA)


def _condition(
    reader: _Reader, schema: Schema, lists: Mapping[str, Sequence[str] | Sequence[int]]
) -> Compiled:
    if not reader.has("condition"):
        reader.problem("is missing: what violates the rule?", "condition")
    return _expression(reader, "condition", schema, lists) or _FALSE


def _lists(reader: _Reader) -> dict[str, list[str] | list[int]]:
    if not reader.has("lists"):
        return {}
    inner = reader.inner("lists")
    lists: dict[str, list[str] | list[int]] = {}
    for name in inner.names():
        if not re.fullmatch(r"[A-Z][A-Z0-9_]{0,39}", name):
            inner.problem("is not a name in upper case", name)
        value = inner.take(name)
        one_type = isinstance(value, list) and value and len({type(item) for item in value}) == 1
        if not one_type or not isinstance(value[0], str | int) or isinstance(value[0], bool):
            inner.problem("is a list of texts or of whole numbers that is not empty", name)
            continue
        lists[name] = value
    return lists


def _lookups(reader: _Reader) -> tuple[Lookup, ...]:
    if not reader.has("lookups"):
        return ()
    inner = reader.inner("lookups")
    lookups: list[Lookup] = []
    for name in inner.names():
        if not _WORD.fullmatch(name) or name in SCHEMA.types:
            inner.problem("is not a new name in lower case", name)
        table = inner.inner(name)
        by = table.texts("by", re.compile("location|residence"))
        default = table.number("default", 0, 1_000_000)
        values = table.inner("values")
        lookups.append(Lookup(name, by, default, {}))
        for area in values.names():
            if not _JURISDICTION.fullmatch(area):
                values.problem("is no jurisdiction", area)
            lookups[-1].values[area] = _dated(values, area)
        table.done()
    return tuple(lookups)


def _dated(reader: _Reader, area: str) -> tuple[tuple[int, int], ...]:
    """A number, or numbers by the date from which each holds."""
    if not isinstance(reader.peek(area), dict):
        return ((0, reader.number(area, 0, 1_000_000)),)
    inner = reader.inner(area)
    dated: list[tuple[int, int]] = []
    for day in inner.names():
        try:
            dated.append((parse_instant(day), inner.number(day, 0, 1_000_000)))
        except ValueError as error:
            inner.take(day)
            inner.problem(f"is not a date: {error}", day)
    return tuple(sorted(dated))


def _rules(
    reader: _Reader, pack_id: str, schema: Schema, lists: Mapping[str, Sequence[str] | Sequence[int]]
) -> tuple[tuple[Rule, ...], dict[str, int]]:
    """The rules, and their lines by id."""
    value = reader.take("rules")
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_RULES:
        reader.problem(f"is a list of 1 to {MAX_RULES} rules", "rules")
        return (), {}
    rules: list[Rule] = []
    for position, item in enumerate(value):
        inner = _Reader(item, f"{reader.path}.rules[{position}]", reader.problems)
        rules.append(_rule(inner, pack_id, schema, lists))
    ids = [rule.id for rule in rules]
    for rule_id in sorted({rule_id for rule_id in ids if ids.count(rule_id) > 1}):
        reader.problem(f"holds {rule_id} twice", "rules")
    return tuple(rules), {rule.id: getattr(item, "line", 0) for rule, item in zip(rules, value, strict=True)}


def _rule(
    reader: _Reader, pack_id: str, schema: Schema, lists: Mapping[str, Sequence[str] | Sequence[int]]
) -> Rule:
    rule_id = reader.text("id", _RULE_ID)
    reader.path = f"{pack_id}.{rule_id}"
    since, until = _force(reader)
    trigger = _expression(reader, "when", schema, lists)
    rule = Rule(
        id=reader.path,
        article=reader.text("article", limit=200),
        reason=reader.text("reason", _REASON),
        summary=reader.text("summary"),
        trigger=trigger,
        condition=_condition(reader, schema, lists),
        clock=_clock(reader, schema),
        severity=reader.number("severity", 1, 5),
        remedy=reader.text("remedy", _WORD),
        affects=reader.choice("affects", AFFECTS),
        forbids_act=reader.flag("forbids_act"),
        consent_cannot_cure=reader.flag("consent_cannot_cure"),
        verification=reader.choice("verification", VERIFICATIONS),
        reviewed_by=reader.text("reviewed_by", default=""),
        source=reader.text("source", default=""),
        handlings=_handlings(trigger),
        since=since,
        until=until,
    )
    reader.done()
    if rule.consent_cannot_cure:
        read = [*rule.condition.fields, *(rule.trigger.fields if rule.trigger else ())]
        for path in dict.fromkeys(path for path in read if path.startswith("consent.")):
            reader.problem(f"says that consent cannot cure, and reads {path}")
    if rule.forbids_act and rule.affects != "act":
        reader.problem(
            "forbids the act, so it affects the act: consent and transfer rules stop processing only"
        )
    return rule


def _handlings(trigger: Compiled | None) -> frozenset[str]:
    if trigger is None:
        return frozenset(HANDLINGS)
    return frozenset(handling for handling in HANDLINGS if possible(trigger.tree, {HANDLING: handling}))


def _clock(reader: _Reader, schema: Schema) -> Clock | None:
    if not reader.has("clock"):
        return None
    inner = reader.inner("clock")
    clock = Clock(
        start=_facts(inner, "start"),
        period=_period(inner),
        stop=_facts(inner, "stop") if inner.has("stop") else (),
        extension=None,
        extension_notified="",
    )
    for path in (*clock.start, *clock.stop):
        _check_fact(inner, schema, path, Type.TIME)
    if inner.has("extension"):
        extension = inner.inner("extension")
        clock = clock._replace(extension=_period(extension), extension_notified=extension.text("notified"))
        _check_fact(extension, schema, clock.extension_notified, Type.TIME)
        extension.done()
    inner.done()
    return clock


def _facts(reader: _Reader, key: str) -> tuple[str, ...]:
    """One fact, or a list of them."""
    if isinstance(reader.peek(key), list):
        return reader.texts(key, re.compile(r"[a-z_.]+"))
    return (reader.text(key),)


def _period(reader: _Reader) -> Period:
    unit = reader.choice("unit", UNITS)
    return Period(reader.number("number", 1, MAX_NUMBER), next(known for known in UNITS if known == unit))


def _check_fact(reader: _Reader, schema: Schema, path: str, kind: Type | None) -> None:
    known = schema.types.get(path)
    if known is None:
        close = difflib.get_close_matches(path, list(schema.types), n=1)
        reader.problem(f"names {path!r}, which is no fact{f'; did you mean {close[0]}?' if close else ''}")
    elif kind is not None and known is not kind:
        reader.problem(f"names {path}, which is a {known.value} and not a {kind.value}")
