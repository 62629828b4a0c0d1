"""What people read: nothing that others wrote gets out of its place, and nobody is named where many read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alerts import tellings
from services.alerts.tellings import Delivery, Names
from usher.alerts.v1 import alerts_pb2

HIDDEN, SHOWN = Names(b"k", show=False), Names(b"k", show=True)
LINK = "https://usher.example.org/"


def delivery(**fields: Any) -> Delivery:
    values = {
        "alert_id": "alert_1",
        "tenant": "acme",
        "kind": "takeover",
        "entity_kind": "user",
        "entity": "jane",
        "severity": alerts_pb2.SEVERITY_HIGH,
        "count": 3,
        "summary": "s",
        "reasons": [10, 9_999],
        **fields,
    }
    alert = alerts_pb2.Alert(**values)
    return Delivery(7, "telling_0123456789abcdef", "mail", "opened", alert.severity, "", 0, alert)


@given(st.text(max_size=300))
def test_whatever_the_summary_says_html_keeps_its_form_and_lines_stay_lines(summary: str) -> None:
    one = delivery(summary="".join(c for c in summary if not "\ud800" <= c <= "\udfff"))
    page = tellings.markup(one, HIDDEN, LINK)
    inside = page.split("<h2>")[1].split("</h2>")[0]
    assert "<" not in inside
    assert ">" not in inside
    assert "\n" not in tellings.subject(one)
    assert "\r" not in tellings.subject(one)
    assert len(tellings.plain(one, HIDDEN, LINK).splitlines()) == len(
        tellings.plain(delivery(), HIDDEN, LINK).splitlines()
    )


def test_slacks_marks_are_escaped_and_buttons_lead_to_the_alert() -> None:
    told = tellings.slack(delivery(summary="<!channel> & <https://evil|click>"), HIDDEN, LINK)
    assert "<!channel>" not in told["text"]
    assert "&lt;!channel&gt; &amp;" in told["text"]
    urls = [one["url"] for one in told["blocks"][-1]["elements"]]
    assert urls[0] == "https://usher.example.org/alerts/alert_1"
    assert all(len(block.get("fields", [])) <= 10 for block in told["blocks"])
    assert not any(block["type"] == "actions" for block in tellings.slack(delivery(), HIDDEN, "")["blocks"])


def test_a_text_message_has_two_segments_at_most_and_ends_with_its_id() -> None:
    text = tellings.short(delivery(summary="x" * 1_000), HIDDEN, LINK)
    assert len(text) <= 320
    assert text.endswith(" 89abcdef")


def test_a_person_is_a_mark_that_is_the_same_everywhere_under_one_key_and_tenant() -> None:
    mark = HIDDEN.entity(delivery().alert)
    assert mark.startswith("hmac:")
    assert "jane" not in json.dumps(tellings.to_json(delivery(), HIDDEN, LINK))
    assert HIDDEN.entity(delivery(kind="other").alert) == mark
    assert HIDDEN.entity(delivery(tenant="other").alert) != mark
    assert Names(b"other", show=False).entity(delivery().alert) != mark
    assert SHOWN.entity(delivery().alert) == "jane"


@pytest.mark.parametrize("kind", ["service", "ring", "incident", "channel", "tenant", "list_entry"])
def test_what_is_no_person_is_named(kind: str) -> None:
    assert HIDDEN.entity(delivery(entity_kind=kind).alert) == "jane"


def test_reasons_have_names_and_those_of_a_newer_version_numbers() -> None:
    assert tellings.reason_names(delivery().alert) == ["TOR_EXIT", "9999"]


def test_a_digest_tells_what_it_stands_for() -> None:
    lines = [alerts_pb2.DigestLine(kind="decision.block", severity=alerts_pb2.SEVERITY_HIGH, count=42)]
    text = tellings.plain(delivery(kind="storm", digest=lines), HIDDEN, "")
    assert "high decision.block: 42" in text


def test_what_services_tell_of_is_shown_unless_it_is_a_person() -> None:
    root = Path(tellings.__file__).parents[1]
    kinds = {
        kind
        for path in sorted(root.glob("*/*.py"))
        for kind in re.findall(r'entity_kind="([a-z_]+)"', path.read_text())
    }
    assert {"service", "group", "duty"} <= kinds
    assert kinds - tellings.IMPERSONAL == {"user"}
