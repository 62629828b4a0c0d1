"""Applies the packs to an event's legal facts: what applies, what is violated, what cannot be told, what may be done.

Three-valued throughout: a law that applies and a condition that holds are a finding; where either is unknown and the
other is not false, a gap with the facts that are missing; anything else is silent. The law is that in force at the
event's time.

**Signature.** Of the facts only some matter to a law: those that the packs reaching the event read, ages and counts only by
which side of the packs' numbers they lie on, times only where a condition or a clock reads them. Facts with equal
signatures have the same answer for the times that it names.

**Risk** (the compliance component, 0 to 3): half the severity of the gravest finding (0.5 to 2.5), half a point more
where there is more than one finding, half a point where there is any gap; at most 3.

**Processing**: one entry for the purpose (or "*", every consent-based purpose, where none is declared), one for the
recipient where data are shared, one for the transfer where there is one. The strictest rule decides: SUPPRESS before
GAP before PERMITTED; among equals the graver, then the first by id. A viewer's own request is always permitted. Where
several regulations apply and answer differently on one entry, the strictest decides and `conflicts` shows the others.

**Rights in the ledger.** What a viewer obtained by a request holds, whichever law applies and whatever period it leaves: a
restriction suppresses every purpose but security, an objection marketing, advertising and what rests on legitimate interests
(security apart), an opt-out targeted advertising, sale and sharing. Such an entry names "ledger.restriction",
"ledger.objection" or "ledger.opt_out" as its rule.

**Remedies** are what puts findings right, one entry a remedy with the rules that it serves; they are the caller's acts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from services.compliance.clocks import last_second
from services.compliance.expression import (
    Compare,
    FieldRef,
    Intersects,
    Junction,
    ListOf,
    Literal,
    Node,
    Not,
    Type,
    Value,
    missing_fields,
)
from services.compliance.facts import HANDLING, HANDLINGS, SCHEMA, Facts, event_path
from services.compliance.packs import ALWAYS, Clock, Lookup, Pack, Rule
from usher.decision.v1 import decision_pb2

MAX_RISK = 3.0
ADULT = 18
EVERY_PURPOSE = "*"
SECURITY_PURPOSES = frozenset({"security", "fraud_prevention"})
_ADVERTISING = "targeted_advertising"
_MARKETING = frozenset({_ADVERTISING, "direct_marketing"})

_PERMITTED = decision_pb2.PROCESSING_STATE_PERMITTED
_SUPPRESS = decision_pb2.PROCESSING_STATE_SUPPRESS
_GAP = decision_pb2.PROCESSING_STATE_GAP
_STRICTNESS = {_PERMITTED: 0, _GAP: 1, _SUPPRESS: 2}

_AT = SCHEMA.positions
_CONNECTION_PATHS = {
    "establishment": "privacy.controller_established_in",
    "location": "privacy.user_location",
    "residence": "privacy.user_residence",
}


class Answer(NamedTuple):
    """The law's answer to one set of facts, and for which event times it holds."""

    verdict: bytes
    """Serialised usher.decision.v1.Verdict."""
    risk: float
    flags: int
    since: int
    """First second, since 1970 UTC, for which it holds."""
    until: int
    """First second after that for which it does not."""


class _Hit(NamedTuple):
    """A rule that speaks: violated, or unknown for want of `missing`."""

    pack: Pack
    rule: Rule
    missing: tuple[str, ...]
    """Paths of the event; empty: violated."""


class _Reach(NamedTuple):
    """What reaches events of some areas, and what of their facts matters then."""

    packs: tuple[tuple[Pack, bool | None, tuple[str, ...]], ...]
    """Whether a pack reaches them for certain, and if not, the paths of the missing facts."""
    plain: tuple[int, ...]
    """Positions of the facts that matter as they are."""
    counts: tuple[tuple[int, tuple[int, ...]], ...]
    """Positions of the numbers that matter, with the numbers that the packs compare them with, in order."""
    times: tuple[int, ...]
    """Positions of the times that matter."""


class Law:
    """The packs of one policy set, ready to be applied. Pure: equal facts have equal answers, byte for byte."""

    def __init__(self, packs: Sequence[Pack]) -> None:
        self.packs = tuple(packs)
        self._rules = {
            pack.id: {handling: pack.rules_for(handling) for handling in HANDLINGS} for pack in packs
        }
        self._territories = {pack.id: _Territory(pack.jurisdictions) for pack in packs}
        # Few combinations of areas make up most traffic.
        self._reaching = lru_cache(maxsize=4_096)(self._reach)
        self._numbers = _numbers(packs)
        dates = {instant for pack in packs for instant in pack.instants}
        self._dates = sorted(dates | {instant + 1 for instant in dates})

    def evaluate(self, facts: Facts) -> Answer:
        """The answer to an event's facts."""
        applicable: list[str] = []
        hits: list[_Hit] = []
        time = facts.time
        handling = str(facts.values[_AT[HANDLING]])
        reach = self._reaching(facts.establishment, facts.location, facts.residence)
        for pack, reached, unreached in reach.packs:
            if not pack.since <= time < pack.until:
                continue
            values = _with_lookups(pack, facts)
            applies, missing = reached, unreached
            if pack.applies is not None:
                further = pack.applies.test(values)
                if further is False:
                    continue
                if further is None:
                    applies = None
                    paths = missing_fields(pack.applies.tree, pack.schema, values)
                    missing = (*unreached, *(event_path(path) for path in paths))
            if applies:
                applicable.append(pack.id)
            _find(pack, self._rules[pack.id][handling], values, time, missing, hits)
        verdict = _verdict(facts, applicable, hits)
        since, until = self._validity(facts, reach)
        return Answer(
            verdict.SerializeToString(deterministic=True), verdict.risk, verdict.flags, since, until
        )

    def signature(self, facts: Facts) -> Hashable:
        """What of an event's facts its answer rests on, beside its time."""
        reach = self._reaching(facts.establishment, facts.location, facts.residence)
        values = facts.values
        counts = [
            None if (value := values[position]) is None else bisect_right(numbers, value)  # type: ignore[type-var]
            for position, numbers in reach.counts
        ]
        return (
            facts.establishment,
            facts.location,
            facts.residence,
            facts.assumptions,
            facts.ledger,
            # Only rights in the ledger make these matter where no pack reads them.
            None if not _has_rights(facts) else (values[_LEGAL_BASIS], values[_IS_SALE]),
            (facts.resolution.conflicts, facts.resolution.problems) if facts.resolution is not None else None,
            *[values[position] for position in reach.plain],
            *counts,
        )

    def _reach(
        self,
        establishment: tuple[str, ...],
        location: tuple[str, ...] | None,
        residence: tuple[str, ...] | None,
    ) -> _Reach:
        areas = {"establishment": establishment, "location": location, "residence": residence}
        found: list[tuple[Pack, bool | None, tuple[str, ...]]] = []
        for pack in self.packs:
            territory = self._territories[pack.id]
            inside = {connection: territory.holds(areas[connection]) for connection in pack.connections}
            if any(inside.values()):
                found.append((pack, True, ()))
                continue
            unknown = tuple(
                _CONNECTION_PATHS[connection] for connection, held in inside.items() if held is None
            )
            if unknown:
                found.append((pack, None, unknown))
        read = sorted({_AT[path] for pack, *_ in found for path in _fields_read(pack)} | _ALWAYS_READ)
        kinds = {_AT[path]: kind for path, kind in SCHEMA.types.items()}
        numbers = {_AT[path]: values for path, values in self._numbers.items()}
        return _Reach(
            tuple(found),
            tuple(position for position in read if position not in numbers),
            tuple((position, numbers[position]) for position in read if position in numbers),
            tuple(position for position in read if kinds[position] is Type.TIME),
        )

    def _validity(self, facts: Facts, reach: _Reach) -> tuple[int, int]:
        """From which second to before which the answer of these packs to these facts is the same."""
        position = bisect_right(self._dates, facts.time)
        since = self._dates[position - 1] if position else -ALWAYS
        until = self._dates[position] if position < len(self._dates) else ALWAYS
        changes = [
            moment + step
            for position in reach.times
            if isinstance(moment := facts.values[position], int)
            for step in (0, 1)
        ]
        if changes:
            changes += [
                end + 1
                for pack, *_ in reach.packs
                for rule in pack.rules
                if rule.clock is not None
                for end in _ends(rule.clock, facts.values)
            ]
        for change in changes:
            if change <= facts.time:
                since = max(since, change)
            else:
                until = min(until, change)
        return since, until


_LEGAL_BASIS, _IS_SALE = _AT["legal_basis_claimed"], _AT["third_party.is_sale_or_share"]
_ALWAYS_READ = {
    _AT[path]
    for path in (
        HANDLING,
        "purpose",
        "user_age",
        "third_party.shared",
        "third_party.recipient_type",
        "transfer.cross_border",
        "transfer.destination_country",
    )
}
"""Facts that the entries of processing and the flags are made from."""


def _fields_read(pack: Pack) -> set[str]:
    """Facts that a pack's conditions and clocks read, but the event's own time."""
    conditions = [pack.applies, *(item for rule in pack.rules for item in (rule.trigger, rule.condition))]
    found = {path for condition in conditions if condition is not None for path in condition.fields}
    for rule in pack.rules:
        if rule.clock is not None:
            found.update((*rule.clock.start, *rule.clock.stop, rule.clock.extension_notified))
    return {path for path in found if path in _AT} - {"event_time"}


def _numbers(packs: Sequence[Pack]) -> dict[str, tuple[int, ...]]:
    """For each number among the facts: the bounds between which its value makes no difference to any condition."""
    bounds: dict[str, set[int]] = {"user_age": {ADULT}}
    exact: set[str] = set()
    for pack in packs:
        tables = {
            lookup.name: {
                lookup.default,
                *(number for dated in lookup.values.values() for _, number in dated),
            }
            for lookup in pack.lookups
        }
        conditions = [pack.applies, *(item for rule in pack.rules for item in (rule.trigger, rule.condition))]
        for condition in conditions:
            if condition is not None:
                _collect(condition.tree, tables, bounds, exact)
    integers = {path for path, kind in SCHEMA.types.items() if kind is Type.INT} - exact
    return {path: tuple(sorted(bounds.get(path, set()))) for path in integers}


def _collect(node: Node, tables: dict[str, set[int]], bounds: dict[str, set[int]], exact: set[str]) -> None:
    """Adds the constants that fields are compared with, and fields compared with anything else to `exact`."""
    match node:
        case Junction(_, operands):
            for operand in operands:
                _collect(operand, tables, bounds, exact)
        case Not(operand):
            _collect(operand, tables, bounds, exact)
        case Compare(_, left, right):
            for field, other in ((left, right), (right, left)):
                if not isinstance(field, FieldRef):
                    continue
                match other:
                    case Literal(int() as value):
                        constants = {value}
                    case ListOf(values):
                        constants = {value for value in values if isinstance(value, int)}
                    case FieldRef(path) if path in tables:
                        constants = tables[path]
                    case FieldRef():
                        exact.add(field.path)
                        continue
                    case _:
                        continue
                # A value may lie below, at or above each.
                bounds.setdefault(field.path, set()).update(
                    bound for constant in constants for bound in (constant, constant + 1)
                )
        case Intersects(left, right):
            exact.update(side.path for side in (left, right) if isinstance(side, FieldRef))
        case _:
            pass


class _Territory:
    """A set of jurisdictions; a country counts for its subdivisions, not the other way round."""

    def __init__(self, jurisdictions: Iterable[str]) -> None:
        self._codes = frozenset(jurisdictions)
        self._partly = frozenset(code[:2] for code in self._codes if len(code) > 2)

    def holds(self, areas: Sequence[str] | None) -> bool | None:
        """Whether any of the areas lies inside; unknown where one only overlaps, or none is known."""
        if areas is None:
            return None
        result: bool | None = False
        for area in areas:
            if area in self._codes or area[:2] in self._codes:
                return True
            if len(area) == 2 and area in self._partly:
                result = None
        return result


def _with_lookups(pack: Pack, facts: Facts) -> list[Value]:
    if not pack.lookups:
        return facts.values
    return [*facts.values, *(_look_up(lookup, facts) for lookup in pack.lookups)]


def _look_up(lookup: Lookup, facts: Facts) -> int:
    for connection in lookup.by:
        for area in getattr(facts, connection) or ():
            found = lookup.at(area, facts.time)
            if found is not None:
                return found
    return lookup.default


def _find(
    pack: Pack,
    rules: Sequence[Rule],
    values: Sequence[Value],
    time: int,
    scope_missing: tuple[str, ...],
    hits: list[_Hit],
) -> None:
    """Adds the rules of a pack that speak. `scope_missing`: what keeps it unknown whether the pack applies."""
    for rule in rules:
        if not rule.since <= time < rule.until:
            continue
        if rule.trigger is not None and rule.trigger.test(values) is not True:
            continue
        violated = _violated(rule, values, time)
        if violated is False:
            continue
        missing: tuple[str, ...] = scope_missing
        if violated is None:
            missing = (*missing, *(event_path(path) for path in _missing(rule, pack, values)))
        hits.append(_Hit(pack, rule, tuple(dict.fromkeys(missing))))


def _violated(rule: Rule, values: Sequence[Value], time: int) -> bool | None:
    holds = rule.condition.test(values)
    if rule.clock is None or holds is False:
        return holds
    late = _run_out(rule.clock, values, time)
    if late is False:
        return False
    return None if holds is None or late is None else True


def _missing(rule: Rule, pack: Pack, values: Sequence[Value]) -> list[str]:
    paths = missing_fields(rule.condition.tree, pack.schema, values)
    if rule.clock is not None and values[_AT[rule.clock.start[0]]] is None:
        paths.append(rule.clock.start[0])
    return paths


def _run_out(clock: Clock, values: Sequence[Value], time: int) -> bool | None:
    """Whether a clock ran out before it was stopped, or before now; unknown without its start."""
    start = _start(clock, values)
    if start is None:
        return None
    end = last_second(start, clock.period)
    if clock.extension is not None:
        notified = values[_AT[clock.extension_notified]]
        # An extension counts once notified, and only when notified within the period that it extends.
        if isinstance(notified, int) and notified <= min(time, end):
            end = _extended(clock, start)
    stops = [moment for path in clock.stop if isinstance(moment := values[_AT[path]], int)]
    return min([time, *stops]) > end


def _start(clock: Clock, values: Sequence[Value]) -> int | None:
    """The latest of the facts at which a clock begins; unknown without the first."""
    moments = [values[_AT[path]] for path in clock.start]
    if moments[0] is None:
        return None
    return max(moment for moment in moments if isinstance(moment, int))


def _extended(clock: Clock, start: int) -> int:
    assert clock.extension is not None
    if clock.extension.unit == clock.period.unit:
        # One period of the sum: two months and one month of 31 January are the end of April, not of 28 April.
        return last_second(start, clock.period._replace(number=clock.period.number + clock.extension.number))
    return last_second(last_second(start, clock.period), clock.extension)


def _ends(clock: Clock, values: Sequence[Value]) -> list[int]:
    start = _start(clock, values)
    if start is None:
        return []
    ends = [last_second(start, clock.period)]
    if clock.extension is not None and values[_AT[clock.extension_notified]] is not None:
        ends.append(_extended(clock, start))
    return ends


def _verdict(facts: Facts, applicable: list[str], hits: list[_Hit]) -> decision_pb2.Verdict:
    findings = [hit for hit in hits if not hit.missing]
    gaps = [hit for hit in hits if hit.missing]
    findings.sort(key=lambda hit: (-hit.rule.severity, hit.rule.id))
    gaps.sort(key=lambda hit: hit.rule.id)
    verdict = decision_pb2.Verdict(
        status=_status(findings, gaps),
        applicable=applicable,
        findings=[_finding(hit) for hit in findings],
        gaps=[
            decision_pb2.Gap(
                regulation=hit.pack.id, article=hit.rule.article, rule=hit.rule.id, missing=hit.missing
            )
            for hit in gaps
        ],
        processing=_processing(facts, applicable, findings, gaps),
        assumptions=facts.assumptions,
        risk=_risk(findings, gaps),
        remedies=_remedies(findings),
    )
    if len(applicable) > 1:
        verdict.conflicts.extend(_conflicts(applicable, findings, gaps, verdict.processing))
    _tell_consent(facts, verdict)
    verdict.flags = _flags(facts, findings, verdict.processing)
    return verdict


def with_ledger_version(verdict: bytes, version: int) -> bytes:
    """A serialised verdict with `ledger_version`: verdicts are shared by viewers, whose versions differ.

    Protobuf takes the last of several values of a field, wherever it stands.
    """
    return verdict + _ledger_version(version)


@lru_cache(maxsize=16_384)
def _ledger_version(version: int) -> bytes:
    return decision_pb2.Verdict(ledger_version=version).SerializeToString()


def _tell_consent(facts: Facts, verdict: decision_pb2.Verdict) -> None:
    """Adds where sources of consent disagreed, which strings could not be relied on, and what the ledger said."""
    if facts.resolution is not None:
        verdict.consent_conflicts.extend(
            decision_pb2.ConsentConflict(**conflict._asdict()) for conflict in facts.resolution.conflicts
        )
        verdict.consent_problems.extend(
            decision_pb2.ConsentStringProblem(**problem._asdict()) for problem in facts.resolution.problems
        )
    if facts.ledger is not None:
        told = verdict.ledger_consent
        told.granted.extend(facts.ledger.granted)
        told.denied.extend(facts.ledger.denied)
        told.status = facts.ledger.status
        for time, seconds in (
            (told.obtained_time, facts.ledger.obtained),
            (told.withdrawn_time, facts.ledger.withdrawn),
            (told.expires_time, facts.ledger.expires),
            (told.opted_out_time, facts.ledger.opted_out),
            (told.objected_time, facts.ledger.objected),
            (told.restricted_time, facts.ledger.restricted),
        ):
            if seconds is not None:
                time.seconds = seconds


def _finding(hit: _Hit) -> decision_pb2.Finding:
    rule = hit.rule
    return decision_pb2.Finding(
        regulation=hit.pack.id,
        article=rule.article,
        reason=rule.reason,
        rule=rule.id,
        pack_version=hit.pack.version,
        remedy=rule.remedy,
        verification=rule.verification,
        reviewed_by=rule.reviewed_by,
        severity=rule.severity,
        forbids_act=rule.forbids_act,
        consent_cannot_cure=rule.consent_cannot_cure,
    )


def _remedies(findings: Sequence[_Hit]) -> list[decision_pb2.RemedyAction]:
    """One entry a remedy; the findings are gravest first, and so are these."""
    found: dict[str, decision_pb2.RemedyAction] = {}
    for hit in findings:
        entry = found.get(hit.rule.remedy)
        if entry is None:
            entry = found[hit.rule.remedy] = decision_pb2.RemedyAction(
                remedy=hit.rule.remedy,
                severity=hit.rule.severity,
                enforced_by=decision_pb2.ENFORCED_BY_CALLER,
            )
        entry.rules.append(hit.rule.id)
    return list(found.values())


def _conflicts(
    applicable: Sequence[str],
    findings: Sequence[_Hit],
    gaps: Sequence[_Hit],
    processing: Iterable[decision_pb2.Processing],
) -> list[decision_pb2.Conflict]:
    """For each entry that a rule decided: the regulations that apply and ask for less."""
    conflicts: list[decision_pb2.Conflict] = []
    for entry in processing:
        if not entry.rule or entry.rule.startswith(_LEDGER):
            continue
        affects = "recipient" if entry.recipient else "transfer" if entry.destination else "purposes"
        demands = {hit.pack.id: _GAP for hit in gaps if hit.rule.affects == affects}
        demands |= {hit.pack.id: _SUPPRESS for hit in findings if hit.rule.affects == affects}
        less = [
            name
            for name in applicable
            if _STRICTNESS[demands.get(name, _PERMITTED)] < _STRICTNESS[entry.state]
        ]
        if less:
            conflicts.append(
                decision_pb2.Conflict(
                    purpose=entry.purpose,
                    recipient=entry.recipient,
                    destination=entry.destination,
                    decided_by=entry.rule.partition(".")[0],
                    rule=entry.rule,
                    state=entry.state,
                    less_strict=less,
                )
            )
    return conflicts


def _status(findings: Sequence[_Hit], gaps: Sequence[_Hit]) -> decision_pb2.ComplianceStatus:
    if findings:
        return decision_pb2.COMPLIANCE_STATUS_VIOLATION
    return decision_pb2.COMPLIANCE_STATUS_GAP if gaps else decision_pb2.COMPLIANCE_STATUS_COMPLIANT


def _risk(findings: Sequence[_Hit], gaps: Sequence[_Hit]) -> float:
    gravest = max((hit.rule.severity for hit in findings), default=0)
    return min(MAX_RISK, 0.5 * gravest + 0.5 * (len(findings) > 1) + 0.5 * bool(gaps))


def _flags(facts: Facts, findings: Sequence[_Hit], processing: Iterable[decision_pb2.Processing]) -> int:
    flags = 0
    own_right = facts.values[_AT[HANDLING]] == "rights"
    if not own_right and any(
        hit.rule.forbids_act and (hit.rule.verification == "verified" or hit.rule.reviewed_by)
        for hit in findings
    ):
        flags |= 1 << decision_pb2.VERDICT_FLAG_FORBIDS_ACT
    for entry in processing:
        if entry.state == _SUPPRESS:
            flags |= 1 << decision_pb2.VERDICT_FLAG_SUPPRESS
            if entry.purpose in SECURITY_PURPOSES and not entry.recipient and not entry.destination:
                flags |= 1 << decision_pb2.VERDICT_FLAG_SECURITY_SUPPRESSED
    age = facts.values[_AT["user_age"]]
    if age is None:
        flags |= 1 << decision_pb2.VERDICT_FLAG_AGE_UNKNOWN
    elif isinstance(age, int) and age < ADULT:
        flags |= 1 << decision_pb2.VERDICT_FLAG_MINOR
    return flags


def _processing(
    facts: Facts, applicable: Sequence[str], findings: Sequence[_Hit], gaps: Sequence[_Hit]
) -> list[decision_pb2.Processing]:
    values = facts.values
    handling = values[_AT[HANDLING]]
    declared = values[_AT["purpose"]]
    if handling == "rights":
        purpose = declared if isinstance(declared, str) else "rights_request"
    else:
        purpose = declared if isinstance(declared, str) else EVERY_PURPOSE
    entries: list[decision_pb2.Processing] = []
    state, rule = _decisive("purposes", findings, gaps)
    if handling == "rights":
        state, rule = _PERMITTED, ""
    if state != _PERMITTED or (applicable and purpose != EVERY_PURPOSE):
        entries.append(decision_pb2.Processing(purpose=purpose, state=state, rule=rule))
    state, rule = _decisive("recipient", findings, gaps)
    if state != _PERMITTED or (applicable and values[_AT["third_party.shared"]]):
        recipient = values[_AT["third_party.recipient_type"]]
        entries.append(
            decision_pb2.Processing(
                purpose=purpose,
                recipient=recipient if isinstance(recipient, str) else EVERY_PURPOSE,
                state=state,
                rule=rule,
            )
        )
    state, rule = _decisive("transfer", findings, gaps)
    if state != _PERMITTED or (applicable and values[_AT["transfer.cross_border"]]):
        destination = values[_AT["transfer.destination_country"]]
        entries.append(
            decision_pb2.Processing(
                purpose=purpose,
                destination=destination if isinstance(destination, str) else EVERY_PURPOSE,
                state=state,
                rule=rule,
            )
        )
    return _with_rights(facts, entries) if _has_rights(facts) and handling == "processing" else entries


_LEDGER = "ledger."


def _has_rights(facts: Facts) -> bool:
    ledger = facts.ledger
    return ledger is not None and (ledger.opted_out, ledger.objected, ledger.restricted) != (None, None, None)


def _with_rights(facts: Facts, entries: list[decision_pb2.Processing]) -> list[decision_pb2.Processing]:
    """The entries, with those suppressed that a right in the ledger speaks of."""
    values, ledger = facts.values, facts.ledger
    assert ledger is not None
    declared = values[_AT["purpose"]]
    purpose = declared if isinstance(declared, str) else EVERY_PURPOSE
    found = {(entry.purpose, entry.recipient, entry.destination): entry for entry in entries}

    def suppress(name: str, right: str, recipient: str = "") -> None:
        entry = found.setdefault(
            (name, recipient, ""), decision_pb2.Processing(purpose=name, recipient=recipient)
        )
        if entry.state != _SUPPRESS:
            entry.state, entry.rule = _SUPPRESS, _LEDGER + right

    if ledger.restricted is not None and purpose not in SECURITY_PURPOSES:
        suppress(purpose, "restriction")
    if ledger.objected is not None:
        if declared is None:
            for name in sorted(_MARKETING):
                suppress(name, "objection")
        elif purpose in _MARKETING or (
            values[_LEGAL_BASIS] == "legitimate_interests" and purpose not in SECURITY_PURPOSES
        ):
            suppress(purpose, "objection")
    if ledger.opted_out is not None:
        if declared is None or purpose == _ADVERTISING:
            suppress(_ADVERTISING, "opt_out")
        if values[_IS_SALE]:
            recipient = values[_AT["third_party.recipient_type"]]
            suppress(purpose, "opt_out", recipient if isinstance(recipient, str) else EVERY_PURPOSE)
    return list(found.values())


def _decisive(
    affects: str, findings: Sequence[_Hit], gaps: Sequence[_Hit]
) -> tuple[decision_pb2.ProcessingState, str]:
    """The strictest state that the rules of one kind demand, and the rule that decides."""
    if not findings and not gaps:
        return _PERMITTED, ""
    candidates = [(_SUPPRESS, hit.rule) for hit in findings if hit.rule.affects == affects]
    candidates += [(_GAP, hit.rule) for hit in gaps if hit.rule.affects == affects]
    if not candidates:
        return _PERMITTED, ""
    state, rule = min(candidates, key=lambda item: (-_STRICTNESS[item[0]], -item[1].severity, item[1].id))
    return state, rule.id
