"""Rates by address class and country, and what was missed: shares with intervals, and when a difference is one. Pure.

Intervals are Wilson's (E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22,
1927). Two shares are compared by the two-sided z-test with pooled variance, its p-value multiplied by the number of
groups of a dimension (Bonferroni), since many are looked at at once. A group alarms where its share of false alarms
over that of all others leaves the bounds (0.8 to 1.25, the four-fifths rule of 29 CFR 1607.4(D) and its inverse), with
significance, and enough events on both sides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from math import erfc, sqrt
from typing import NamedTuple

from services.scoring.outcomes import Known, Truth
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.ingest.v1 import feedback_pb2

Z95 = 1.959963984540054
CAUTION, REVIEW = decision_pb2.OUTCOME_ALLOW_WITH_CAUTION, decision_pb2.OUTCOME_REVIEW


class Bounds(NamedTuple):
    """When a group alarms."""

    low: float = 0.8
    high: float = 1.25
    significance: float = 0.01
    least: int = 100
    """Events known to be good, of the group and of all others."""
    most_groups: int = 60
    """Groups shown a dimension, the largest; the rest is one group."""


USUAL = Bounds()


def wilson(count: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share; (0, 1) where nothing was counted."""
    if not of:
        return 0.0, 1.0
    share, z2 = count / of, Z95 * Z95
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = Z95 / (1 + z2 / of) * sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    return max(0.0, middle - half), min(1.0, middle + half)


def p_value(count: int, of: int, other: int, of_others: int) -> float:
    """Two-sided p-value that two shares are one; 1 where that cannot be told."""
    if not of or not of_others:
        return 1.0
    pooled = (count + other) / (of + of_others)
    spread = sqrt(pooled * (1 - pooled) * (1 / of + 1 / of_others))
    return erfc(abs(count / of - other / of_others) / spread / sqrt(2)) if spread else 1.0


def rate(count: int, of: int) -> feedback_pb2.Rate:
    """A share as a message."""
    low, high = wilson(count, of)
    return feedback_pb2.Rate(count=count, of=of, value=count / of if of else 0.0, low=low, high=high)


def address_class(place_flags: int) -> str:
    """The class of an address: the strongest of its flags."""
    for name in ("TOR", "VPN", "PROXY", "HOSTING", "RELAY", "SHARED", "SPECIAL"):
        if place_flags >> event_pb2.PlaceFlag.Value(f"PLACE_FLAG_{name}") & 1:
            return name.lower()
    return "plain"


DIMENSIONS: dict[str, Callable[[Known], str]] = {
    "address_class": lambda one: address_class(one.place_flags),
    "country": lambda one: one.country or "unknown",
}


def panel(
    events: Sequence[Known], truths: Sequence[Truth], bounds: Bounds = USUAL
) -> list[feedback_pb2.GroupRates]:
    """The rates of each group, by dimension, the largest group first."""
    found = []
    for dimension, group_of in DIMENSIONS.items():
        total: Counter[str] = Counter()
        held: Counter[str] = Counter()
        good: Counter[str] = Counter()
        false: Counter[str] = Counter()
        sizes = Counter(group_of(one) for one in events)
        kept = {name for name, _ in sizes.most_common(bounds.most_groups)}
        for one, truth in zip(events, truths, strict=True):
            name = group_of(one)
            name = name if name in kept else "others"
            up = one.would_be >= REVIEW
            total[name] += 1
            held[name] += up
            if truth.known and not truth.abusive and not truth.finding:
                good[name] += 1
                false[name] += up
        all_good, all_false = sum(good.values()), sum(false.values())
        for name, number in total.most_common():
            other_good, other_false = all_good - good[name], all_false - false[name]
            p = min(1.0, p_value(false[name], good[name], other_false, other_good) * len(total))
            # A half is added on each side, so that a group without a single false alarm has a ratio as well.
            enough = good[name] >= bounds.least and other_good >= bounds.least
            ratio = (
                ((false[name] + 0.5) / (good[name] + 1)) / ((other_false + 0.5) / (other_good + 1))
                if enough
                else 0.0
            )
            found.append(
                feedback_pb2.GroupRates(
                    dimension=dimension,
                    group=name,
                    held_up=rate(held[name], number),
                    false_alarms=rate(false[name], good[name]),
                    ratio=ratio,
                    p_value=p,
                    alarming=enough and p <= bounds.significance and not bounds.low <= ratio <= bounds.high,
                )
            )
    return found


def misses(
    events: Sequence[Known], truths: Sequence[Truth], sampled: Callable[[str], bool]
) -> feedback_pb2.MissEstimate | None:
    """Abuse among what was let through, from those that were drawn at random and looked at; None without any.

    Only a random draw (`sampled` of an event id) says something of the others: what people looked at because they were
    suspicious would overstate. The interval of the share, times the number allowed.
    """
    allowed = [(one, truth) for one, truth in zip(events, truths, strict=True) if one.would_be < REVIEW]
    seen = [truth.abusive for one, truth in allowed if truth.kind and sampled(one.event_id)]
    if not seen:
        return None
    share = rate(sum(seen), len(seen))
    number = len(allowed)
    return feedback_pb2.MissEstimate(
        reviewed=share,
        allowed=number,
        missed=share.value * number,
        low=share.low * number,
        high=share.high * number,
    )


def let_through(one: Known) -> bool:
    """Whether an act was let through for the control group: alone there is caution with more held back."""
    return one.outcome == CAUTION and one.would_be >= REVIEW


def report(
    tenant: str,
    now_ms: int,
    events: Sequence[Known],
    truths: Sequence[Truth],
    sampled: Callable[[str], bool],
    bounds: Bounds = USUAL,
) -> feedback_pb2.FeedbackReport:
    """Everything that is found of outcomes."""
    found = feedback_pb2.FeedbackReport(
        tenant=tenant,
        events=len(events),
        abusive=sum(truth.abusive for truth in truths),
        good=sum(truth.known and not truth.abusive for truth in truths),
        groups=panel(events, truths, bounds),
    )
    found.time.FromMilliseconds(now_ms)
    found.sampled = sum(one.would_be < REVIEW and sampled(one.event_id) for one in events)
    group = [truth for one, truth in zip(events, truths, strict=True) if let_through(one)]
    found.control_group = len(group)
    seen = [truth.abusive for truth in group if truth.known]
    if seen:
        found.control_abusive.CopyFrom(rate(sum(seen), len(seen)))
    estimate = misses(events, truths, sampled)
    if estimate is not None:
        found.misses.CopyFrom(estimate)
    return found
