"""Evidence for an authority or a court: decisions, the law they were made under, consents, suppressions. Pure.

Numbers with fractions are written as text, so that the document has one canonical form and can be signed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from services.common.render import decision_to_json
from usher.decision.v1 import decision_pb2
from usher.ingest.v1 import enforcement_pb2

MAX_DECISIONS = 50_000

_ACTION = decision_pb2.ActionKind


def exact(value: Any) -> Any:
    """The value with fractions as text, in which a signed document can hold it."""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, dict):
        return {str(name): exact(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [exact(item) for item in value]
    return value


def document(
    *,
    tenant: str,
    subject: str,
    since: str,
    until: str,
    made: str,
    decisions: Sequence[decision_pb2.Decision],
    truncated: bool,
    packs: Mapping[str, Mapping[str, bytes]],
    consents: Iterable[Mapping[str, Any]],
    requests: Iterable[Mapping[str, Any]],
    audit_head: str,
    enforcements: Iterable[enforcement_pb2.Enforcement] = (),
) -> dict[str, Any]:
    """The document without its signature.

    `packs` holds the regulation packs by policy set and name; `enforcements` is what callers confirmed of the decisions'
    actions. A suppression that nobody confirmed is "not observed", one that a component did not carry out says so.
    """
    confirmed: dict[str, list[enforcement_pb2.Enforcement]] = {}
    for told in enforcements:
        confirmed.setdefault(told.event_id, []).append(told)
    used: dict[str, set[str]] = {}
    rows = []
    suppressions = []
    for decision in decisions:
        rows.append(exact(decision_to_json(decision)))
        named = used.setdefault(decision.policy_set, set())
        named.update(finding.regulation for finding in decision.verdict.findings)
        named.update(gap.regulation for gap in decision.verdict.gaps)
        named.update(decision.verdict.applicable)
        for one in decision.verdict.processing:
            if one.state == decision_pb2.PROCESSING_STATE_SUPPRESS:
                suppressions.append(
                    {
                        "event_id": decision.event_id,
                        "purpose": one.purpose,
                        "recipient": one.recipient,
                        "destination": one.destination,
                        "rule": one.rule,
                        "decided": decision.decided_time.ToJsonString(),
                        **_confirmation(confirmed.get(decision.event_id, ()), one.purpose),
                    }
                )
    law = []
    for policy_set, parts in sorted(packs.items()):
        wanted = used.get(policy_set, set())
        for name, text in sorted(parts.items()):
            part: dict[str, Any] = {
                "policy_set": policy_set,
                "pack": name,
                "sha256": hashlib.sha256(text).hexdigest(),
            }
            if name in wanted:
                part["text"] = text.decode("utf-8")
            law.append(part)
    return {
        "kind": "evidence",
        "version": 1,
        "tenant": tenant,
        "subject": subject,
        "since": since,
        "until": until,
        "made": made,
        "decisions": rows,
        "decisions_truncated": truncated,
        "law": law,
        "consents": [exact(one) for one in consents],
        "suppressions": suppressions,
        "actions": [
            {
                "event_id": one.event_id,
                "action": _ACTION.Name(one.action).removeprefix("ACTION_KIND_").lower(),
            }
            | _confirmation([one], one.purpose)
            for told in confirmed.values()
            for one in told
            if one.action != decision_pb2.ACTION_KIND_SUPPRESS_PROCESSING
        ],
        "requests": [exact(one) for one in requests],
        "audit_head": audit_head,
    }


def _confirmation(told: Iterable[enforcement_pb2.Enforcement], purpose: str) -> dict[str, Any]:
    """What components said of an action: "carried out", "not carried out" (one of them did not), or "not observed"."""
    said = [one for one in told if one.purpose in (purpose, "*")]
    results = {one.result for one in said}
    if enforcement_pb2.ENFORCEMENT_RESULT_NOT_CARRIED_OUT in results:
        word = "not carried out"
    else:
        word = "carried out" if results else "not observed"
    return {
        "confirmed": word,
        "confirmations": [
            {
                "component": one.component,
                "carried_out": one.result == enforcement_pb2.ENFORCEMENT_RESULT_CARRIED_OUT,
                "reference": one.reference,
                "enforced": one.enforced_time.ToJsonString(),
                "recorded": one.recorded_time.ToJsonString(),
            }
            for one in said
        ],
    }
