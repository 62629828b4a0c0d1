"""The packs as people see them, and docs/regulations.md, which is what they say."""

from __future__ import annotations

from pathlib import Path

import orjson

from services.compliance.evaluate import Law
from services.compliance.expression import parse_instant
from services.compliance.regulations import document, in_force, regulation

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "regulations.md"


def test_the_document_is_fresh(law: Law) -> None:
    """When this fails: make regulations"""
    assert DOCUMENT.read_text() == document(law.packs)


def test_the_document_tells_of_every_rule(law: Law) -> None:
    text = document(law.packs)

    for pack in law.packs:
        section = text[text.index(f"### {pack.id}\n") :].partition("\n### ")[0]
        assert pack.name in section
        for rule in pack.rules:
            assert f"| {rule.article} | {rule.summary}" in section
            assert rule.reason in section
        for note in pack.notes:
            assert f"- {note}\n" in section


def test_a_regulation_tells_what_is_in_force_at_a_moment(law: Law) -> None:
    pack = next(pack for pack in law.packs if pack.id == "US_OR_OCPA")
    before, after = (regulation(pack, parse_instant(day)) for day in ("2025-12-31", "2026-01-01"))

    assert {rule.id for rule in before.rules} ^ {rule.id for rule in after.rules} == {
        "US_OR_OCPA.teen_without_consent",
        "US_OR_OCPA.teen_ad_ban",
        "US_OR_OCPA.gpc_ignored",
        "US_OR_OCPA.sale_of_geolocation",
    }
    assert not in_force(pack, parse_instant("2024-06-30"))
    assert in_force(pack, parse_instant("2024-07-01"))


def test_a_regulation_carries_its_facts_and_sources(law: Law) -> None:
    shown = regulation(next(pack for pack in law.packs if pack.id == "EU_GDPR"))
    facts = orjson.loads(shown.facts_json)
    overdue = next(rule for rule in shown.rules if rule.id == "EU_GDPR.request_overdue")

    assert facts["deadlines"]["access"]["number"] == 1
    assert len(shown.digest) == 64
    assert shown.effective_from_time.ToJsonString() == "2018-05-25T00:00:00Z"
    assert overdue.clock == (
        "1 calendar_months from rights_request.received_time, 2 calendar_months more once "
        "rights_request.extension_notified_time"
    )
    assert (overdue.verification, overdue.source) == (
        "verified",
        "https://eulaw.online/l/reg-679-2016/article/12?lang=en",
    )
