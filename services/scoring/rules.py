"""The decision's rules as data: read from YAML, checked completely, compiled to conditions over columns."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from services.common.errors import FailedPrecondition
from services.scoring import features
from services.scoring.extract import EU_BIT, region_code
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2

VERSION = 2
SEGMENTS = ("power", "standard", "new", "inactive", "dormant", "suspicious")
LEARNT_LIMIT = 1.0
"""Whatever the rules say, learning moves a threshold by no more points than this."""

SIGNALS = {
    name.removeprefix("SIGNAL_INDEX_").removesuffix("_UNSPECIFIED").lower(): number
    for name, number in decision_pb2.SignalIndex.items()
}
OWN = frozenset(f.name for f in features.REGISTRY if f.source in ("profile", "event"))
PRIORITIES = ("", "high", "medium", "low")
CHANNELS = frozenset({"log", "slack", "email", "sms", "webhook"})
SECOND_FACTOR = ("never", "caution", "always")
Bools = NDArray[np.bool_]


class RulesInvalid(FailedPrecondition):
    """Rules that must not decide; the message names the entry."""

    def __init__(self, message: str) -> None:
        super().__init__("RULES_INVALID", message)


class Columns(NamedTuple):
    """What conditions speak of.

    Attributes:
        features: one row an event.
        signals: one row of 12 an event.
        event_class: one an event.
        place_flags: bits of usher.event.v1.PlaceFlag, one an event.
    """

    features: features.Floats
    signals: features.Floats
    event_class: NDArray[np.int64]
    place_flags: NDArray[np.int64]


class Condition(NamedTuple):
    """One comparison. `kind`: "feature" or "signal" (value >= low and < high), "class" or "place" (any of `bits`)."""

    kind: str
    position: int
    low: float
    high: float
    bits: int


class Pattern(NamedTuple):
    """Conditions with a reason.

    Attributes:
        own: whether it rests on the viewer's own behaviour only, without place and network.
        values: positions of the features or signals that the reason's sentence names, as (kind, position).
    """

    reason: int
    points: float
    when: tuple[Condition, ...]
    own: bool
    values: tuple[tuple[str, int], ...]
    at_least: int
    actions: tuple[int, ...]


class Patterns:
    """Patterns whose conditions are evaluated together: a few operations a batch, however many there are."""

    def __init__(self, patterns: tuple[Pattern, ...]) -> None:
        self.patterns = patterns
        self.points = np.array([pattern.points for pattern in patterns])
        conditions = sorted({condition for pattern in patterns for condition in pattern.when})
        numeric = [c for c in conditions if c.kind in ("feature", "signal")]
        bits = {kind: [c for c in conditions if c.kind == kind] for kind in ("class", "place")}
        self._at = np.array([c.position + (c.kind == "signal") * features.WIDTH for c in numeric], np.intp)
        self._low = np.array([c.low for c in numeric], np.float32)[:, None]
        self._high = np.array([c.high for c in numeric], np.float32)[:, None]
        self._class_bits = np.array([c.bits for c in bits["class"]], np.int64)[:, None]
        self._place_bits = np.array([c.bits for c in bits["place"]], np.int64)[:, None]
        # Every pattern has as many conditions as the longest: the first one stands in for what is missing.
        column = {c: number for number, c in enumerate([*numeric, *bits["class"], *bits["place"]])}
        longest = max((len(pattern.when) for pattern in patterns), default=0)
        self._terms = [
            np.array([column[p.when[min(term, len(p.when) - 1)]] for p in patterns], np.intp)
            for term in range(longest)
        ]

    def holds(self, columns: Columns) -> Bools:
        """Which patterns hold: one row an event, one column a pattern."""
        values = np.concatenate([columns.features, columns.signals], axis=1).T.take(self._at, axis=0)
        # One row a condition and then one a pattern: rows are taken and combined whole.
        true = np.concatenate(
            [
                (values >= self._low) & (values < self._high),
                (np.left_shift(1, columns.event_class) & self._class_bits) != 0,
                (columns.place_flags & self._place_bits) != 0,
            ]
        )
        found = true.take(self._terms[0], axis=0)
        for term in self._terms[1:]:
            found &= true.take(term, axis=0)
        return found.T


class Limit(NamedTuple):
    """How far the sum may go where one thing explains all that speaks against a viewer.

    Attributes:
        reason: what is told where it held the outcome down.
        at_most: the outcome.
        where: positions of the patterns of which one must hold.
        besides: positions of the patterns that it does not explain: where one holds, nothing is limited.
        unless: patterns of one condition each; where one holds, nothing is limited.
        not_of: segments (usher.decision.v1.Segment) that are not limited.
    """

    reason: int
    at_most: int
    where: NDArray[np.intp]
    besides: NDArray[np.intp]
    unless: Patterns
    not_of: NDArray[np.int64]


class SegmentParameters(NamedTuple):
    """What is done with the viewers of a segment.

    Attributes:
        threshold: points, before adjustments.
        points: of the segment component.
        sensitivity: what the models' points are multiplied by.
        channels: by which people are told of a decision to review or block.
        support_priority: "high", "medium", "low" or "".
        new_devices_allowed: whether an unknown device alone speaks against nothing.
        second_factor: "never", "caution" (with every outcome above ALLOW) or "always" (also with every sign-in and
            grave act).
        session_limit: devices that may play at the same time; 0: no limit.
    """

    name: str
    threshold: float
    points: float
    sensitivity: float
    channels: tuple[str, ...]
    support_priority: str
    new_devices_allowed: bool
    second_factor: str
    session_limit: int


class Rules(NamedTuple):
    """Everything outcomes.yaml says. Points and thresholds by Segment (position 0 unused).

    `patterns` are those of behaviour (the first `behaviours`), of the network (the next `networks`), then the hard
    rules.
    """

    cold_events: int
    confidence_events: float
    band_outcomes: tuple[int, ...]
    band_times: tuple[float, ...]
    band_plus: tuple[float, ...]
    thresholds: NDArray[np.float64]
    segment_points: NDArray[np.float64]
    learnt: NDArray[np.float64]
    membership: Mapping[str, float]
    night: Mapping[str, float]
    young: Mapping[str, float]
    trusted: Mapping[str, float]
    anomaly: Mapping[str, float]
    patterns: Patterns
    behaviours: int
    networks: int
    ring_points: float
    limits: tuple[Limit, ...]
    """In the order in which they are asked; the first that holds speaks."""
    at_most: NDArray[np.int64]
    actions: Mapping[int, tuple[int, ...]]
    address_list_seconds: int
    reason_points: float
    most_reasons: int
    most_factors: int
    segments: tuple[SegmentParameters, ...]
    """In the order of `SEGMENTS`."""
    sensitivity: NDArray[np.float64]
    new_devices_allowed: Bools
    session_limit: NDArray[np.int64]
    new_device: NDArray[np.intp]
    """Patterns whose reason is a new device."""
    residence: Mapping[int, float]
    """Points by region code, and by `extract.EU_BIT` for the EU; empty in the shipped rules."""


_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_rules(content: bytes, norms: Mapping[str, float]) -> Rules:
    """Compiles outcomes.yaml. Raises RulesInvalid naming the entry that is wrong."""
    try:
        read = yaml.load(content, Loader=_Loader)
    except yaml.YAMLError as error:
        raise RulesInvalid(f"outcomes.yaml is not YAML: {error}") from None
    if not isinstance(read, dict) or read.get("version") != VERSION:
        raise RulesInvalid(f"outcomes.yaml is not of version {VERSION}")
    for place, value in _numbers(read):
        if not math.isfinite(value):
            raise RulesInvalid(f"{place} is no finite number")
    try:
        return _Reader(read, norms).rules()
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise RulesInvalid(
            f"outcomes.yaml lacks or misspells an entry: {type(error).__name__}: {error}"
        ) from None


def _numbers(tree: Any) -> Iterator[tuple[str, float]]:
    """The numbers in what YAML told, each with a place of it, as in `segments.new.threshold`.

    What anchors repeat is looked at once: repeated within itself it would have no end.
    """
    seen: set[int] = set()
    rest: list[tuple[str, Any]] = [("", tree)]
    while rest:
        place, one = rest.pop()
        if isinstance(one, float):
            yield place, one
        elif isinstance(one, dict | list) and id(one) not in seen:
            seen.add(id(one))
            inner = one.items() if isinstance(one, dict) else enumerate(one)
            rest += [(f"{place}.{name}" if place else str(name), value) for name, value in inner]


def _enum(enum: Any, prefix: str, name: str) -> int:
    try:
        return int(enum.Value(prefix + str(name)))
    except ValueError:
        raise RulesInvalid(f"{prefix}{name} is not known") from None


def outcome(name: str) -> int:
    """Number of an outcome's name without prefix."""
    return _enum(decision_pb2.Outcome, "OUTCOME_", name)


def _reason(name: str) -> int:
    return _enum(decision_pb2.ReasonCode, "REASON_CODE_", name)


def _event_class(name: str) -> int:
    return _enum(event_pb2.EventClass, "EVENT_CLASS_", name)


def _region(name: str) -> int:
    code = EU_BIT if name == "EU" else region_code(str(name))
    if not code or len(str(name)) != 2:
        raise RulesInvalid(f"residence: {name!r} is neither EU nor a country's two letters")
    return code


class _Reader:
    def __init__(self, read: dict[str, Any], norms: Mapping[str, float]) -> None:
        self._read = read
        self._norms = norms

    def rules(self) -> Rules:
        read = self._read
        bands = [(outcome(b["outcome"]), float(b["times"]), float(b["plus"])) for b in read["bands"]]
        if [b[0] for b in bands] != sorted({b[0] for b in bands}):
            raise RulesInvalid("bands rise from band to band")
        segments = read["segments"]
        if set(segments) != set(SEGMENTS):
            raise RulesInvalid(f"segments are {', '.join(SEGMENTS)}")
        parameters = tuple(self._segment(name, segments[name]) for name in SEGMENTS)
        learnt = read["adjustments"]["learnt"]
        bound = min(float(learnt["bound"]), LEARNT_LIMIT)
        behaviour = tuple(self._pattern(p, True) for p in read["behaviour"])
        network = tuple(self._pattern(p, True) for p in read["network"]["signals"])
        hard = tuple(self._pattern(p, False) for p in read["rules"])
        at_most = np.full(8, decision_pb2.OUTCOME_BLOCK, np.int64)
        for name, limit in read["at_most"].items():
            at_most[_event_class(name)] = outcome(limit)
        return Rules(
            cold_events=int(read["cold_events"]),
            confidence_events=float(read["confidence_events"]),
            band_outcomes=tuple(b[0] for b in bands),
            band_times=tuple(b[1] for b in bands),
            band_plus=tuple(b[2] for b in bands),
            thresholds=np.array([0.0] + [one.threshold for one in parameters]),
            segment_points=np.array([0.0] + [one.points for one in parameters]),
            learnt=np.clip(np.array([0.0] + [float(learnt[s]) for s in SEGMENTS]), -bound, bound),
            membership=self._numbers(
                read["membership"],
                (
                    *("suspicious_incidents", "suspicious_chargebacks", "dormant_days", "inactive_days"),
                    *("new_days", "power_days", "power_events_per_day", "chargebacks", "chargeback_points"),
                ),
            ),
            night=self._numbers(
                read["adjustments"]["night"], ("points", "hour_share_below", "least_history")
            ),
            young=self._numbers(read["adjustments"]["young"], ("points", "days")),
            trusted=self._numbers(read["adjustments"]["trusted"], ("points", "days", "events")),
            anomaly=self._numbers(read["anomaly"], ("starts_at", "full_at", "points")),
            patterns=Patterns((*behaviour, *network, *hard)),
            behaviours=len(behaviour),
            networks=len(network),
            ring_points=float(read["network"]["ring_points"]),
            limits=tuple(
                self._limit(entry, (*behaviour, *network, *hard)) for entry in read.get("limits", ())
            ),
            at_most=at_most,
            actions={outcome(name): self._actions(kinds) for name, kinds in read["actions"].items()},
            address_list_seconds=int(read["address_list_seconds"]),
            reason_points=float(read["reasons"]["points"]),
            most_reasons=int(read["reasons"]["most"]),
            most_factors=int(read["reasons"]["most_factors"]),
            segments=parameters,
            sensitivity=np.array([1.0] + [one.sensitivity for one in parameters]),
            new_devices_allowed=np.array([False] + [one.new_devices_allowed for one in parameters]),
            session_limit=np.array([0] + [one.session_limit for one in parameters]),
            new_device=np.array(
                [
                    number
                    for number, pattern in enumerate((*behaviour, *network, *hard))
                    if pattern.reason == decision_pb2.REASON_CODE_NEW_DEVICE
                ],
                np.intp,
            ),
            residence={
                _region(name): float(points) for name, points in read["adjustments"]["residence"].items()
            },
        )

    def _segment(self, name: str, entry: Mapping[str, Any]) -> SegmentParameters:
        found = SegmentParameters(
            name=name,
            threshold=float(entry["threshold"]),
            points=float(entry["points"]),
            sensitivity=float(entry["sensitivity"]),
            channels=tuple(str(channel) for channel in entry["channels"]),
            support_priority=str(entry["support_priority"]),
            new_devices_allowed=bool(entry["new_devices_allowed"]),
            second_factor=str(entry["second_factor"]),
            session_limit=int(entry["session_limit"]),
        )
        if not 0.0 <= found.sensitivity <= 5.0:
            raise RulesInvalid(f"segment {name}: sensitivity is 0 to 5")
        if unknown := set(found.channels) - CHANNELS:
            raise RulesInvalid(f"segment {name}: no channel is called {', '.join(sorted(unknown))}")
        if found.support_priority not in PRIORITIES or found.second_factor not in SECOND_FACTOR:
            raise RulesInvalid(
                f"segment {name}: support_priority is high, medium, low or empty; second_factor is never, caution or"
                " always"
            )
        if not 0 <= found.session_limit <= 16:
            raise RulesInvalid(f"segment {name}: session_limit is 0 to 16")
        return found

    def _numbers(self, entry: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, float]:
        return {name: float(entry[name]) for name in names}

    def _actions(self, names: list[str]) -> tuple[int, ...]:
        return tuple(_enum(decision_pb2.ActionKind, "ACTION_KIND_", name) for name in names)

    def _pattern(self, entry: Mapping[str, Any], pointed: bool) -> Pattern:
        when = tuple(self._condition(c) for c in entry["when"])
        if not when:
            raise RulesInvalid("a pattern needs a condition")
        own = all(
            c.kind == "class" or (c.kind == "feature" and features.NAMES[c.position] in OWN) for c in when
        )
        return Pattern(
            reason=_reason(entry["reason"]),
            points=float(entry["points"]) if pointed else 0.0,
            when=when,
            own=own,
            values=tuple(self._named(name) for name in entry.get("values", ())),
            at_least=0 if pointed else outcome(entry["at_least"]),
            actions=self._actions(entry.get("actions", [])),
        )

    def _limit(self, entry: Mapping[str, Any], patterns: Sequence[Pattern]) -> Limit:
        where = {_reason(name) for name in entry["where"]}
        explained = where | {_reason(name) for name in entry["explains"]}
        if unknown := explained - {pattern.reason for pattern in patterns}:
            names = sorted(decision_pb2.ReasonCode.Name(code) for code in unknown)  # type: ignore[arg-type]
            raise RulesInvalid(f"limit {entry['id']}: no pattern has the reason {', '.join(names)}")
        if unknown_segments := set(entry.get("not_of", ())) - set(SEGMENTS):
            raise RulesInvalid(
                f"limit {entry['id']}: no segment is called {', '.join(sorted(unknown_segments))}"
            )
        lifting = tuple(
            Pattern(0, 0.0, (self._condition(condition),), False, (), 0, ()) for condition in entry["unless"]
        )
        if not where or not lifting:
            raise RulesInvalid(f"limit {entry['id']}: where and unless name one or more")
        return Limit(
            reason=_reason(entry["reason"]),
            at_most=outcome(entry["at_most"]),
            where=np.array([n for n, p in enumerate(patterns) if p.reason in where], np.intp),
            besides=np.array([n for n, p in enumerate(patterns) if p.reason not in explained], np.intp),
            unless=Patterns(lifting),
            not_of=np.array([1 + SEGMENTS.index(name) for name in entry.get("not_of", ())], np.int64),
        )

    def _named(self, name: str) -> tuple[str, int]:
        # A name that both have is fraud's signal under the registry's range: the feature.
        if name in features.INDEX:
            return "feature", features.INDEX[name]
        if name in SIGNALS:
            return "signal", SIGNALS[name]
        raise RulesInvalid(f"{name!r} is neither a feature nor a signal")

    def _condition(self, entry: Mapping[str, Any]) -> Condition:
        if "class" in entry:
            return Condition(
                "class", 0, 0.0, 0.0, sum(1 << _event_class(name) for name in set(entry["class"]))
            )
        if "place" in entry:
            flags = {_enum(event_pb2.PlaceFlag, "PLACE_FLAG_", name) for name in entry["place"]}
            return Condition("place", 0, 0.0, 0.0, sum(1 << flag for flag in flags))
        unknown = set(entry) - {"name", "at_least", "below"}
        if unknown or len(entry) < 2:
            raise RulesInvalid(
                f"a condition is name with at_least or below, class, or place, not {dict(entry)}"
            )
        kind, position = self._named(entry["name"])
        low, high = self._number(entry.get("at_least", -np.inf)), self._number(entry.get("below", np.inf))
        return Condition(kind, position, low, high, 0)

    def _number(self, value: Any) -> float:
        if isinstance(value, str):
            name = value.removeprefix("norms.")
            if name == value or name not in self._norms:
                raise RulesInvalid(f"{value!r} is neither a number nor one of norms.json")
            return self._norms[name]
        return float(value)
