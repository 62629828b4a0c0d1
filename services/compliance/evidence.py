"""Evidence for an authority or a court: decisions, the law they were made under, consents, suppressions. Pure.

Numbers with fractions are written as text, so that the document has one canonical form and can be signed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from services.common.render import decision_to_json
from usher.decision.v1 import decision_pb2

MAX_DECISIONS = 50_000


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
) -> dict[str, Any]:
    """The document without its signature. `packs` holds the regulation packs by policy set and name."""
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
                        # Callers confirm what they did; nothing did so for this one.
                        "confirmed": "not observed",
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
        "requests": [exact(one) for one in requests],
        "audit_head": audit_head,
    }
