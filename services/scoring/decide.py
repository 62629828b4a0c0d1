"""The decision: components, threshold, level and outcome of each event of a batch, by columns.

Order of what makes the outcome: the band of the compared sum; limits for what stands alone (COLD, an unconfirmed
ring, impossible travel, and what the rules' limits explain, as sharing); hard rules; limits by class; a rule that
forbids the act. Compliance's risk is shown and
never compared, and nothing about consent is read here. What is missing because a service did not answer counts as
zero; the outcome that its absence demands, and the reason that says so, are ingest's, which knows of all services.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.scoring import extract, features
from services.scoring.extract import Facts
from services.scoring.features import INDEX, Floats
from services.scoring.profile import Columns as Events
from services.scoring.profile import Ints, O
from services.scoring.rules import Bools, Columns, Rules
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2

_S = decision_pb2.SignalIndex
FIRST_FEATURE: int = decision_pb2.NUMBER_INDEX_FIRST_FEATURE
NUMBERS = FIRST_FEATURE + features.WIDTH
ALLOW, CAUTION, REVIEW, BLOCK = 1, 2, 3, 4
POWER, STANDARD, NEW, INACTIVE, DORMANT, SUSPICIOUS = 1, 2, 3, 4, 5, 6
OBSERVE, ENFORCE = 1, 2
CLASSES = 8
DAY = 86_400

NO_FRAUD = 1 << event_pb2.ITEM_FLAG_NO_FRAUD
NO_COMPLIANCE = 1 << event_pb2.ITEM_FLAG_NO_COMPLIANCE
LATE = 1 << event_pb2.ITEM_FLAG_LATE
FOLD_ONLY = 1 << event_pb2.ITEM_FLAG_FOLD_ONLY
FORBIDS_ACT = 1 << decision_pb2.VERDICT_FLAG_FORBIDS_ACT
SUPPRESS = 1 << decision_pb2.VERDICT_FLAG_SUPPRESS
# Places that speak for themselves: with one of these, travel does not stand alone.
_TELLING = (
    (1 << event_pb2.PLACE_FLAG_HOSTING) | (1 << event_pb2.PLACE_FLAG_VPN) | (1 << event_pb2.PLACE_FLAG_TOR)
)
TRAVEL_KMH = 900.0
"""Faster than a scheduled flight; below it travel is possible."""

PLACE_MOST, ANOMALY_MOST, SEGMENT_MOST, NETWORK_MOST, COMPLIANCE_MOST = 5.0, 3.0, 2.0, 3.0, 3.0


class Inputs(NamedTuple):
    """Everything a decision rests on, one entry an event."""

    events: Events
    facts: Facts
    observed: Ints
    features: Floats
    signals: Floats
    scores: Floats
    place_flags: NDArray[np.int64]
    item_flags: NDArray[np.int64]
    verdict_flags: NDArray[np.int64]
    compliance_risk: NDArray[np.floating]
    modes: NDArray[np.int64]
    """Mode of each event: 1 observe, 2 enforce."""


class Decided(NamedTuple):
    """The decisions of a batch.

    Attributes:
        numbers: one row of `NUMBERS` an event (usher.decision.v1.NumberIndex).
        held: which of the rules' patterns hold: one row an event.
        model_points: anomaly points of the models alone.
        behaviour_points: of the named patterns alone.
        held_cold: where COLD held the outcome down.
        limit: which of the rules' limits held the outcome down; -1: none.
        unlimited: the outcome before that limit.
        cold: whether too little is known of the viewer.
        over_limit: whether more devices play than the segment may.
    """

    outcome: NDArray[np.int64]
    would_be: NDArray[np.int64]
    mode: NDArray[np.int64]
    risk_score: NDArray[np.floating]
    level: NDArray[np.int64]
    segment: NDArray[np.int64]
    numbers: Floats
    held: Bools
    model_points: NDArray[np.floating]
    behaviour_points: NDArray[np.floating]
    held_cold: Bools
    limit: NDArray[np.int64]
    unlimited: NDArray[np.int64]
    cold: Bools
    over_limit: Bools


def decide(rules: Rules, inputs: Inputs) -> Decided:
    """Decides a batch. Pure; each event's decision depends on its own entries only."""
    x, signals, events, o = inputs.features, inputs.signals, inputs.events, inputs.observed.T
    n = len(x)
    columns = Columns(x, signals, events.event_class, inputs.place_flags)
    total = o[O.TOTAL]
    cold = total < rules.cold_events

    age = features.age_seconds(inputs.observed, events.time, inputs.facts)
    chargebacks = inputs.facts.chargebacks >= rules.membership["chargebacks"]
    segment = _segments(rules, inputs, age)
    segment_points = rules.segment_points[segment] + chargebacks * rules.membership["chargeback_points"]
    segment_points = np.minimum(segment_points, SEGMENT_MOST)

    # What the models find unusual weighs as much as is known of the viewer: a first event is always unusual.
    history = np.minimum(total / max(rules.cold_events, 1), 1.0)
    ensemble = inputs.scores[:, 0].astype(np.float64)
    steep = rules.anomaly["points"] / (rules.anomaly["full_at"] - rules.anomaly["starts_at"])
    model_points = np.round(
        _within(
            _within((ensemble - rules.anomaly["starts_at"]) * steep, rules.anomaly["points"])
            * rules.sensitivity[segment],
            ANOMALY_MOST,
        )
        * history,
        2,
    )
    held = rules.patterns.holds(columns)
    held[:, rules.new_device] &= ~rules.new_devices_allowed[segment][:, None]
    points = held * rules.patterns.points
    behaviours, ties = rules.behaviours, rules.behaviours + rules.networks
    behaviour_points = np.round(points[:, :behaviours].sum(axis=1), 2)
    behaviour_points = np.minimum(behaviour_points, ANOMALY_MOST)
    anomaly = np.minimum(np.maximum(model_points, behaviour_points), ANOMALY_MOST)

    place = np.round(
        _within(signals[:, _S.SIGNAL_INDEX_PLACE_RISK_UNSPECIFIED].astype(np.float64), PLACE_MOST), 2
    )
    without_ring = points[:, behaviours:ties].max(axis=1)
    ring = signals[:, _S.SIGNAL_INDEX_RING_MEMBERS] > 0
    tied = np.maximum(
        signals[:, _S.SIGNAL_INDEX_NETWORK_RISK].astype(np.float64) * NETWORK_MOST,
        signals[:, _S.SIGNAL_INDEX_RING_SCORE].astype(np.float64) * rules.ring_points,
    )
    network_points = np.round(_within(np.maximum(without_ring, tied), NETWORK_MOST), 2)
    compliance = np.round(_within(inputs.compliance_risk, COMPLIANCE_MOST), 2)
    compared = np.round(place + anomaly + segment_points + network_points, 2)

    night = (
        (x[:, INDEX["night"]] > 0)
        & (o[O.HOUR_ALL] >= rules.night["least_history"])
        & (x[:, INDEX["hour_share"]] < rules.night["hour_share_below"])
    ) * rules.night["points"]
    young = (age < rules.young["days"] * DAY) * rules.young["points"]
    trusted = (
        (age >= rules.trusted["days"] * DAY) & (total >= rules.trusted["events"]) & (o[O.INCIDENTS] == 0)
    ) * rules.trusted["points"]
    learnt = rules.learnt[segment]
    base = rules.thresholds[segment]
    residence = rules.residence.get(extract.EU_BIT, 0.0) * ((inputs.facts.region & extract.EU_BIT) != 0)
    for code, more in rules.residence.items():
        residence = residence + more * ((inputs.facts.region & 0xFFFF) == code)
    threshold = np.round(base + night + young + trusted + learnt + residence, 2)

    def band(total_points: NDArray[np.floating]) -> NDArray[np.int64]:
        found = np.full(n, ALLOW, np.int64)
        for value, times, plus in zip(rules.band_outcomes, rules.band_times, rules.band_plus, strict=True):
            found[total_points >= times * threshold + plus] = value
        return found

    would_be = band(compared)
    rest = place + segment_points + network_points
    held_cold = cold & (would_be > CAUTION) & (band(rest) <= CAUTION)
    would_be[held_cold] = CAUTION
    if ring.any():
        ring_alone = (
            ring & (would_be == BLOCK) & (band(place + anomaly + segment_points + without_ring) < BLOCK)
        )
        would_be[ring_alone] = REVIEW
    travelled = signals[:, _S.SIGNAL_INDEX_TRAVEL_KMH] >= TRAVEL_KMH
    if travelled.any():
        alone = travelled & ((inputs.place_flags & _TELLING) == 0)
        alone &= band(anomaly + segment_points + network_points) == ALLOW
        would_be[alone & (would_be > CAUTION)] = CAUTION
    limit, unlimited = np.full(n, -1, np.int64), would_be
    for number, one in enumerate(rules.limits):
        explained = (would_be > one.at_most) & held[:, one.where].any(axis=1)
        if explained.any():
            explained &= ~held[:, one.besides].any(axis=1) & ~one.unless.holds(columns).any(axis=1)
            explained &= ~np.isin(segment, one.not_of)
            limit[explained] = number
            would_be = np.where(explained, one.at_most, would_be)
    fired = held[:, ties:].any(axis=0)
    for number in np.nonzero(fired)[0].tolist():
        rule, holds = rules.patterns.patterns[ties + number], held[:, ties + number]
        floor = np.full(n, rule.at_least, np.int64)
        if rule.own:
            limited = cold & holds & (floor > CAUTION) & (would_be <= CAUTION)
            held_cold = held_cold | limited
            floor[cold] = min(rule.at_least, CAUTION)
        would_be = np.where(holds, np.maximum(would_be, floor), would_be)
    sessions = rules.session_limit[segment]
    over_limit = (
        (sessions > 0)
        & (events.event_class == event_pb2.EVENT_CLASS_PLAYBACK)
        & (x[:, INDEX["concurrent_streams"]] > sessions)
    )
    would_be = np.where(over_limit, np.maximum(would_be, CAUTION), would_be)
    would_be = np.minimum(would_be, rules.at_most[events.event_class])

    forbidden = (inputs.verdict_flags & FORBIDS_ACT) != 0
    would_be[forbidden] = BLOCK

    level = 1 + (compared >= threshold * 0.5) + (compared >= threshold) + (compared >= threshold + 3.0)
    numbers = np.zeros((n, NUMBERS), np.float32)
    for position, values in enumerate(
        (
            *(place, anomaly, segment_points, network_points, compliance, compared, base, threshold),
            *(night, young, trusted, learnt),
        )
    ):
        numbers[:, position] = values
    numbers[:, 12:16] = inputs.scores[:, :4]
    numbers[:, 16] = total / (total + rules.confidence_events)
    numbers[:, 17] = total
    numbers[:, 18] = inputs.scores[:, 4]
    numbers[:, 19] = rules.sensitivity[segment]
    numbers[:, 20] = residence
    numbers[:, FIRST_FEATURE:] = x
    return Decided(
        outcome=np.where(inputs.modes == ENFORCE, would_be, ALLOW),
        would_be=would_be,
        mode=inputs.modes,
        risk_score=np.round(compared + compliance, 2),
        level=level,
        segment=segment,
        numbers=numbers,
        held=held,
        model_points=model_points,
        behaviour_points=behaviour_points,
        held_cold=held_cold,
        limit=limit,
        unlimited=unlimited,
        cold=cold,
        over_limit=over_limit,
    )


def _within(points: NDArray[np.floating], most: float) -> NDArray[np.floating]:
    # What numpy.clip does, in half its time for the few rows of a batch.
    return np.minimum(np.maximum(points, 0.0), most)


def _segments(rules: Rules, inputs: Inputs, age: Ints) -> NDArray[np.int64]:
    o, member = inputs.observed.T, rules.membership
    # An account whose opening was not told and that was never seen is new to us: it counts as new.
    segment = np.full(len(age), STANDARD, np.int64)
    busy = o[O.EVENTS_7D] >= member["power_events_per_day"] * 7
    clean = (o[O.INCIDENTS] == 0) & (inputs.facts.chargebacks == 0)
    segment[(age >= member["power_days"] * DAY) & busy & clean] = POWER
    segment[age < member["new_days"] * DAY] = NEW
    segment[o[O.GAP] > member["inactive_days"] * DAY] = INACTIVE
    segment[o[O.GAP] > member["dormant_days"] * DAY] = DORMANT
    # Last, so that a young account with confirmed abuse is suspicious and not new.
    segment[o[O.INCIDENTS] >= member["suspicious_incidents"]] = SUSPICIOUS
    segment[inputs.facts.chargebacks >= member["suspicious_chargebacks"]] = SUSPICIOUS
    return segment
