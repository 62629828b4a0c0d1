"""What the packs say of rights, breaches and retention: their `facts`, read as typed duties. Pure.

A pack's `facts.deadlines` holds one record a right and two for breaches; `number: null` means that the law gives no
count, and then `policy_default_*` is the house's own rule and is called so. `available: false` with `see` points to the
regulation that governs instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import yaml

from services.compliance.calendars import UNITS, Period
from usher.compliance.v1 import records_pb2

HOUSE_RULE = Period(30, "calendar_days")
"""Where no law that applies gives a count and no pack a default."""
POLICY = "POLICY"

R = records_pb2
_KEYS = {
    R.SUBJECT_RIGHT_ACCESS: "access",
    R.SUBJECT_RIGHT_ERASURE: "erasure",
    R.SUBJECT_RIGHT_PORTABILITY: "portability",
    R.SUBJECT_RIGHT_RECTIFICATION: "rectification",
    R.SUBJECT_RIGHT_OBJECTION: "opt_out",
    R.SUBJECT_RIGHT_OPT_OUT: "opt_out",
}
# GDPR art. 12(3) sets one period for all rights of arts. 15 to 22; the packs list those that differ between laws.
_BY_ARTICLE_12_3 = {R.SUBJECT_RIGHT_RESTRICTION: "18", R.SUBJECT_RIGHT_CONTEST: "22(3)"}
_WITH_ARTICLE_12_3 = ("EU_GDPR", "UK_GDPR")
UNION_LAW = frozenset({"EU_GDPR", "EU_EPRIVACY", "EU_DSA", "EU_AVMSD"})
"""Regulations whose periods are counted by Regulation 1182/71."""
PAUSES_FOR_IDENTITY = {
    "EU_GDPR": "EDPB Guidelines 01/2022 on the right of access, section 5.3 (from knowledge)",
    "UK_GDPR": "UK GDPR art. 12A (from knowledge)",
}
"""Where the clock stands still while the subject is asked who they are. California's runs on (11 CCR 7021(b))."""


class Deadline(NamedTuple):
    """One record of `facts.deadlines`."""

    period: Period | None
    """None: the law gives no count."""
    extension: Period | None
    acknowledge: Period | None
    policy: Period | None
    """House rule of the pack where the law gives no count."""
    start_event: str
    wording: str
    trigger: str
    cite: str
    verification: str
    binding: bool
    effective_from: str
    """Date, empty: as the pack."""
    more: Mapping[str, tuple[Period, bool]]
    """Further periods of the record by name ("final", "supplement", "assessment"), and whether they bind."""


class Facts(NamedTuple):
    """What one pack says for people."""

    id: str
    name: str
    jurisdictions: tuple[str, ...]
    since: date
    until: date
    deadlines: Mapping[str, Deadline]
    storage: Mapping[str, Any]
    regulator: str


def read_facts(documents: Mapping[str, bytes]) -> tuple[Facts, ...]:
    """The facts of packs that have been checked by `packs.load_packs`, in order of id."""
    found = []
    for _, document in sorted(documents.items()):
        pack = yaml.load(document, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        facts = pack.get("facts") or {}
        regulator = facts.get("regulator")
        found.append(
            Facts(
                id=pack["id"],
                name=pack.get("short_name") or pack["id"],
                jurisdictions=tuple(str(one) for one in pack["jurisdictions"]),
                since=_date(pack.get("effective_from"), date.min),
                until=_date(pack.get("effective_to"), date.max),
                deadlines={
                    name: _deadline(record)
                    for name, record in (facts.get("deadlines") or {}).items()
                    if isinstance(record, dict) and record.get("available") is not False
                },
                storage=facts.get("storage_limitation") or {},
                regulator=_value(regulator) if regulator else "the competent authority",
            )
        )
    return tuple(found)


def in_force(facts: Iterable[Facts], jurisdiction: str, at_ms: int) -> list[Facts]:
    """Packs that reach a jurisdiction ("US-CA" is reached by "US" as well) on a day."""
    day = datetime.fromtimestamp(at_ms / 1000, UTC).date()
    names = {jurisdiction, jurisdiction.partition("-")[0]}
    return [one for one in facts if one.since <= day < one.until and names & set(one.jurisdictions)]


def right_deadline(facts: Facts, right: int, at_ms: int) -> Deadline | None:
    """The record for a right in force at a time; None: this regulation has none."""
    article = _BY_ARTICLE_12_3.get(right)  # type: ignore[call-overload]
    if article is not None:
        base = facts.deadlines.get("access") if facts.id in _WITH_ARTICLE_12_3 else None
        if base is None:
            return None
        law = facts.id.replace("_", " ").removeprefix("EU ")
        found: Deadline | None = base._replace(cite=f"{law} arts. 12(3), {article}")
    else:
        found = facts.deadlines.get(_KEYS[right])  # type: ignore[index]
    return found if found is not None and _effective(found, at_ms) else None


def breach_deadline(facts: Facts, recipient: str, at_ms: int) -> Deadline | None:
    """The record for "regulator" or "subjects" in force at a time; None: no such duty here."""
    found = facts.deadlines.get(f"breach_{recipient}")
    return found if found is not None and _effective(found, at_ms) else None


def _effective(deadline: Deadline, at_ms: int) -> bool:
    if not deadline.effective_from:
        return True
    day = datetime.fromtimestamp(at_ms / 1000, UTC).date()
    return date.fromisoformat(deadline.effective_from) <= day


_OWN = ("", "extension", "policy_default", "acknowledge")


def _deadline(record: Mapping[str, Any]) -> Deadline:
    more = {}
    for key in record:
        name = key.removesuffix("_number") if key.endswith("_number") else ""
        if name and name not in _OWN:
            unit = record.get(f"{name}_unit") or record.get(f"{name.rpartition('_')[0]}_unit")
            if unit is None and name.startswith("final"):
                unit = record.get("final_unit")
            period = _period(record[key], unit)
            if period is not None and period.number:
                more[name] = (period, record.get(f"{name}_binding", record.get("binding")) is not False)
    return Deadline(
        period=_period(record.get("number"), record.get("unit")),
        extension=_period(record.get("extension_number") or None, record.get("extension_unit")),
        acknowledge=_period(record.get("acknowledge_number"), record.get("acknowledge_unit")),
        policy=_period(record.get("policy_default_number"), record.get("policy_default_unit")),
        start_event=str(record.get("start_event") or "request_received"),
        wording=str(record.get("text") or ""),
        trigger=str(record.get("trigger") or ""),
        cite=str(record.get("cite") or ""),
        verification=str(record.get("verification") or ""),
        binding=record.get("binding") is not False,
        effective_from=str(record.get("effective_from") or ""),
        more=more,
    )


def _period(number: Any, unit: Any) -> Period | None:
    if number is None or unit not in UNITS:
        return None
    return Period(int(number), str(unit))


def _value(record: Any) -> str:
    return str(record.get("value") if isinstance(record, dict) else record)


def _date(value: Any, default: date) -> date:
    return default if value is None else date.fromisoformat(str(value))
