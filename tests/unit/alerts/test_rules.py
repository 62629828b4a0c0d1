"""Alerting rules: what is refused at load, who is told, and working hours through changes of the clock."""

from __future__ import annotations

import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from services.alerts.rules import Hours, Planned, Rules, parse
from services.alerts.settings import DEFAULT_RULES
from services.common.config import ConfigError
from usher.alerts.v1 import alerts_pb2

SHIPPED = yaml.safe_load(DEFAULT_RULES.read_text())
CHANNELS = {name: {"type": "log"} for name in ("log", "chat", "mail", "phone", "soc")}
BERLIN = ZoneInfo("Europe/Berlin")


def rules(**parts: Any) -> Rules:
    return parse(yaml.safe_dump({**SHIPPED, "channels": CHANNELS, **parts}))


def problems(**parts: Any) -> str:
    with pytest.raises(ConfigError) as refused:
        rules(**parts)
    return "\n".join(refused.value.problems)


def alert(**fields: Any) -> alerts_pb2.Alert:
    values = {"tenant": "acme", "kind": "decision.block", "severity": alerts_pb2.SEVERITY_HIGH, **fields}
    return alerts_pb2.Alert(**values)


def at(text: str, zone: datetime.tzinfo = BERLIN, fold: int = 0) -> int:
    moment = datetime.datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold)
    return round(moment.timestamp() * 1000)


def told(found: list[Planned]) -> list[tuple[str, int]]:
    return [(one.channel, one.step) for one in found]


def test_what_is_shipped_can_be_read_and_tells_everything_to_the_log() -> None:
    shipped = parse(DEFAULT_RULES.read_text())
    assert told(shipped.plan(alert(), 0)) == [("log", 0)]
    assert shipped.opens_incident("degraded.scoring", alerts_pb2.SEVERITY_CRITICAL)
    assert not shipped.opens_incident("decision.review", alerts_pb2.SEVERITY_MEDIUM)


# The original's channels by segment and severity: docs of the first pipeline, routed as data.
ORIGINAL = [
    {"segments": ["suspicious"], "severity": "critical", "channels": ["log", "chat", "mail", "phone"]},
    {"segments": ["new"], "channels": ["log", "chat", "mail"]},
    {"severity": "critical", "channels": ["log", "chat", "mail", "phone"]},
    {"severity": "high", "channels": ["log", "chat"]},
]


@pytest.mark.parametrize(
    ("fields", "channels"),
    [
        ({"segment": 6, "severity": 4}, {"log", "chat", "mail", "phone"}),
        ({"segment": 3, "severity": 2}, {"log", "chat", "mail"}),
        ({"segment": 2, "severity": 4}, {"log", "chat", "mail", "phone"}),
        ({"segment": 2, "severity": 3}, {"log", "chat"}),
        ({"segment": 2, "severity": 2}, {"log"}),
    ],
)
def test_by_segment_and_severity(fields: dict[str, Any], channels: set[str]) -> None:
    assert {one.channel for one in rules(routes=ORIGINAL).plan(alert(**fields), 0)} == channels


@pytest.mark.parametrize(
    ("match", "fields", "fits"),
    [
        ({"kinds": ["duty.*"]}, {"kind": "duty.breach"}, True),
        ({"kinds": ["duty.*"]}, {"kind": "ring"}, False),
        ({"tenants": ["acme", "b*"]}, {"tenant": "brand"}, True),
        ({"tenants": ["acme"]}, {"tenant": "brand"}, False),
        ({"regulations": ["EU_*"]}, {"regulations": ["US_CA_CCPA", "EU_GDPR"]}, True),
        ({"regulations": ["EU_*"]}, {}, False),
        ({"severity": "high"}, {"severity": 2}, False),
    ],
)
def test_by_kind_tenant_regulation_and_severity(
    match: dict[str, Any], fields: dict[str, Any], fits: bool
) -> None:
    plan = rules(routes=[{**match, "channels": ["chat"]}]).plan(alert(**fields), 0)
    assert told(plan) == [("chat" if fits else "log", 0)]


def test_the_first_route_holds_and_continue_goes_on_to_others_but_not_to_otherwise() -> None:
    routes = [{"channels": ["chat"], "continue": True}, {"channels": ["mail"]}, {"channels": ["phone"]}]
    assert {one.channel for one in rules(routes=routes).plan(alert(), 0)} == {"chat", "mail"}
    assert told(rules(routes=routes[:1]).plan(alert(), 0)) == [("chat", 0)]


def test_steps_of_escalation_follow_in_time() -> None:
    route = {
        "channels": ["chat"],
        "escalate": [
            {"after_minutes": 15, "channels": ["mail"]},
            {"after_minutes": 30, "channels": ["phone", "soc"]},
        ],
    }
    plan = rules(routes=[route]).plan(alert(), 1_000)
    assert [(one.channel, one.due_ms, one.step) for one in plan] == [
        ("chat", 1_000, 0),
        ("mail", 901_000, 1),
        ("phone", 1_801_000, 2),
        ("soc", 1_801_000, 2),
    ]


OFFICE = {"zone": "Europe/Berlin", "from": "08:00", "to": "18:00"}


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-11-25T10:00", "2026-11-25T10:00"),
        ("2026-11-25T07:59", "2026-11-25T08:00"),
        ("2026-11-25T18:00", "2026-11-26T08:00"),
        ("2026-11-27T19:00", "2026-11-30T08:00"),
        # Over the weekend in which summer time ends (25 October 2026) and begins (28 March 2027): 8 o'clock there.
        ("2026-10-23T18:30", "2026-10-26T08:00"),
        ("2027-03-26T18:30", "2027-03-29T08:00"),
    ],
)
def test_outside_the_hours_a_telling_waits_for_them_also_over_a_change_of_the_clock(
    now: str, due: str
) -> None:
    (one,) = rules(routes=[{"channels": ["chat"], "hours": OFFICE}]).plan(alert(), at(now))
    assert one.due_ms == at(due)


def test_the_nights_of_a_change_are_an_hour_shorter_and_longer() -> None:
    hours = {**OFFICE, "days": ["sun"], "from": "00:00", "to": "08:00"}
    route = rules(routes=[{"channels": ["chat"], "hours": hours}]).routes[0].hours
    assert route is not None

    def minutes(day: str) -> int:
        start = at(f"{day}T00:00")
        return sum(route.holds(start + minute * 60_000) for minute in range(24 * 60))

    assert minutes("2027-03-21") == 8 * 60
    assert minutes("2027-03-28") == 7 * 60
    assert minutes("2026-10-25") == 9 * 60


def test_a_beginning_that_the_clock_skips_is_the_first_minute_that_exists() -> None:
    # On 28 March 2027 the clock goes from 2:00 to 3:00: there is no 2:30.
    hours = Hours(BERLIN, frozenset({6}), 150, 600)
    assert hours.next(at("2027-03-28T01:00")) == at("2027-03-28T03:00")
    assert hours.holds(at("2027-03-28T03:00"))
    # On 25 October 2026 there are two 2:30: the first begins the hours.
    assert hours.next(at("2026-10-25T01:00")) == at("2026-10-25T02:30", fold=0)


def test_quiet_hours_over_midnight_belong_to_the_day_on_which_they_begin() -> None:
    hours = Hours(BERLIN, frozenset({4}), 22 * 60, 6 * 60)
    assert hours.holds(at("2026-11-27T23:00"))
    assert hours.holds(at("2026-11-28T05:59"))
    assert not hours.holds(at("2026-11-28T22:30"))
    assert not hours.holds(at("2026-11-27T05:00"))


def test_outside_the_hours_other_channels_may_be_told_at_once() -> None:
    route = {"channels": ["chat"], "hours": {**OFFICE, "outside": ["phone"]}}
    night = at("2026-11-25T03:00")
    assert [(one.channel, one.due_ms) for one in rules(routes=[route]).plan(alert(), night)] == [
        ("phone", night)
    ]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"version": 2}, "version"),
        ({"rutes": []}, "did you mean routes?"),
        ({"channels": {}}, "channels"),
        ({"channels": {"log": {"type": "fax"}}}, "channels.log.type"),
        ({"channels": {"Log": {"type": "log"}}}, "channels.Log"),
        ({"channels": {"log": {"type": "slack"}}}, "channels.log.url_file: is missing"),
        ({"routes": [{"channels": ["chta"]}]}, "did you mean chat?"),
        ({"routes": [{}]}, "routes[0].channels: is missing"),
        ({"routes": [{"channels": ["log"], "severity": "fatal"}]}, "routes[0].severity"),
        ({"routes": [{"channels": ["log"], "segments": ["rich"]}]}, "'rich' is none of"),
        ({"routes": [{"channels": ["log"], "hours": {**OFFICE, "zone": "Europe/Bonn"}}]}, "hours.zone"),
        ({"routes": [{"channels": ["log"], "hours": {**OFFICE, "from": "8"}}]}, "hours.from"),
        ({"routes": [{"channels": ["log"], "hours": {**OFFICE, "days": ["funday"]}}]}, "hours.days"),
        ({"routes": [{"channels": ["log"], "hours": {**OFFICE, "to": "08:00"}}]}, "from and to differ"),
        (
            {
                "routes": [
                    {
                        "channels": ["log"],
                        "escalate": [
                            {"after_minutes": 9, "channels": ["log"]},
                            {"after_minutes": 9, "channels": ["log"]},
                        ],
                    }
                ]
            },
            "later than the step before",
        ),
        ({"grouping": [{"kinds": ["*"], "by": "event_id"}]}, "anything finer would group nothing"),
        ({"inhibition": [{"source": ["ring"], "mutes": ["*"]}]}, "inhibition[0].mutes"),
        ({"storm": {"tellings_per_minute": 0}}, "storm.tellings_per_minute"),
        ({"service_levels": {}}, "service_levels.critical: is missing"),
        ({"work": {"loss": [{"kinds": ["*"], "amount": -1}]}}, "work.loss[0].amount"),
        ({"otherwise": {}}, "otherwise.channels: is missing"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(parts: dict[str, Any], said: str) -> None:
    assert said in problems(**parts)


def test_every_problem_is_told_at_once() -> None:
    found = problems(version=9, storm={"always": "never"}, routes=[{"channels": ["nobody"]}])
    assert len(found.splitlines()) == 3


def test_a_password_does_not_travel_without_tls() -> None:
    mail = {"type": "email", "host": "h", "from": "a@b", "to": ["c@d"], "tls": "none"}
    mail |= {"username": "u", "password_file": "/x"}
    assert "not sent without TLS" in problems(channels={**CHANNELS, "mail": mail})


def test_text_that_is_not_yaml_is_refused() -> None:
    with pytest.raises(ConfigError):
        parse("version: [")
