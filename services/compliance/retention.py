"""How long each kind of data is kept, by jurisdiction, and the law behind it or that there is none. Pure.

Most laws know a principle and no number: then the period is the house's own and says so. Where a statute asks for a
minimum, nothing younger is deleted, and an erasure keeps it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from services.compliance.duties import Facts, in_force
from usher.compliance.v1 import records_pb2

R = records_pb2
DEFAULT_DAYS = 760
"""Decisions with titles: about 25 months, then aggregates are enough. House policy."""
FAILED_DAYS = 90
REQUEST_DAYS = 1_095
AUDIT_DAYS = 2_190


RETRY_MS = 3_600_000
"""A scheduled run that failed is tried again after an hour."""


def is_due(runs: Iterable[R.RetentionRun], now_ms: int, every_ms: int) -> bool:
    """Whether the job is to run again. `runs` are a tenant's reports, the newest first; dry runs do not count."""
    for run in runs:
        if run.dry_run:
            continue
        age_ms = now_ms - run.started_time.ToMilliseconds()
        if run.failure:
            if age_ms < RETRY_MS:
                return False
            continue
        return age_ms >= every_ms
    return True


class Minimum(NamedTuple):
    """What a statute asks to be kept."""

    days: int
    cite: str


def _days(record: Any) -> int | None:
    value = record.get("value") if isinstance(record, dict) else None
    return int(value["days"]) if isinstance(value, dict) and isinstance(value.get("days"), int) else None


def minimum(facts: Iterable[Facts], jurisdiction: str, at_ms: int) -> Minimum | None:
    """The longest statutory minimum in force in a jurisdiction for logs of processing; None: there is none."""
    found: list[Minimum] = []
    for one in in_force(facts, jurisdiction, at_ms):
        record = one.storage.get("minimum")
        days = _days(record)
        if record is not None and days is not None:
            found.append(Minimum(days, f"{one.name} {record.get('cite', '')}".strip()))
    if jurisdiction.partition("-")[0] == "BR":
        # An application provider's access records: Law 12.965/2014 (from knowledge, not re-read).
        found.append(Minimum(183, "Marco Civil da Internet (Lei 12.965/2014) art. 15"))
    return max(found, default=None)


def policies(facts: Iterable[Facts], at_ms: int) -> list[R.RetentionPolicy]:
    """Every policy, by kind and jurisdiction. Decisions differ by jurisdiction; the rest holds everywhere."""
    facts = list(facts)
    found = [
        R.RetentionPolicy(
            kind="decisions",
            days=DEFAULT_DAYS,
            basis="policy",
            action="delete",
            rationale="house policy where no pack says otherwise",
        ),
        R.RetentionPolicy(
            kind="failed_events",
            days=FAILED_DAYS,
            basis="policy",
            action="delete",
            rationale="long enough to correct and replay; house policy",
        ),
        R.RetentionPolicy(
            kind="subject_requests",
            days=REQUEST_DAYS,
            basis="policy",
            action="anonymise",
            minimum_days=730,
            minimum_cite="11 CCR 7101(a) (request records 24 months)",
            rationale="proof that requests were answered; house policy above California's minimum",
        ),
        R.RetentionPolicy(
            kind="audit",
            days=AUDIT_DAYS,
            basis="policy",
            action="delete",
            rationale="holds keyed hashes only; kept as long as claims may come up; house policy",
        ),
    ]
    places = sorted({place for one in facts for place in one.jurisdictions})
    for place in places:
        policy = _of_place(facts, place, at_ms)
        if policy is not None:
            found.append(policy)
    return sorted(found, key=lambda one: (one.kind, one.jurisdiction))


def _of_place(facts: list[Facts], place: str, at_ms: int) -> R.RetentionPolicy | None:
    days: int | None = None
    basis, cite, rationale = "policy", "", ""
    for one in in_force(facts, place, at_ms):
        default: Mapping[str, Any] = one.storage.get("policy_default") or {}
        own = default.get("days")
        if own is None or one.id in ("EU_EPRIVACY", "US_COPPA", "US_VPPA"):
            # Their periods are for other data: identifiers of devices, children's data, data no longer necessary.
            continue
        rule: Mapping[str, Any] = one.storage.get("rule") or {}
        if days is None or own < days:
            days, basis = int(own), "principle" if rule else "policy"
            cite, rationale = str(rule.get("cite", "")), str(default.get("rationale", ""))
    least = minimum(facts, place, at_ms)
    if days is None and least is None:
        return None
    policy = R.RetentionPolicy(
        kind="decisions",
        jurisdiction=place,
        days=max(days or DEFAULT_DAYS, least.days if least else 0),
        basis=basis,
        cite=cite,
        action="delete",
        rationale=rationale or "house policy",
    )
    if least is not None:
        policy.minimum_days, policy.minimum_cite = least.days, least.cite
    return policy


def days_for(found: Iterable[R.RetentionPolicy], kind: str, jurisdiction: str) -> R.RetentionPolicy:
    """The policy for a kind in a jurisdiction: its own, its country's, or the general one. Raises KeyError."""
    by_place = {one.jurisdiction: one for one in found if one.kind == kind}
    for place in (jurisdiction, jurisdiction.partition("-")[0], ""):
        if place in by_place:
            return by_place[place]
    raise KeyError(kind)
