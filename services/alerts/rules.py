"""The alerting rules as data: read from YAML, checked completely, and asked who is told of what and when. Pure.

docs/alerting.md describes the file. A rule that cannot be meant (an unknown channel, a time zone that does not exist,
a key that nobody reads) refuses the start with every problem listed.
"""

from __future__ import annotations

import datetime
import difflib
import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

from services.common.config import ConfigError
from usher.alerts.v1 import alerts_pb2
from usher.decision.v1 import decision_pb2

VERSION = 1
SEVERITIES = {
    name.removeprefix("SEVERITY_").lower(): number for name, number in alerts_pb2.Severity.items() if number
}
SEGMENTS = {
    name.removeprefix("SEGMENT_").lower(): number for name, number in decision_pb2.Segment.items() if number
}
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CHANNEL_KEYS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    # type -> (required keys, further keys)
    "log": (frozenset(), frozenset()),
    "slack": (frozenset({"url_file"}), frozenset({"show_entities"})),
    "email": (
        frozenset({"host", "from", "to"}),
        frozenset({"port", "tls", "username", "password_file", "ca_file", "show_entities"}),
    ),
    "sms": (frozenset({"account", "token_file", "from", "to"}), frozenset({"url"})),
    "webhook": (frozenset({"url", "secret_files"}), frozenset({"ca_file", "show_entities"})),
}
"""Keys of a channel's configuration; every type also takes `link` (the dashboard's address)."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00")
_MINUTE_MS = 60_000
_MOST_STEPS = 10


@dataclass(frozen=True)
class Hours:
    """Working hours in a time zone. Times are wall-clock times there, whatever summer time does."""

    zone: ZoneInfo
    days: frozenset[int]
    """0: Monday."""
    start: int
    """Minutes after midnight."""
    end: int
    """Minutes after midnight, up to 1,440; before `start` the hours go on past midnight."""

    def holds(self, at_ms: int) -> bool:
        """Whether a moment lies within the hours."""
        local = datetime.datetime.fromtimestamp(at_ms / 1000, self.zone)
        minute = local.hour * 60 + local.minute
        if self.start < self.end:
            return local.weekday() in self.days and self.start <= minute < self.end
        if minute >= self.start:
            return local.weekday() in self.days
        return minute < self.end and (local.weekday() - 1) % 7 in self.days

    def next(self, at_ms: int) -> int:
        """The first moment from `at_ms` on that lies within the hours, Unix milliseconds.

        On the night on which the clock goes forward over the beginning, the hours begin with the first minute that
        exists; where it goes back, with the first of the two.
        """
        if self.holds(at_ms):
            return at_ms
        local = datetime.datetime.fromtimestamp(at_ms / 1000, self.zone)
        for ahead in range(9):
            day = local.date() + datetime.timedelta(days=ahead)
            if day.weekday() not in self.days:
                continue
            wall = datetime.datetime.combine(day, datetime.time(self.start // 60, self.start % 60))
            begins = round(wall.replace(tzinfo=self.zone).timestamp() * 1000)
            if datetime.datetime.fromtimestamp(begins / 1000, self.zone).replace(tzinfo=None) != wall:
                # The clock skips this wall time: the first minute after the gap that lies within the hours.
                before = round(wall.replace(tzinfo=self.zone, fold=1).timestamp() * 1000)
                begins = next(one for one in range(before, begins + 1, _MINUTE_MS) if self.holds(one))
            if begins >= at_ms:
                return begins
        raise AssertionError("hours without a day are refused at load")


class Step(NamedTuple):
    """Who is told so long after the alert."""

    after_ms: int
    channels: tuple[str, ...]


@dataclass(frozen=True)
class Route:
    """One rule: what it is for, and who is told."""

    name: str
    severity: int
    kinds: tuple[str, ...]
    tenants: tuple[str, ...]
    regulations: tuple[str, ...]
    segments: frozenset[int]
    steps: tuple[Step, ...]
    """The first is told at once, the others while nobody acknowledges."""
    hours: Hours | None
    outside: tuple[str, ...] | None
    """Channels outside the hours; None: wait for the hours."""
    goes_on: bool

    def fits(self, alert: alerts_pb2.Alert) -> bool:
        """Whether the route is for an alert."""
        return (
            alert.severity >= self.severity
            and _any_fits(self.kinds, alert.kind)
            and _any_fits(self.tenants, alert.tenant)
            and (not self.segments or alert.segment in self.segments)
            and (not self.regulations or any(_any_fits(self.regulations, one) for one in alert.regulations))
        )


class Planned(NamedTuple):
    """One telling that is due."""

    channel: str
    due_ms: int
    step: int
    route: str


class Grouping(NamedTuple):
    """How alerts of some kinds are grouped."""

    kinds: tuple[str, ...]
    by: str
    """"entity", "ring" or "kind"."""
    window_ns: int


class Inhibition(NamedTuple):
    """Which alerts keep others quiet."""

    source: tuple[str, ...]
    mutes: tuple[str, ...]
    same: str
    """"ring" or "entity"."""
    nanoseconds: int

    def is_source(self, kind: str) -> bool:
        """Whether alerts of a kind keep others quiet."""
        return _any_fits(self.source, kind)


class ServiceLevel(NamedTuple):
    """Times of an incident, milliseconds."""

    acknowledge_ms: int
    resolve_ms: int


@dataclass(frozen=True)
class Rules:
    """Everything the file says."""

    grouping: tuple[Grouping, ...]
    inhibition: tuple[Inhibition, ...]
    storm_tellings: int
    storm_always: int
    service_levels: Mapping[int, ServiceLevel]
    opens_for: tuple[tuple[tuple[str, ...], int], ...]
    reopen_ms: int
    capacity: int
    losses: tuple[tuple[tuple[str, ...], float], ...]
    channels: Mapping[str, Mapping[str, Any]]
    routes: tuple[Route, ...]

    def grouped(self, kind: str) -> Grouping:
        """How alerts of a kind are grouped."""
        return next(one for one in self.grouping if _any_fits(one.kinds, kind))

    def sources_of(self, kind: str) -> list[Inhibition]:
        """The inhibitions that may keep an alert of a kind quiet."""
        return [one for one in self.inhibition if _any_fits(one.mutes, kind)]

    def opens_incident(self, kind: str, severity: int) -> bool:
        """Whether an alert opens an incident or joins one."""
        return any(severity >= least and _any_fits(kinds, kind) for kinds, least in self.opens_for)

    def loss(self, kind: str, likelihood: float) -> float:
        """Expected loss of a case: its likelihood times what it costs if it is what it looks like."""
        amount = next((amount for kinds, amount in self.losses if _any_fits(kinds, kind)), 0.0)
        return amount * likelihood

    def plan(self, alert: alerts_pb2.Alert, now_ms: int) -> list[Planned]:
        """Who is told of an alert, when: in order of time, each channel once a step."""
        planned: dict[tuple[str, int], Planned] = {}
        for route in self.routes:
            if not route.fits(alert) or (planned and route is self.routes[-1]):
                continue
            for number, step in enumerate(route.steps):
                due, channels = now_ms + step.after_ms, step.channels
                if route.hours is not None and not route.hours.holds(due):
                    if route.outside is None:
                        due = route.hours.next(due)
                    elif number == 0:
                        channels = route.outside
                for channel in channels:
                    before = planned.get((channel, number))
                    if before is None or due < before.due_ms:
                        planned[(channel, number)] = Planned(channel, due, number, route.name)
            if not route.goes_on:
                break
        return sorted(planned.values(), key=lambda one: (one.due_ms, one.step, one.channel))


def likelihood_of(message: alerts_pb2.AlertMessage) -> float:
    """The likelihood that a message says, or that its severity stands for."""
    if message.likelihood > 0:
        return min(float(message.likelihood), 1.0)
    return {0: 0.1, 1: 0.1, 2: 0.3, 3: 0.6, 4: 0.9}[message.severity]


def _any_fits(patterns: Iterable[str], text: str) -> bool:
    return any(one == "*" or fnmatch.fnmatchcase(text, one) for one in patterns)


def parse(text: str) -> Rules:
    """Reads the rules. Raises ConfigError with every problem, each with its place in the file."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError([f"the alerting rules are not YAML: {error}"]) from None
    reader = _Reader()
    rules = reader.rules(content)
    if reader.problems or rules is None:
        raise ConfigError(reader.problems)
    return rules


class _Reader:
    """Reads and notes what is wrong; what is wrong reads as a default, so that everything is looked at."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def rules(self, content: Any) -> Rules | None:
        top = self._table(
            content,
            "the file",
            [
                "version",
                "grouping",
                "inhibition",
                "storm",
                "service_levels",
                "incidents",
                "work",
                "channels",
                "routes",
                "otherwise",
            ],
        )
        if top.get("version") != VERSION:
            self._wrong("version", f"is {VERSION}")
        channels = self._channels(top.get("channels"))
        storm = self._table(top.get("storm"), "storm", ["tellings_per_minute", "always"])
        incidents = self._table(top.get("incidents"), "incidents", ["open_for", "reopen_within_hours"])
        work = self._table(top.get("work"), "work", ["capacity_per_day", "loss"])
        routes = [
            self._route(one, f"routes[{n}]", channels)
            for n, one in enumerate(self._list(top.get("routes"), "routes"))
        ]
        otherwise = self._table(top.get("otherwise"), "otherwise", ["channels"])
        last = Route(
            *("otherwise", 0, ("*",), ("*",), (), frozenset()),
            steps=(Step(0, self._channel_names(otherwise.get("channels"), "otherwise.channels", channels)),),
            hours=None,
            outside=None,
            goes_on=False,
        )
        grouping = [
            self._grouping(one, f"grouping[{n}]")
            for n, one in enumerate(self._list(top.get("grouping"), "grouping"))
        ]
        # What no entry names is grouped all the same.
        grouping.append(Grouping(("*",), "entity", 1_800_000_000_000))
        return Rules(
            grouping=tuple(grouping),
            inhibition=tuple(
                self._inhibition(one, f"inhibition[{n}]")
                for n, one in enumerate(self._list(top.get("inhibition"), "inhibition"))
            ),
            storm_tellings=self._whole(
                storm.get("tellings_per_minute", 60), "storm.tellings_per_minute", 1, 100_000
            ),
            storm_always=self._one_of(storm.get("always", "critical"), "storm.always", SEVERITIES),
            service_levels=self._service_levels(top.get("service_levels")),
            opens_for=tuple(
                self._opening(one, f"incidents.open_for[{n}]")
                for n, one in enumerate(self._list(incidents.get("open_for"), "incidents.open_for"))
            ),
            reopen_ms=self._whole(
                incidents.get("reopen_within_hours", 24), "incidents.reopen_within_hours", 0, 8_760
            )
            * 60
            * _MINUTE_MS,
            capacity=self._whole(work.get("capacity_per_day", 50), "work.capacity_per_day", 1, 100_000),
            losses=tuple(
                self._loss(one, f"work.loss[{n}]")
                for n, one in enumerate(self._list(work.get("loss"), "work.loss"))
            ),
            channels=channels,
            routes=(*routes, last),
        )

    def _wrong(self, place: str, what: str) -> None:
        self.problems.append(f"alerting rules, {place}: {what}")

    def _table(self, value: Any, place: str, keys: Sequence[str]) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._wrong(place, "is a table of keys and values")
            return {}
        for key in value:
            if key not in keys:
                close = difflib.get_close_matches(str(key), keys, n=1)
                hint = f"did you mean {close[0]}?" if close else f"the keys here are {', '.join(keys)}"
                self._wrong(place, f"{key!r} is not a key: {hint}")
        return value

    def _list(self, value: Any, place: str) -> list[Any]:
        if value is None:
            return []
        if not isinstance(value, list):
            self._wrong(place, "is a list")
            return []
        return value

    def _texts(self, value: Any, place: str, default: tuple[str, ...]) -> tuple[str, ...]:
        if value is None:
            return default
        if not isinstance(value, list) or not value or not all(isinstance(one, str) and one for one in value):
            self._wrong(place, "is a list of texts, at least one")
            return default
        return tuple(value)

    def _whole(self, value: Any, place: str, least: int, most: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self._wrong(place, f"is a whole number, {least} to {most}")
            return least
        return value

    def _one_of(self, value: Any, place: str, choices: Mapping[str, int]) -> int:
        if not isinstance(value, str) or value not in choices:
            self._wrong(place, f"is one of {', '.join(choices)}")
            return next(iter(choices.values()))
        return choices[value]

    def _grouping(self, value: Any, place: str) -> Grouping:
        table = self._table(value, place, ["kinds", "by", "window_minutes"])
        by = table.get("by", "entity")
        if by not in ("entity", "ring", "kind"):
            # Ids of events, times and addresses would open an alert for every message.
            self._wrong(f"{place}.by", "is entity, ring or kind: anything finer would group nothing")
        window = self._whole(table.get("window_minutes", 30), f"{place}.window_minutes", 1, 1_440)
        return Grouping(
            self._texts(table.get("kinds"), f"{place}.kinds", ("*",)), str(by), window * 60_000_000_000
        )

    def _inhibition(self, value: Any, place: str) -> Inhibition:
        table = self._table(value, place, ["source", "mutes", "same", "minutes"])
        same = table.get("same", "entity")
        if same not in ("ring", "entity"):
            self._wrong(f"{place}.same", "is ring or entity")
        source = self._texts(table.get("source"), f"{place}.source", ("ring",))
        mutes = self._texts(table.get("mutes"), f"{place}.mutes", ("decision.*",))
        if "*" in mutes or set(source) & set(mutes):
            self._wrong(f"{place}.mutes", "must not include what mutes, or everything")
        minutes = self._whole(table.get("minutes", 60), f"{place}.minutes", 1, 10_080)
        return Inhibition(source, mutes, str(same), minutes * 60_000_000_000)

    def _service_levels(self, value: Any) -> dict[int, ServiceLevel]:
        table = self._table(value, "service_levels", list(SEVERITIES))
        levels = {}
        for name, number in SEVERITIES.items():
            place = f"service_levels.{name}"
            if name not in table:
                self._wrong(place, "is missing")
            one = self._table(table.get(name), place, ["acknowledge", "resolve"])
            acknowledge = self._whole(one.get("acknowledge", 60), f"{place}.acknowledge", 1, 525_600)
            resolve = self._whole(one.get("resolve", 1_440), f"{place}.resolve", 1, 525_600)
            if resolve < acknowledge:
                self._wrong(place, "resolve comes after acknowledge")
            levels[number] = ServiceLevel(acknowledge * _MINUTE_MS, resolve * _MINUTE_MS)
        return levels

    def _opening(self, value: Any, place: str) -> tuple[tuple[str, ...], int]:
        table = self._table(value, place, ["kinds", "severity"])
        kinds = self._texts(table.get("kinds"), f"{place}.kinds", ("*",))
        return kinds, self._one_of(table.get("severity", "critical"), f"{place}.severity", SEVERITIES)

    def _loss(self, value: Any, place: str) -> tuple[tuple[str, ...], float]:
        table = self._table(value, place, ["kinds", "amount"])
        amount = table.get("amount")
        if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 <= amount <= 1e12:
            self._wrong(f"{place}.amount", "is a number from 0")
            amount = 0
        return self._texts(table.get("kinds"), f"{place}.kinds", ("*",)), float(amount)

    def _channels(self, value: Any) -> dict[str, dict[str, Any]]:
        if not isinstance(value, dict) or not value:
            self._wrong("channels", "names at least one channel")
            return {}
        channels = {}
        for name, content in value.items():
            place = f"channels.{name}"
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                self._wrong(place, "a channel's name is lower case, 1 to 63 of a-z 0-9 _ -")
                continue
            kind = content.get("type") if isinstance(content, dict) else None
            if kind not in CHANNEL_KEYS:
                self._wrong(f"{place}.type", f"is one of {', '.join(CHANNEL_KEYS)}")
                continue
            required, further = CHANNEL_KEYS[str(kind)]
            table = self._table(content, place, ["type", "link", *sorted(required | further)])
            for key in sorted(required - set(table)):
                self._wrong(f"{place}.{key}", "is missing")
            for key in ("to", "secret_files"):
                if key in table:
                    self._texts(table[key], f"{place}.{key}", ())
            if "port" in table:
                self._whole(table["port"], f"{place}.port", 1, 65_535)
            if table.get("tls", "starttls") not in ("starttls", "implicit", "none"):
                self._wrong(f"{place}.tls", "is starttls, implicit or none")
            if not isinstance(table.get("show_entities", False), bool):
                self._wrong(f"{place}.show_entities", "is true or false")
            if table.get("tls") == "none" and ("username" in table or "password_file" in table):
                self._wrong(f"{place}.tls", "a password is not sent without TLS")
            if ("username" in table) != ("password_file" in table):
                self._wrong(place, "username and password_file go together")
            channels[name] = table
        return channels

    def _channel_names(self, value: Any, place: str, channels: Mapping[str, Any]) -> tuple[str, ...]:
        names = self._texts(value, place, ())
        if not names and value is None:
            self._wrong(place, "is missing")
        for name in names:
            if name not in channels:
                close = difflib.get_close_matches(name, list(channels), n=1)
                self._wrong(
                    place, f"there is no channel {name!r}" + (f": did you mean {close[0]}?" if close else "")
                )
        return tuple(dict.fromkeys(names))

    def _route(self, value: Any, place: str, channels: Mapping[str, Any]) -> Route:
        keys = [
            "name",
            "severity",
            "kinds",
            "tenants",
            "regulations",
            "segments",
            "channels",
            "escalate",
            "hours",
            "continue",
        ]
        table = self._table(value, place, keys)
        segments = self._texts(table.get("segments"), f"{place}.segments", ())
        for name in segments:
            if name not in SEGMENTS:
                self._wrong(f"{place}.segments", f"{name!r} is none of {', '.join(SEGMENTS)}")
        steps = [Step(0, self._channel_names(table.get("channels"), f"{place}.channels", channels))]
        for n, one in enumerate(self._list(table.get("escalate"), f"{place}.escalate")):
            here = f"{place}.escalate[{n}]"
            step = self._table(one, here, ["after_minutes", "channels"])
            after = self._whole(step.get("after_minutes"), f"{here}.after_minutes", 1, 10_080) * _MINUTE_MS
            if after <= steps[-1].after_ms:
                self._wrong(f"{here}.after_minutes", "is later than the step before it")
            steps.append(Step(after, self._channel_names(step.get("channels"), f"{here}.channels", channels)))
        if len(steps) > _MOST_STEPS:
            self._wrong(f"{place}.escalate", f"has at most {_MOST_STEPS - 1} steps")
        hours, outside = self._hours(table.get("hours"), f"{place}.hours", channels)
        goes_on = table.get("continue", False)
        if not isinstance(goes_on, bool):
            self._wrong(f"{place}.continue", "is true or false")
        return Route(
            name=str(table.get("name", place)),
            severity=self._one_of(table.get("severity", "low"), f"{place}.severity", SEVERITIES),
            kinds=self._texts(table.get("kinds"), f"{place}.kinds", ("*",)),
            tenants=self._texts(table.get("tenants"), f"{place}.tenants", ("*",)),
            regulations=self._texts(table.get("regulations"), f"{place}.regulations", ()),
            segments=frozenset(SEGMENTS.get(one, 0) for one in segments),
            steps=tuple(steps),
            hours=hours,
            outside=outside,
            goes_on=bool(goes_on),
        )

    def _hours(
        self, value: Any, place: str, channels: Mapping[str, Any]
    ) -> tuple[Hours | None, tuple[str, ...] | None]:
        if value is None:
            return None, None
        table = self._table(value, place, ["zone", "days", "from", "to", "outside"])
        try:
            zone = ZoneInfo(str(table.get("zone", "")))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self._wrong(f"{place}.zone", "is an IANA time zone (Europe/Berlin)")
            zone = ZoneInfo("UTC")
        days = self._texts(table.get("days"), f"{place}.days", DAYS[:5])
        for day in days:
            if day not in DAYS:
                self._wrong(f"{place}.days", f"{day!r} is none of {', '.join(DAYS)}")
        start = self._minute(table.get("from"), f"{place}.from")
        end = self._minute(table.get("to"), f"{place}.to")
        if start == end or start == 1_440:
            self._wrong(place, "from and to differ, and from is before 24:00")
            start, end = 0, 1_440
        outside = None
        if table.get("outside", "wait") != "wait":
            outside = self._channel_names(table["outside"], f"{place}.outside", channels)
        return Hours(
            zone, frozenset(DAYS.index(day) for day in days if day in DAYS) or frozenset({0}), start, end
        ), outside

    def _minute(self, value: Any, place: str) -> int:
        found = _CLOCK.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            self._wrong(place, 'is a time of the day in quotes ("08:30")')
            return 0
        return 1_440 if value == "24:00" else int(found[1]) * 60 + int(found[2])
