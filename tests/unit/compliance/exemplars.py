"""Events made from a pack: for a rule one that violates it, one that keeps it, one that lacks a fact.

The search of services/compliance/solve.py proposes facts from the rule's own condition; only what the law itself then
says of the whole event counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from services.compliance.evaluate import Law
from services.compliance.expression import Type, Value
from services.compliance.facts import HANDLING, SCHEMA, read_facts
from services.compliance.packs import ALWAYS, Pack, Rule
from services.compliance.solve import Assignment, Goal, Search, Variable
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2

VIOLATES, KEEPS, LACKS = "violates", "keeps", "lacks a fact"

DAY = 86_400
MOST_PROPOSALS = 300


def exemplar(law: Law, pack: Pack, rule: Rule, wanted: str) -> event_pb2.Event | None:
    """An event that violates a rule, keeps it, or lacks a fact of it; None where none was found."""
    for time in _times(pack, rule):
        for proposal in _proposals(pack, rule, wanted, time):
            for event in _events(pack, rule, wanted, proposal, time):
                if standing(law, event, rule, pack) == wanted:
                    return event
    return None


def standing(law: Law, event: event_pb2.Event, rule: Rule, pack: Pack) -> str:
    """How an event stands to a rule; "" where the pack does not apply or the rule is not about the event."""
    facts = read_facts(event, "", own_right=False)
    verdict = decision_pb2.Verdict.FromString(law.evaluate(facts).verdict)
    if rule.id in (finding.rule for finding in verdict.findings):
        return VIOLATES
    if any(gap.rule == rule.id and gap.missing for gap in verdict.gaps):
        return LACKS
    about = rule.trigger is None or rule.trigger.test([*facts.values, *(0 for _ in pack.lookups)]) is True
    return KEEPS if pack.id in verdict.applicable and about else ""


def _times(pack: Pack, rule: Rule) -> Iterator[int]:
    """Moments in force: late ones first, since periods must fit between 1970 and then."""
    since, until = max(pack.since, rule.since), min(pack.until, rule.until)
    end = until if until < ALWAYS else max(since, 1_795_000_000) + 400 * DAY
    moments = {
        since + DAY,
        end - 1,
        *(moment + DAY for moment in pack.instants),
        *(m - 1 for m in pack.instants),
    }
    yield from sorted(
        (moment for moment in moments if max(since, 20 * 365 * DAY) <= moment < end), reverse=True
    )


def _proposals(pack: Pack, rule: Rule, wanted: str, time: int) -> Iterator[Assignment]:
    scope = [pack.applies.tree] if pack.applies is not None else []
    trigger = [rule.trigger.tree] if rule.trigger is not None else []
    numbers = {lookup.name: _in_force(lookup, time) for lookup in pack.lookups}
    search = Search([*scope, *trigger, rule.condition.tree], pack.schema, numbers)
    start: Assignment = {Variable("event_time"): time}
    # (whether the pack applies, whether the condition holds)
    answers: list[tuple[bool | None, bool | None]] = {
        VIOLATES: [(True, True)],
        KEEPS: [(True, False), (True, True)],
        LACKS: [(True, None), (None, True), (True, True)],
    }[wanted]
    for applies, holds in answers:
        goals: list[Goal] = [(node, applies) for node in scope]
        goals += [(node, True) for node in trigger]
        goals.append((rule.condition.tree, holds))
        yield from islice(search.bounded(goals, start), MOST_PROPOSALS)


def _in_force(lookup: Any, time: int) -> tuple[int, ...]:
    held = {lookup.at(area, time) for area in lookup.values} | {lookup.default}
    return tuple(sorted(value for value in held if value is not None))


def _events(
    pack: Pack, rule: Rule, wanted: str, proposal: Assignment, time: int
) -> Iterator[event_pb2.Event]:
    event = event_pb2.Event(event_type="play", region="ZZ")
    event.event_time.FromSeconds(time)
    event.privacy.SetInParent()
    _place(event.privacy, pack, proposal, time)
    _fill(event.privacy, proposal, time)
    # A clock that has run out, one that still runs, one of which nobody knows when it began.
    long_ago = time - 19 * 365 * DAY
    for begins in {VIOLATES: (long_ago,), KEEPS: (time - 60,), LACKS: (long_ago, None)}[wanted]:
        if rule.clock is not None:
            _set(event.privacy, rule.clock.start[0], begins)
            for path in rule.clock.stop:
                if wanted == KEEPS or _get(event.privacy, path) is not None:
                    _set(event.privacy, path, time - 50)
        yield event
    if wanted == LACKS:
        # Last, the fact without which no law is known to apply: where the viewer is and resides.
        if rule.clock is not None:
            _set(event.privacy, rule.clock.start[0], long_ago)
        event.privacy.user_residence = event.privacy.user_location = ""
        yield event


def _place(facts: event_pb2.PrivacyFacts, pack: Pack, proposal: Assignment, time: int) -> None:
    area = pack.jurisdictions[0]
    asked = proposal.get(Variable("residence_area"))
    if isinstance(asked, str) and asked[:2] in pack.jurisdictions:
        area = asked
    for lookup in pack.lookups:
        value = proposal.get(Variable(lookup.name))
        area = next(
            (code for code in pack.jurisdictions if (lookup.at(code, time) or lookup.default) == value), area
        )
    facts.user_residence = facts.user_location = area


def _fill(facts: event_pb2.PrivacyFacts, proposal: Assignment, time: int) -> None:
    elements: dict[str, list[str | int]] = {}
    for variable, value in proposal.items():
        if variable.element is not None:
            if value:
                elements.setdefault(variable.path, []).append(variable.element)
        elif variable.path == HANDLING:
            _handle(facts, str(value))
        elif variable.path in SCHEMA.types and variable.path not in (
            "event_time",
            "residence_country",
            "residence_area",
        ):
            kind = SCHEMA.types[variable.path]
            if kind in (Type.STRINGS, Type.INTS):
                if value:
                    elements.setdefault(variable.path, [])
            elif value is not None:
                _set(facts, variable.path, time - 3_600 if kind is Type.TIME else value)
    for path, held in elements.items():
        message, field = _field(facts, path)
        getattr(message, field.name).extend(held or ["something_else"] if _is_text(field) else held)


def _handle(facts: event_pb2.PrivacyFacts, handling: str) -> None:
    if handling == "incident":
        facts.subject_type = "incident"
    elif handling == "rights":
        facts.rights_request.SetInParent()
    elif handling == "retention":
        facts.purpose = "retention_check"


def _field(facts: Any, path: str) -> tuple[Any, FieldDescriptor]:
    *outer, last = path.split(".")
    for name in outer:
        facts = getattr(facts, name)
    return facts, facts.DESCRIPTOR.fields_by_name[last]


def _is_text(field: FieldDescriptor) -> bool:
    return field.cpp_type == FieldDescriptor.CPPTYPE_STRING


def _get(facts: Any, path: str) -> Value:
    message, field = _field(facts, path)
    return getattr(message, field.name).seconds if message.HasField(field.name) else None


def _set(facts: Any, path: str, value: Value) -> None:
    message, field = _field(facts, path)
    if value is None:
        message.ClearField(field.name)
    elif field.message_type is not None:
        getattr(message, field.name).FromSeconds(value)
    else:
        setattr(message, field.name, value)
