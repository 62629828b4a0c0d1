"""ComplianceService over a real server on a unix socket, with a policy set on disk."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
import yaml

import services.compliance
from services.common.client import ClientSettings, connect
from services.common.clock import SystemClock
from services.common.db import DatabaseSettings, open_database
from services.common.errors import Conflict, FailedPrecondition, InvalidArgument, PolicySetUnknown, UsherError
from services.common.migrations import migrate
from services.common.policy import Part, PolicySetCache, write_policy_set
from services.common.server import ServerSettings, Service, start_server
from services.common.telemetry import Telemetry, TelemetrySettings
from services.compliance.ledger_reader import LedgerReader
from services.compliance.servicer import MAX_EVENTS, ComplianceServicer, Engines
from services.compliance.servicer_consents import ConsentServicer
from services.compliance.store_consents import ConsentStore
from tests.unit.compliance.cases import event_of, load_cases
from usher.compliance.v1 import compliance_pb2, compliance_pb2_grpc, consent_pb2, consent_pb2_grpc
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.policy.v1 import policy_pb2

NAME = "usher.compliance.v1.ComplianceService"
ADS = "targeted_advertising"
PACKS = Path(services.compliance.__file__).parent / "packs"


def write_packs(directory: Path, **more: bytes) -> str:
    contents = {path.stem: path.read_bytes() for path in PACKS.glob("*.yaml")} | more
    return write_policy_set(
        directory, [Part(policy_pb2.PART_KIND_REGULATION_PACK, name, text) for name, text in contents.items()]
    )


class Running(NamedTuple):
    """A served ComplianceService."""

    stub: Any
    consents: Any
    policy_set: str
    directory: Path


@pytest_asyncio.fixture
async def running(short_tmp_path: Path) -> AsyncIterator[Running]:
    policies = short_tmp_path / "policies"
    policy_set = write_packs(policies)
    telemetry = Telemetry("test", TelemetrySettings(), None)
    settings = ServerSettings(f"unix:{short_tmp_path}/c.sock", drain_notice=0.0)
    async with open_database(DatabaseSettings(url=f"{short_tmp_path}/c.db"), schema="compliance") as database:
        await asyncio.to_thread(migrate, database, "compliance")
        consents = ConsentStore(database)
        engines = Engines(PolicySetCache(policies), 1_000)
        services = [
            Service(
                compliance_pb2_grpc.add_ComplianceServiceServicer_to_server,
                ComplianceServicer(engines, LedgerReader(consents), telemetry.registry),
                NAME,
            ),
            Service(
                consent_pb2_grpc.add_ConsentServiceServicer_to_server,
                ConsentServicer(consents, telemetry.registry, SystemClock()),
                "usher.compliance.v1.ConsentService",
            ),
        ]
        async with start_server(settings, services, healthy=database.ping, telemetry=telemetry) as server:
            await server.wait_serving()
            client_telemetry = Telemetry("client", TelemetrySettings(), None)
            async with connect(
                ClientSettings(server.target, timeout=20.0), telemetry=client_telemetry
            ) as channel:
                yield Running(
                    compliance_pb2_grpc.ComplianceServiceStub(channel),
                    consent_pb2_grpc.ConsentServiceStub(channel),
                    policy_set,
                    policies,
                )


def request_of(
    policy_set: str, events: list[event_pb2.Event], countries: list[int] | None = None
) -> compliance_pb2.EvaluateEventsRequest:
    request = compliance_pb2.EvaluateEventsRequest(
        tenant="acme", policy_set=policy_set, events=[event.SerializeToString() for event in events]
    )
    request.places.country.extend(countries or [])
    return request


def bare(region: str, **fields: Any) -> event_pb2.Event:
    event = event_pb2.Event(event_id="e", event_type="play", region=region, **fields)
    event.event_time.FromJsonString("2026-11-22T12:00:00Z")
    return event


async def test_one_verdict_an_event_and_equal_ones_once(running: Running) -> None:
    events = [bare("NL", has_consent=False), bare("JP"), bare("NL", has_consent=False), bare("JP")]
    answer = await running.stub.EvaluateEvents(request_of(running.policy_set, events))
    verdicts = [decision_pb2.Verdict.FromString(item) for item in answer.verdicts]

    assert list(answer.verdict_of) == [0, 1, 0, 1]
    assert [verdict.status for verdict in verdicts] == [
        decision_pb2.COMPLIANCE_STATUS_VIOLATION,
        decision_pb2.COMPLIANCE_STATUS_COMPLIANT,
    ]
    assert list(answer.risks) == [verdict.risk for verdict in verdicts]
    assert list(answer.flags) == [verdict.flags for verdict in verdicts]
    assert verdicts[0].findings[0].article == "art. 6(1)(a)"
    assert not answer.errors


async def test_the_country_of_the_address_is_heard(running: Running) -> None:
    german = ord("D") << 8 | ord("E")
    answer = await running.stub.EvaluateEvents(
        request_of(running.policy_set, [bare("US-NY"), bare("US-NY")], [0, german])
    )
    verdicts = [decision_pb2.Verdict.FromString(answer.verdicts[index]) for index in answer.verdict_of]

    assert [list(verdict.applicable) for verdict in verdicts] == [[], ["EU_GDPR"]]


async def test_equal_requests_have_equal_answers(running: Running) -> None:
    """Pure: the same bytes again, whatever was cached in between, and in another batch the same verdicts."""
    events = [event_of(case) for case in load_cases()]
    request = request_of(running.policy_set, events)
    first = await running.stub.EvaluateEvents(request)
    backwards = await running.stub.EvaluateEvents(request_of(running.policy_set, events[::-1]))
    again = await running.stub.EvaluateEvents(request)
    alone = [await running.stub.EvaluateEvents(request_of(running.policy_set, [event])) for event in events]

    assert again.SerializeToString(deterministic=True) == first.SerializeToString(deterministic=True)
    in_order = [first.verdicts[index] for index in first.verdict_of]
    assert [backwards.verdicts[index] for index in backwards.verdict_of][::-1] == in_order
    assert [answer.verdicts[0] for answer in alone] == in_order


async def test_an_event_without_a_time_is_its_own_error(running: Running) -> None:
    answer = await running.stub.EvaluateEvents(
        request_of(running.policy_set, [event_pb2.Event(region="NL"), bare("NL")])
    )

    assert [(error.index, error.reason, error.field) for error in answer.errors] == [
        (0, "EVENT_TIME_MISSING", "event_time")
    ]
    assert len(answer.verdict_of) == 2
    assert decision_pb2.Verdict.FromString(answer.verdicts[answer.verdict_of[1]]).applicable == ["EU_GDPR"]


async def test_wrong_requests_are_refused(running: Running) -> None:
    good = request_of(running.policy_set, [bare("NL")])
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("TENANT_INVALID", {"tenant": ""}),
        ("TENANT_INVALID", {"tenant": "a b"}),
        ("NO_EVENTS", {"events": []}),
        ("TOO_MANY_EVENTS", {"events": [b""] * (MAX_EVENTS + 1)}),
        ("PLACES_LENGTH", {"places": event_pb2.Places(country=[0, 0])}),
        ("PLACES_LENGTH", {"places": event_pb2.Places(country=[0], flags=[0, 0])}),
        ("COUNTRY_INVALID", {"places": event_pb2.Places(country=[1 << 16])}),
        ("MALFORMED_EVENT", {"events": [good.events[0], b"\xff\xff"], "places": event_pb2.Places()}),
        ("POLICY_SET_INVALID", {"policy_set": "latest"}),
    ]
    for reason, change in wrong:
        told = {"tenant": "acme", "policy_set": running.policy_set, "events": list(good.events)} | change
        with pytest.raises(InvalidArgument) as caught:
            await running.stub.EvaluateEvents(compliance_pb2.EvaluateEventsRequest(**told))
        assert caught.value.reason == reason

    with pytest.raises(InvalidArgument) as malformed:
        await running.stub.EvaluateEvents(
            compliance_pb2.EvaluateEventsRequest(
                tenant="acme", policy_set=running.policy_set, events=[good.events[0], b"\xff\xff"]
            )
        )
    assert [violation.field for violation in malformed.value.violations] == ["events[1]"]


async def test_an_unknown_policy_set_is_loaded_once_it_is_there(running: Running) -> None:
    name = "XX_LAW"
    document = yaml.safe_dump(
        {
            "id": name,
            "short_name": "Law",
            "name": "A law",
            "version": "1",
            "jurisdictions": ["MX"],
            "scope": {"article": "s.1", "by": ["residence"]},
            "rules": [
                {
                    "id": "a_rule",
                    "article": "s.2",
                    "reason": "PURPOSE_LIMITATION",
                    "summary": "No advertising.",
                    "condition": 'purpose == "targeted_advertising"',
                    "severity": 1,
                    "remedy": "stop_processing",
                    "affects": "purposes",
                    "verification": "from_knowledge",
                }
            ],
        }
    ).encode()
    elsewhere = write_packs(running.directory.parent / "elsewhere", **{name: document})
    request = request_of(elsewhere, [bare("MX")])
    with pytest.raises(PolicySetUnknown):
        await running.stub.EvaluateEvents(request)
    write_packs(running.directory, **{name: document})
    answer = await running.stub.EvaluateEvents(request)

    assert name in decision_pb2.Verdict.FromString(answer.verdicts[0]).applicable


async def test_a_policy_set_with_a_broken_pack_says_what_is_wrong(running: Running) -> None:
    broken = write_packs(running.directory, XX_LAW=b"id: XX_LAW")
    with pytest.raises(FailedPrecondition) as caught:
        await running.stub.EvaluateEvents(request_of(broken, [bare("JP")]))

    assert caught.value.reason == "PACK_INVALID"
    assert "XX_LAW.yaml:1: XX_LAW.rules is a list of 1 to 200 rules" in caught.value.message


async def test_regulations_page_by_page(running: Running) -> None:
    seen: list[str] = []
    token = ""
    while True:
        page = await running.stub.ListRegulations(
            compliance_pb2.ListRegulationsRequest(
                policy_set=running.policy_set, page_size=3, page_token=token
            )
        )
        assert len(page.regulations) <= 3
        seen += [regulation.id for regulation in page.regulations]
        token = page.next_page_token
        if not token:
            break

    assert seen == sorted(path.stem for path in PACKS.glob("*.yaml"))
    whole = await running.stub.ListRegulations(
        compliance_pb2.ListRegulationsRequest(policy_set=running.policy_set)
    )
    assert [regulation.id for regulation in whole.regulations] == seen
    gdpr = next(regulation for regulation in whole.regulations if regulation.id == "EU_GDPR")
    overdue = next(rule for rule in gdpr.rules if rule.id == "EU_GDPR.request_overdue")
    assert (overdue.article, overdue.reason, overdue.verification) == (
        "art. 12(3)",
        "RIGHTS_REQUEST_OVERDUE",
        "verified",
    )
    for size, token in ((201, ""), (-1, ""), (3, "NOWHERE")):
        with pytest.raises(UsherError, match="PAGE_"):
            await running.stub.ListRegulations(
                compliance_pb2.ListRegulationsRequest(
                    policy_set=running.policy_set, page_size=size, page_token=token
                )
            )


async def test_regulations_of_a_day(running: Running) -> None:
    request = compliance_pb2.ListRegulationsRequest(policy_set=running.policy_set)
    request.at_time.FromJsonString("2018-05-25T00:00:00Z")
    then = {item.id: item for item in (await running.stub.ListRegulations(request)).regulations}

    assert {"EU_GDPR", "EU_EPRIVACY", "US_VPPA", "US_COPPA"} <= then.keys()
    assert not {"US_CA_CCPA", "BR_LGPD", "IN_DPDP"} & then.keys()
    assert all(len(item.digest) == 64 and item.facts_json for item in then.values())


def advertising(user: str, time: str, **consent: Any) -> event_pb2.Event:
    event = event_pb2.Event(event_id="e", user_id=user, event_type="play")
    event.event_time.FromJsonString(time)
    event.privacy.user_residence = event.privacy.user_location = "DE"
    event.privacy.purpose = "targeted_advertising"
    event.privacy.legal_basis_claimed = "consent"
    event.privacy.data_categories.append("device_id")
    if consent:
        event.privacy.consent.CopyFrom(event_pb2.Consent(**consent))
    return event


def consent_record(act: int, time: str, purpose: str = "targeted_advertising") -> consent_pb2.ConsentRecord:
    record = consent_pb2.ConsentRecord(
        act=act, purpose=purpose, source="cmp", policy_version="2026-01", given_by="adult"
    )
    record.effective_time.FromJsonString(time)
    return record


async def verdicts_of(
    running: Running, events: list[event_pb2.Event], tenant: str = "acme"
) -> list[decision_pb2.Verdict]:
    request = request_of(running.policy_set, events)
    request.tenant = tenant
    answer = await running.stub.EvaluateEvents(request)
    assert not answer.errors
    return [decision_pb2.Verdict.FromString(answer.verdicts[index]) for index in answer.verdict_of]


async def test_the_ledger_is_read_as_of_the_events_time(running: Running) -> None:
    recorded = await running.consents.RecordConsent(
        consent_pb2.RecordConsentRequest(
            tenant="acme",
            user_id="ann",
            records=[
                consent_record(consent_pb2.CONSENT_ACT_GIVEN, "2026-03-01T00:00:00Z"),
                consent_record(consent_pb2.CONSENT_ACT_WITHDRAWN, "2026-06-01T00:00:00Z"),
            ],
        )
    )
    before, granted, withdrawn, other, claimed = await verdicts_of(
        running,
        [
            advertising("ann", "2026-02-01T00:00:00Z"),
            advertising("ann", "2026-05-01T00:00:00Z"),
            advertising("ann", "2026-07-01T00:00:00Z"),
            advertising("ben", "2026-07-01T00:00:00Z"),
            advertising("ann", "2026-07-01T00:00:00Z", status="granted", scope=["targeted_advertising"]),
        ],
    )
    assert [receipt.seq for receipt in recorded.receipts] == [1, 2]
    gap, compliant = decision_pb2.COMPLIANCE_STATUS_GAP, decision_pb2.COMPLIANCE_STATUS_COMPLIANT
    assert [verdict.status for verdict in (before, granted, other)] == [gap, compliant, gap]
    assert [one.ledger_version for one in (before, granted, withdrawn, other)] == [2, 2, 2, 0]
    assert granted.ledger_consent.status == "granted"
    assert granted.ledger_consent.obtained_time.ToJsonString() == "2026-03-01T00:00:00Z"
    for verdict in (withdrawn, claimed):
        assert "PROCESSING_AFTER_WITHDRAWAL" in {finding.reason for finding in verdict.findings}
    (conflict, *_) = claimed.consent_conflicts
    assert (conflict.fact, conflict.value, conflict.decided_by) == (
        "privacy.consent.status",
        "withdrawn",
        "ledger",
    )
    assert list(conflict.overruled) == ["event=granted"]
    assert not granted.consent_conflicts


async def test_viewers_share_verdicts_and_keep_their_versions(running: Running) -> None:
    given = consent_record(consent_pb2.CONSENT_ACT_GIVEN, "2026-03-01T00:00:00Z")
    for user in ("ann", "ben"):
        await running.consents.RecordConsent(
            consent_pb2.RecordConsentRequest(tenant="acme", user_id=user, records=[given])
        )
    time = "2026-05-01T00:00:00Z"
    ann, ben = await verdicts_of(running, [advertising("ann", time), advertising("ben", time)])
    assert (ann.ledger_version, ben.ledger_version) == (1, 2)
    ann.ClearField("ledger_version")
    ben.ClearField("ledger_version")
    assert ann == ben
    (stranger,) = await verdicts_of(running, [advertising("ann", time)], tenant="other")
    assert stranger.ledger_version == 0


async def test_an_unreadable_string_is_a_gap_that_one_sees(running: Running) -> None:
    text = "CQd924AQd924AASACCENCNFsAP_gAEIAACiQL6QBAAGAAOANmAcAF9IAIADgAA"
    good, cut, retired = await verdicts_of(
        running,
        [
            advertising("ann", "2026-05-01T00:00:00Z", status="granted", scope=[ADS], tcf_string=text),
            advertising("ann", "2026-05-01T00:00:00Z", status="granted", scope=[ADS], tcf_string=text[:30]),
            advertising(
                "ann",
                "2026-05-01T00:00:00Z",
                status="granted",
                scope=[ADS],
                tcf_string="BO2e4qiO2e4qiB9ABADEDS-AAAAxKABgACBiQA",
            ),
        ],
    )
    assert good.status == decision_pb2.COMPLIANCE_STATUS_COMPLIANT
    for verdict, reason in ((cut, "TRUNCATED"), (retired, "TCF_RETIRED")):
        assert verdict.status == decision_pb2.COMPLIANCE_STATUS_GAP
        assert any("privacy.consent.status" in gap.missing for gap in verdict.gaps)
        assert [(one.field, one.reason) for one in verdict.consent_problems] == [
            ("privacy.consent.tcf_string", reason)
        ]
        assert any(reason in line for line in verdict.assumptions)


async def test_the_ledger_over_grpc(running: Running) -> None:
    ledger = running.consents
    given = consent_record(consent_pb2.CONSENT_ACT_GIVEN, "2026-03-01T00:00:00Z")
    request = consent_pb2.RecordConsentRequest(tenant="acme", user_id="ann", records=[given], request_id="r1")
    first = await ledger.RecordConsent(request)
    again = await ledger.RecordConsent(request)
    assert (first.repeated_request, again.repeated_request) == (False, True)
    assert list(first.receipts) == list(again.receipts)
    other = consent_pb2.RecordConsentRequest(tenant="acme", user_id="ben", records=[given], request_id="r1")
    with pytest.raises(Conflict, match="REQUEST_ID_CONFLICT"):
        await ledger.RecordConsent(other)

    (state,) = (await ledger.GetConsent(consent_pb2.GetConsentRequest(tenant="acme", user_id="ann"))).states
    assert (state.status, state.record.source, state.receipt_id) == (
        "granted",
        "cmp",
        first.receipts[0].receipt_id,
    )
    asked = consent_pb2.GetConsentRequest(tenant="acme", user_id="ann")
    asked.time.FromJsonString("2026-02-01T00:00:00Z")
    assert not (await ledger.GetConsent(asked)).states

    for _ in range(4):
        await ledger.RecordConsent(
            consent_pb2.RecordConsentRequest(tenant="acme", user_id="ann", records=[given])
        )
    places, token = [], ""
    for _ in range(3):
        page = await ledger.ListConsents(
            consent_pb2.ListConsentsRequest(tenant="acme", user_id="ann", page_size=2, page_token=token)
        )
        places += [entry.receipt.seq for entry in page.entries]
        token = page.next_page_token
    assert (places, token) == ([5, 4, 3, 2, 1], "")
    whole = await ledger.VerifyConsents(consent_pb2.VerifyConsentsRequest(tenant="acme"))
    assert (whole.checked, whole.complete, whole.broken_seq) == (5, True, 0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"tenant": ""}, "TENANT_INVALID"),
        ({"user_id": "a b"}, "USER_ID_INVALID"),
        ({"records": []}, "RECORDS_MISSING"),
        ({"request_id": "x" * 256}, "REQUEST_ID_INVALID"),
        ({"records": [consent_pb2.ConsentRecord(purpose="Ads!", source="cmp")]}, "CONSENT_RECORD_INVALID"),
    ],
)
async def test_what_the_ledger_refuses(running: Running, change: dict[str, Any], reason: str) -> None:
    fields: dict[str, Any] = {
        "tenant": "acme",
        "user_id": "ann",
        "records": [consent_record(consent_pb2.CONSENT_ACT_GIVEN, "2026-03-01T00:00:00Z")],
    }
    with pytest.raises(InvalidArgument) as caught:
        await running.consents.RecordConsent(consent_pb2.RecordConsentRequest(**(fields | change)))
    assert caught.value.reason == reason
    if reason == "CONSENT_RECORD_INVALID":
        assert [one.field for one in caught.value.violations] == ["records[0].act", "records[0].purpose"]


async def test_impact_is_estimated_with_the_fines_of_the_policy_set(running: Running) -> None:
    inputs = (
        b"period: {from: 2026-01-01, to: 2027-01-01}\n"
        b"violations: [{regulation: EU_GDPR, rule: r, subject: a, confirmed: true}]\n"
        b"assumptions: {enforcement: {default: {probability: [0.01, 0.1], share_of_maximum: [0.1, 0.5]}}}\n"
    )
    request = compliance_pb2.EstimateImpactRequest(policy_set=running.policy_set, inputs=inputs)
    first = await running.stub.EstimateImpact(request)

    assert json.loads(first.estimate_json)["value"]["fines"] == {"low": 20_000, "high": 1_000_000}
    assert await running.stub.EstimateImpact(request) == first
    for wrong, problem in (
        (b"violations: 1", "violations is a list"),
        (b"[" * 100_000, "nests more than"),
        (b" " * (3 << 20), "at most"),
    ):
        with pytest.raises(InvalidArgument, match=problem) as caught:
            await running.stub.EstimateImpact(
                compliance_pb2.EstimateImpactRequest(policy_set=running.policy_set, inputs=wrong)
            )
        assert caught.value.reason == "IMPACT_INPUTS_INVALID"


async def test_the_process_serves_and_drains(short_tmp_path: Path) -> None:
    """`python -m services.compliance`, configured by the environment alone, ends with 0 on SIGTERM."""
    policy_set = write_packs(short_tmp_path / "policies")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("USHER_")} | {
        "USHER_COMPLIANCE_SERVER_ADDRESS": f"unix:{short_tmp_path}/c.sock",
        "USHER_COMPLIANCE_DATABASE_URL": f"sqlite:///{short_tmp_path}/c.db",
        "USHER_COMPLIANCE_POLICY_DIR": str(short_tmp_path / "policies"),
        "USHER_COMPLIANCE_SERVER_DRAIN_NOTICE": "0",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.compliance", env=environment, stderr=asyncio.subprocess.PIPE
    )
    try:
        settings = ClientSettings(f"unix:{short_tmp_path}/c.sock", timeout=20.0)
        async with connect(settings, telemetry=Telemetry("client", TelemetrySettings(), None)) as channel:
            stub = compliance_pb2_grpc.ComplianceServiceStub(channel)
            for _ in range(200):
                if (short_tmp_path / "c.sock").exists():
                    break
                await asyncio.sleep(0.1)
            await asyncio.wait_for(channel.channel_ready(), 20)
            answer = await stub.EvaluateEvents(request_of(policy_set, [bare("NL", has_consent=False)]))
        process.send_signal(signal.SIGTERM)
        _, log = await asyncio.wait_for(process.communicate(), 20)
    finally:
        if process.returncode is None:
            process.kill()

    assert decision_pb2.Verdict.FromString(answer.verdicts[0]).risk == 2.5
    assert process.returncode == 0, log.decode()
