"""From the services' answers to the transaction of a batch. Pure.

A decision is put together from serialised parts (see wire.py); what is equal within a batch is serialised once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from services.common.telemetry import TraceContext
from services.ingest import check, degrade, listed, wire
from services.ingest.items import ATTACK_MARKED, OLD, SUPPRESSED, Item
from services.ingest.messages import alert_of
from services.ingest.records import Commit, Decided, Profile, ProfileChange
from usher.alerts.v1 import alerts_pb2
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2

COMPLIANCE = decision_pb2.SERVICE_COMPLIANCE
SCORING = decision_pb2.SERVICE_SCORING
FRAUD = decision_pb2.SERVICE_FRAUD

MAX_BACKLOG = 4_096
"""Positions of one viewer that wait to be folded; 32 kB. A viewer does not reach it within an outage of hours."""
DEVICES_KEPT = 16
DEVICE_BYTES = 4
POSITION_BYTES = 8

_MOST_MARKS = 8
_LENGTHS = [wire.varint(length) for length in range(256)]


@dataclass(frozen=True, slots=True)
class Answers:
    """What a batch was, and what was answered about it. Sequences have one entry an event unless said otherwise."""

    items: Sequence[Item]
    """Of one tenant."""
    policy_set: str
    place_data: str
    """Version of the data that told where the events were."""
    places: event_pb2.Places
    """Where they were."""
    modes: Sequence[int]
    """By class of events."""
    flags: Sequence[int]
    """Item flags, with what the answers added."""
    verdicts: Sequence[bytes]
    """Distinct serialised verdicts."""
    verdict_of: Sequence[int]
    assessments: Sequence[bytes] | None
    """Serialised; None where fraud is away."""
    compliant: bool
    """Whether compliance answered."""
    decisions: Sequence[bytes] | None
    """Scoring's parts; None where scoring is away."""
    outcomes: Sequence[int]
    profiles: dict[bytes, Profile]
    """The viewers' rows as they were read, by user key."""
    bodies: dict[bytes, bytes]
    """The viewers' profiles after scoring, by user key; empty where scoring is away."""
    hits: Sequence[listed.Hit | None]
    """List entries that hold."""
    batch_ms: int
    """When the batch was taken up, Unix milliseconds."""
    times: Sequence[float]
    """time.perf_counter() at the borders of the stages so far."""

    def missing(self) -> frozenset[int]:
        """Services that did not answer."""
        answered = (
            (COMPLIANCE, self.compliant),
            (SCORING, self.decisions is not None),
            (FRAUD, self.assessments is not None),
        )
        return frozenset(service for service, there in answered if not there)


def assemble(answers: Answers) -> tuple[Commit, int]:
    """The transaction of a batch, and how many events will never be folded because a backlog was full."""
    missing = answers.missing()
    commit = Commit(sighted_ms=0 if FRAUD in missing else answers.batch_ms)
    devices = {user: profile.devices for user, profile in answers.profiles.items()}
    unfolded: dict[bytes, list[int]] = {}
    messages: list[alerts_pb2.AlertMessage] = []
    decided = commit.decided
    parts, assessments = answers.decisions, answers.assessments
    sighted = assessments is not None
    verdicts = [wire.length_delimited(wire.VERDICT, verdict) for verdict in answers.verdicts]
    shared = _Shared(answers, missing)
    places = answers.places
    where = list(zip(places.country, places.flags, places.asn, strict=True))
    for index, item in enumerate(answers.items):
        flag = answers.flags[index]
        user = item.user_key
        folds = not flag & (OLD | SUPPRESSED)
        part, outcome = (b"", 0) if parts is None else (parts[index], answers.outcomes[index])
        # An outage is one incident, not a case an event: what only it makes stricter is told by its own message.
        # Nor is what a person put on a list.
        hit = answers.hits[index]
        if outcome >= decision_pb2.OUTCOME_REVIEW and hit is None:
            assessment = assessments[index] if assessments is not None else b""
            verdict = answers.verdicts[answers.verdict_of[index]]
            messages.append(alert_of(item, outcome, part, verdict, assessment))
        if flag & ATTACK_MARKED:
            part += _marks(item)
        if missing:
            part, outcome = _degraded(answers, missing, item, part, devices[user])
        if hit is not None:
            part, outcome = listed.apply(part, hit, answers.modes[item.event_class])
        if folds:
            if parts is None:
                unfolded.setdefault(user, []).append(index)
            # A sign-in that waits for review does not make its device a known one.
            if outcome < decision_pb2.OUTCOME_REVIEW and devices[user][:DEVICE_BYTES] != item.device:
                devices[user] = with_device(devices[user], item.device)
        event_id, user_id = item.event_id.encode(), item.user_id.encode()
        body = b"".join(
            (
                part,
                verdicts[answers.verdict_of[index]],
                b""
                if assessments is None or not assessments[index]
                else wire.length_delimited(wire.ASSESSMENT, assessments[index]),
                wire.EVENT_ID,
                _LENGTHS[len(event_id)],
                event_id,
                wire.USER_ID,
                _LENGTHS[len(user_id)],
                user_id,
                shared.of_call(item),
                shared.of_kind(flag, item.event_class, folds),
                shared.of_place(where[index]),
            )
        )
        decided.append(
            Decided(
                item.key,
                item.fingerprint,
                item.tenant,
                user,
                item.event_ms,
                item.event_class,
                outcome,
                flag,
                item.payload,
                body,
                item.from_inbox,
                sighted or not folds,
            )
        )
    _count(commit, answers.items)
    truncated = _change_profiles(commit, answers, devices, unfolded)
    if messages:
        body = alerts_pb2.RaiseAlertsRequest(messages=messages).SerializeToString()
        commit.outbox.append(("alerts", "", body))
    return commit, truncated


class _Shared:
    """Serialised fields that many decisions of a batch have in common."""

    def __init__(self, answers: Answers, missing: frozenset[int]) -> None:
        self._of_batch = (
            wire.length_delimited(wire.TENANT, answers.items[0].tenant.encode())
            + wire.length_delimited(wire.POLICY_SET, answers.policy_set.encode())
            + wire.length_delimited(wire.PLACE_DATA, answers.place_data.encode())
            + wire.packed(wire.DEGRADED, sorted(missing))
        )
        self._folded = answers.decisions is not None
        self._sighted = answers.assessments is not None
        self._now = answers.times[-1]
        self._stages = [int((end - start) * 1e6) for start, end in pairwise(answers.times)]
        self._spent = sum(self._stages)
        self._calls: dict[tuple[float, TraceContext | None], bytes] = {}
        self._kinds: dict[tuple[int, int, bool], bytes] = {}
        self._places: dict[tuple[int, int, int], bytes] = {}

    def of_call(self, item: Item) -> bytes:
        """Tenant, policy set, timings and trace: equal for the events of one call."""
        key = (item.started, item.trace)
        found = self._calls.get(key)
        if found is None:
            queued = max(0, int((self._now - item.started) * 1e6) - self._spent)
            found = self._of_batch + wire.packed(wire.STAGE_US, [0, queued, *self._stages])
            if item.trace is not None:
                found += wire.length_delimited(wire.TRACE_ID, item.trace.trace_id.to_bytes(16, "big"))
            self._calls[key] = found
        return found

    def of_kind(self, flag: int, event_class: int, folds: bool) -> bytes:
        """Flags and class, and whether the event is in the viewer's profile and fraud's memory."""
        key = (flag, event_class, folds)
        found = self._kinds.get(key)
        if found is None:
            found = wire.FOLDED + b"\x01" if self._folded and folds else b""
            if self._sighted:
                found += wire.SIGHTED + b"\x01"
            if flag:
                found += wire.ITEM_FLAGS + wire.varint(flag)
            if event_class:
                found += wire.EVENT_CLASS + wire.varint(event_class)
            self._kinds[key] = found
        return found

    def of_place(self, place: tuple[int, int, int]) -> bytes:
        """Country, flags and network of an address."""
        found = self._places.get(place)
        if found is None:
            country, flags, asn = place
            found = wire.length_delimited(wire.COUNTRY, country.to_bytes(2, "big")) if country else b""
            if flags:
                found += wire.PLACE_FLAGS + wire.varint(flags)
            if asn:
                found += wire.ASN + wire.varint(asn)
            self._places[place] = found
        return found


def _degraded(
    answers: Answers, missing: frozenset[int], item: Item, part: bytes, devices: bytes
) -> tuple[bytes, int]:
    mode = answers.modes[item.event_class]
    would_be = degrade.outcome(item.event_class, item.device in devices_of(devices))
    if answers.decisions is not None:
        would_be = max(would_be, decision_pb2.Decision.FromString(part).would_be)
    outcome = would_be if mode == decision_pb2.MODE_ENFORCE else decision_pb2.OUTCOME_ALLOW
    return part + degrade.overlay(missing, would_be, mode), outcome


def _marks(item: Item) -> bytes:
    """A partial decision with a reason for each attack in the event's free text."""
    part = decision_pb2.Decision()
    for attack in check.attacks_of(event_pb2.Event.FromString(item.payload))[:_MOST_MARKS]:
        part.reasons.add(
            code=decision_pb2.REASON_CODE_ATTACK_IN_TEXT,
            words=[attack.field, attack.finding.attack, attack.finding.patterns[0]],
        )
    return part.SerializeToString()


def _count(commit: Commit, items: Sequence[Item]) -> None:
    tenant = items[0].tenant
    replayed = [(tenant, item.replay_of) for item in items if item.replay_of]
    commit.replayed.extend(replayed)
    # Neither an event of the inbox nor a replay comes in now: it was counted when it did.
    before = sum(item.from_inbox for item in items) + len(replayed)
    # Through both doors: the Submit door accepted it, the other one met it again.
    both = sum(item.from_inbox and item.answer is not None for item in items)
    counts = {
        "decided": len(items),
        "received": len(items) - before + both,
        "accepted": len(items) - before,
        "duplicate": both,
    }
    for name, n in counts.items():
        if n:
            commit.counts[(tenant, name)] = commit.counts.get((tenant, name), 0) + n
    for item in items:
        if item.import_id:
            newest = commit.imports.get((tenant, item.import_id), 0)
            if item.event_ms > newest:
                commit.imports[(tenant, item.import_id)] = item.event_ms


def _change_profiles(
    commit: Commit, answers: Answers, devices: dict[bytes, bytes], unfolded: dict[bytes, list[int]]
) -> int:
    truncated = 0
    for user, before in answers.profiles.items():
        body, backlog = (answers.bodies[user], b"") if answers.bodies else (before.body, before.backlog)
        waiting = unfolded.get(user, [])
        room = max(0, MAX_BACKLOG - len(backlog) // POSITION_BYTES)
        truncated += max(0, len(waiting) - room)
        commit.profiles.append(
            ProfileChange(
                user,
                before.row_id,
                before.version,
                devices[user],
                backlog,
                body,
                before.last_position,
                tuple(waiting[:room]),
                before.facts,
            )
        )
    return truncated


def positions_of(backlog: bytes) -> list[int]:
    """The positions in a backlog, oldest first."""
    return [
        int.from_bytes(backlog[start : start + POSITION_BYTES], "little")
        for start in range(0, len(backlog), POSITION_BYTES)
    ]


def devices_of(devices: bytes) -> list[bytes]:
    """The device hashes of a profile's row, newest first."""
    return [devices[start : start + DEVICE_BYTES] for start in range(0, len(devices), DEVICE_BYTES)]


def with_device(devices: bytes, device: bytes) -> bytes:
    """The last 16 devices with this one first."""
    others = [one for one in devices_of(devices) if one != device]
    return device + b"".join(others[: DEVICES_KEPT - 1])
