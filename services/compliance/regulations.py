"""The packs as people see them: the contract's Regulation, and docs/regulations.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from services.compliance.packs import ALWAYS, Clock, Pack, Rule
from usher.compliance.v1 import compliance_pb2


def in_force(pack: Pack, at: int) -> bool:
    """Whether a regulation is in force at a moment, seconds since 1970 UTC."""
    return pack.since <= at < pack.until


def regulation(pack: Pack, at: int | None = None) -> compliance_pb2.Regulation:
    """A pack as the contract shows it; with `at`, only the rules in force at that moment."""
    rules = [rule for rule in pack.rules if at is None or rule.since <= at < rule.until]
    shown = compliance_pb2.Regulation(
        id=pack.id,
        short_name=pack.short_name,
        name=pack.name,
        jurisdictions=pack.jurisdictions,
        version=pack.version,
        digest=pack.digest,
        scope_article=pack.article,
        scope_condition=pack.applies.text if pack.applies else "",
        connections=pack.connections,
        notes=pack.notes,
        facts_json=orjson.dumps(pack.facts),
        rules=[_rule(rule) for rule in rules],
    )
    _set_force(shown, pack.since, pack.until)
    return shown


def _rule(rule: Rule) -> compliance_pb2.Rule:
    shown = compliance_pb2.Rule(
        id=rule.id,
        article=rule.article,
        reason=rule.reason,
        condition=condition_text(rule),
        remedy=rule.remedy,
        verification=rule.verification,
        summary=rule.summary,
        severity=rule.severity,
        affects=rule.affects,
        source=rule.source,
        reviewed_by=rule.reviewed_by,
        forbids_act=rule.forbids_act,
        consent_cannot_cure=rule.consent_cannot_cure,
        clock=clock_text(rule.clock),
    )
    _set_force(shown, rule.since, rule.until)
    return shown


def _set_force(shown: Any, since: int, until: int) -> None:
    if since:
        shown.effective_from_time.FromSeconds(since)
    if until < ALWAYS:
        shown.effective_to_time.FromSeconds(until)


def condition_text(rule: Rule) -> str:
    """What violates a rule, in the language of conditions."""
    parts = [rule.trigger.text, rule.condition.text] if rule.trigger else [rule.condition.text]
    return " && ".join(f"({part})" for part in parts) if len(parts) > 1 else parts[0]


def clock_text(clock: Clock | None) -> str:
    """A clock in words; empty where there is none."""
    if clock is None:
        return ""
    start = " or ".join(clock.start)
    text = f"{clock.period.number} {clock.period.unit} from {'the latest of ' if len(clock.start) > 1 else ''}{start}"
    if clock.extension is not None:
        text += f", {clock.extension.number} {clock.extension.unit} more once {clock.extension_notified}"
    return text


_GROUPS = (
    ("European Union and EEA", "EU_"),
    ("United Kingdom", "UK_"),
    ("United States, federal", "US"),
    ("United States, by state", "US-"),
    ("Canada", "CA_"),
    ("Latin America", "BR_"),
    ("Asia and Pacific", ""),
)
_UNITS = {
    "calendar_months": "month",
    "calendar_days": "day",
    "business_days": "business day",
    "hours": "hour",
}
_DEADLINES = (
    ("access", "Access"),
    ("rectification", "Rectification"),
    ("erasure", "Erasure"),
    ("portability", "Portability"),
    ("opt_out", "Opt-out"),
    ("breach_regulator", "Breach: regulator"),
    ("breach_subjects", "Breach: people"),
)

_HEAD = """# Regulations

Generated from the packs in `services/compliance/packs` by `make regulations`; `make check` keeps it fresh. An engineering
reference, not legal advice: findings are of a pack's rules, not a court's judgement.

What the columns mean:

- **Verified**: yes where an excerpt of the linked source said so when the pack was written (a stored copy, rarely the whole
  statute, often a law firm's page); else the rule rests on knowledge that was not read again. **No rule was reviewed by a
  lawyer**: where somebody has reviewed one, it says so here.
- **Weight**: severity, 1 (minor) to 5 (grave).
- **Since**: the rule is evaluated for events from that day on; without a day, as long as the regulation.
- *No consent cures it* marks rules whose condition may not even read the consent; *forbids the act* marks those that may
  raise the outcome, which they do only when verified or reviewed.

"""


def document(packs: Sequence[Pack]) -> str:
    """docs/regulations.md: what is checked, where it stands, since when, how far verified, what is not modelled."""
    parts = [_HEAD, _overview(packs)]
    left = {pack.id: pack for pack in packs}
    for title, prefix in _GROUPS:
        chosen = [pack for pack in packs if pack.id in left and _belongs(pack, prefix)]
        for pack in chosen:
            del left[pack.id]
        if chosen:
            parts.append(f"## {title}\n\n" + "".join(_section(pack) for pack in chosen))
    return "".join(parts).rstrip() + "\n"


def _belongs(pack: Pack, prefix: str) -> bool:
    if prefix.startswith("US"):
        state = all(code.startswith("US-") for code in pack.jurisdictions)
        return pack.id.startswith("US_") and state == (prefix == "US-")
    return pack.id.startswith(prefix)


def _overview(packs: Sequence[Pack]) -> str:
    rows = [
        (
            f"[{pack.id}](#{pack.id.lower()})",
            pack.short_name,
            _places(pack),
            _day(pack.since) or "before 1970",
            str(len(pack.rules)),
            str(sum(rule.verification == "verified" for rule in pack.rules)),
        )
        for pack in packs
    ]
    total = sum(len(pack.rules) for pack in packs)
    verified = sum(rule.verification == "verified" for pack in packs for rule in pack.rules)
    return (
        f"{len(packs)} packs, {total} rules, {verified} of them verified.\n\n"
        + _table(("Pack", "Name", "Where", "In force", "Rules", "Verified"), rows)
        + "\n"
    )


def _places(pack: Pack) -> str:
    codes = [code for code in pack.jurisdictions if code != "EU"]
    return (
        f"{len(codes)} states of the EEA"
        if len(codes) > 20
        else ", ".join(codes[:3]) + (f" and {len(codes) - 3} more" if len(codes) > 3 else "")
    )


def _section(pack: Pack) -> str:
    lines = [f"### {pack.id}\n", f"{pack.name}. Version {pack.version}.\n"]
    by = " or ".join(
        {
            "establishment": "the controller is established there",
            "location": "the viewer is there",
            "residence": "the viewer resides there",
        }[connection]
        for connection in pack.connections
    )
    scope = f"Applies ({pack.article}) where {by}"
    if pack.applies is not None:
        scope += f", and `{' '.join(pack.applies.text.split())}`"
    scope += f"; in force since {_day(pack.since) or 'before 1970'}"
    if pack.until < ALWAYS:
        scope += f" until {_day(pack.until)}"
    lines.append(scope + ".\n")
    rows = []
    for rule in pack.rules:
        marks = [
            text
            for flag, text in (
                (rule.consent_cannot_cure, "no consent cures it"),
                (rule.forbids_act, "forbids the act"),
            )
            if flag
        ]
        said = rule.summary + (f" *{', '.join(marks).capitalize()}.*" if marks else "")
        since = _day(rule.since) if rule.since > pack.since else ""
        if rule.until < ALWAYS:
            since = f"{since} until {_day(rule.until)}".strip()
        reviewed = f", reviewed by {rule.reviewed_by}" if rule.reviewed_by else ""
        verified = (f"[yes]({rule.source})" if rule.verification == "verified" else "no") + reviewed
        rows.append((rule.article, said, f"`{rule.reason}`", since, str(rule.severity), verified))
    lines.append(
        _table(("Where it stands", "What is checked", "Reason", "Since", "Weight", "Verified"), rows)
    )
    deadlines = _deadlines(pack.facts)
    if deadlines:
        lines.append("Deadlines: " + "; ".join(deadlines) + ".\n")
    if pack.notes:
        lines.append("Not modelled, and readings chosen:\n")
        lines.append("\n".join(f"- {note}" for note in pack.notes) + "\n")
    return "\n".join(lines) + "\n"


def _deadlines(facts: dict[str, Any]) -> list[str]:
    told = facts.get("deadlines")
    if not isinstance(told, dict):
        return []
    return [f"{label.lower()} {_deadline(told[key])}" for key, label in _DEADLINES if _speaks(told.get(key))]


def _speaks(entry: Any) -> bool:
    return isinstance(entry, dict) and bool(entry.get("available"))


def _deadline(entry: dict[str, Any]) -> str:
    number, unit = entry.get("number"), _UNITS.get(str(entry.get("unit")), "")
    if not number or not unit:
        return "without a count"
    text = f"{number} {unit}{'' if number == 1 else 's'}"
    if entry.get("extension_number"):
        text += f" (+ {entry['extension_number']})"
    return text if entry.get("binding") else f"{text} by guidance"


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat() if 0 < seconds < ALWAYS else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"
