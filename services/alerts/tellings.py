"""What people read: one telling as text, HTML, Slack blocks, a short message, or JSON. Pure.

Nothing that somebody else wrote is trusted: HTML is escaped, Slack's marks are too, and a line stays a line. Persons are
named by a keyed hash unless the channel is configured to show them: a chat and a mailbox are read by many.
"""

from __future__ import annotations

import hashlib
import hmac
import html
from typing import Any, NamedTuple

from services.alerts.grouping import DIGEST, ESCALATED, REOPENED, SNOOZE_ENDED, UNACKNOWLEDGED
from usher.alerts.v1 import alerts_pb2
from usher.decision.v1 import decision_pb2

IMPERSONAL = frozenset(
    {
        *("service", "ring", "policy_set", "tenant", "incident", "list_entry", "channel", "breach"),
        *("subject_request", "duty", "group", "model", "store", "source", "subscriber"),
    }
)
"""Kinds of entity that name no person and may be shown as they are."""
_DIGEST_CHARS = 16
_SMS_CHARS = 320
_WORDS = {
    "opened": "opened",
    ESCALATED: "became graver",
    UNACKNOWLEDGED: "is not acknowledged",
    SNOOZE_ENDED: "waits, its snooze is over",
    DIGEST: "many alerts at once",
    REOPENED: "came again",
}


class Delivery(NamedTuple):
    """One telling on its way through one channel."""

    delivery_id: int
    """The row's number: deliveries about one entity go through a channel in this order."""
    telling_id: str
    channel: str
    change: str
    """"opened", "escalated", "unacknowledged", "snooze_ended", "digest" or "reopened"."""
    severity: int
    traceparent: str
    attempts: int
    """Tries before this one."""
    alert: alerts_pb2.Alert
    """As it stands now; its count may have grown since."""
    step: int = 0
    """Step of the escalation."""


class Names:
    """How entities are named to readers."""

    def __init__(self, key: bytes, *, show: bool) -> None:
        """`key` is of the hash: with the same key the same user has the same hash everywhere."""
        self._key = key
        self._show = show

    def entity(self, alert: alerts_pb2.Alert) -> str:
        """The entity of an alert as readers may see it."""
        if self._show or alert.entity_kind in IMPERSONAL:
            return alert.entity
        subject = f"{alert.tenant}\0{alert.entity_kind}\0{alert.entity}".encode()
        return "hmac:" + hmac.new(self._key, subject, hashlib.sha256).hexdigest()[:_DIGEST_CHARS]


def severity_name(severity: int) -> str:
    """ "low", "medium", "high", "critical"."""
    name: str = alerts_pb2.Severity.Name(severity)  # type: ignore[arg-type]
    return name.removeprefix("SEVERITY_").lower()


def reason_names(alert: alerts_pb2.Alert) -> list[str]:
    """Names of the reasons ("TOR_EXIT"); a number where this version does not know one."""
    known = decision_pb2.ReasonCode.DESCRIPTOR.values_by_number
    return [
        known[code].name.removeprefix("REASON_CODE_") if code in known else str(code)
        for code in alert.reasons
    ]


def link_to(base: str, alert: alerts_pb2.Alert) -> str:
    """Where the alert is on the dashboard; empty without a base."""
    return f"{base.rstrip('/')}/alerts/{alert.alert_id}" if base else ""


def to_json(delivery: Delivery, names: Names, link: str) -> dict[str, Any]:
    """A telling as JSON values, for the log and for webhooks."""
    alert = delivery.alert
    return {
        "telling_id": delivery.telling_id,
        "alert_id": alert.alert_id,
        "change": delivery.change,
        "tenant": alert.tenant,
        "kind": alert.kind,
        "entity_kind": alert.entity_kind,
        "entity": names.entity(alert),
        "severity": severity_name(delivery.severity),
        "step": delivery.step,
        "count": alert.count,
        "first_event_id": alert.first_event_id,
        "first_time": alert.first_time.ToJsonString(),
        "last_time": alert.last_time.ToJsonString(),
        "reasons": reason_names(alert),
        "regulations": list(alert.regulations),
        "ring_id": alert.ring_id or None,
        "incident": alert.incident or None,
        "expected_loss": round(alert.expected_loss, 2),
        "summary": alert.summary,
        "digest": [
            {"kind": one.kind, "severity": severity_name(one.severity), "count": one.count}
            for one in alert.digest
        ],
        "link": link_to(link, alert) or None,
    }


def subject(delivery: Delivery) -> str:
    """One line that says what happened."""
    alert = delivery.alert
    title = one_line(alert.summary) or alert.kind
    return f"[{severity_name(delivery.severity).upper()}] {title} ({_WORDS.get(delivery.change, delivery.change)})"


def facts(delivery: Delivery, names: Names, link: str) -> list[tuple[str, str]]:
    """What to know, as names and values."""
    alert = delivery.alert
    found = [
        ("Tenant", alert.tenant),
        ("Kind", alert.kind),
        ("About", f"{alert.entity_kind or 'entity'} {names.entity(alert)}"),
        ("Severity", severity_name(delivery.severity)),
        ("Messages", f"{alert.count}, {alert.first_time.ToJsonString()} to {alert.last_time.ToJsonString()}"),
    ]
    if alert.reasons:
        found.append(("Reasons", ", ".join(reason_names(alert))))
    if alert.regulations:
        found.append(("Regulations", ", ".join(alert.regulations)))
    if alert.ring_id:
        found.append(("Ring", alert.ring_id))
    if alert.incident:
        found.append(("Incident", alert.incident))
    found += [(f"{severity_name(one.severity)} {one.kind}", str(one.count)) for one in alert.digest]
    if link:
        found.append(("Link", link_to(link, alert)))
    found += [("Alert", alert.alert_id), ("Telling", delivery.telling_id)]
    return [(name, one_line(value)) for name, value in found]


def plain(delivery: Delivery, names: Names, link: str) -> str:
    """Plain text."""
    lines = [subject(delivery), ""]
    lines += [f"{name}: {value}" for name, value in facts(delivery, names, link)]
    lines += ["", f"Take note of it: usher alerts ack {delivery.alert.alert_id}"]
    return "\n".join(lines) + "\n"


def markup(delivery: Delivery, names: Names, link: str) -> str:
    """HTML in which everything is escaped."""
    rows = []
    for name, value in facts(delivery, names, link):
        shown = html.escape(value)
        if name == "Link":
            shown = f'<a href="{html.escape(value, quote=True)}">{shown}</a>'
        rows.append(f'<tr><th align="left">{html.escape(name)}</th><td>{shown}</td></tr>')
    return (
        f"<!doctype html><html><body><h2>{html.escape(subject(delivery))}</h2>"
        f'<table cellpadding="4">{"".join(rows)}</table></body></html>'
    )


def slack(delivery: Delivery, names: Names, link: str) -> dict[str, Any]:
    """Slack's blocks (https://api.slack.com/reference/block-kit), with buttons where there is a link."""
    title = subject(delivery)
    fields = [
        {"type": "mrkdwn", "text": f"*{_slack_text(name)}*\n{_slack_text(value)}"[:2_000]}
        for name, value in facts(delivery, names, "")
    ]
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": title[:150], "emoji": False}},
        *({"type": "section", "fields": fields[start : start + 10]} for start in range(0, len(fields), 10)),
    ]
    if link:
        url = link_to(link, delivery.alert)
        blocks.append(
            {
                "type": "actions",
                "elements": [
                    {"type": "button", "text": {"type": "plain_text", "text": text}, "url": url + suffix}
                    for text, suffix in (("Open", ""), ("Acknowledge", "?do=ack"), ("Snooze", "?do=snooze"))
                ],
            }
        )
    return {"text": _slack_text(title), "blocks": blocks}


def short(delivery: Delivery, names: Names, link: str) -> str:
    """A text message of two segments at most; the telling's id stands at its end."""
    alert = delivery.alert
    end = f" {delivery.telling_id[-8:]}"
    parts = [subject(delivery), f"{alert.tenant}: {alert.entity_kind or 'entity'} {names.entity(alert)}"]
    if link:
        parts.append(link_to(link, alert))
    return " ".join(parts)[: _SMS_CHARS - len(end)] + end


def one_line(text: str) -> str:
    """Text without line breaks and control characters."""
    return "".join(character if character.isprintable() else " " for character in text).strip()


def _slack_text(text: str) -> str:
    # https://api.slack.com/reference/surfaces/formatting#escaping
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
