"""Thresholds learnt from outcomes: a pure rule, bounded, listed and reversible.

What people found out about decisions moves the threshold of their segment: abuse that was confirmed lowers it, a false
alarm raises it. The sign never turns, a step is small, few outcomes count for little, and all learning together stays
within the bound that the rules state (`rules.LEARNT_LIMIT` at most). Nothing is learnt about the segment of suspicious
accounts upwards: what people judge there is judged because it was flagged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from services.scoring.rules import LEARNT_LIMIT, SEGMENTS, RulesInvalid


class Outcome(NamedTuple):
    """What was found out about one decision.

    Attributes:
        segment: the viewer's segment when decided, one of `SEGMENTS`.
        abusive: True: abuse was confirmed (a chargeback, a takeover reported); False: a false alarm.
    """

    segment: str
    abusive: bool


class Learning(NamedTuple):
    """How fast and how far.

    Attributes:
        step: points that one-sided outcomes without end would move a threshold in one round.
        prior: outcomes at which half the step is taken.
        least: outcomes of a segment below which nothing is learnt.
        bound: farthest that learning goes from the segment's threshold, points.
    """

    step: float = 0.3
    prior: float = 20.0
    least: int = 5
    bound: float = 0.5


class Adjustment(NamedTuple):
    """One change of a learnt threshold."""

    segment: str
    before: float
    after: float
    confirmed: int
    false_alarms: int

    @property
    def reason(self) -> str:
        """In words."""
        way = "lowered" if self.after < self.before else "raised"
        return f"{way}: {self.confirmed} confirmed, {self.false_alarms} false alarms"


def learn(
    learnt: Mapping[str, float], outcomes: Iterable[Outcome], learning: Learning | None = None
) -> list[Adjustment]:
    """The adjustments that outcomes ask for, by segment; those that change nothing are left out.

    Raises ValueError for a segment that does not exist, and a bound beyond `LEARNT_LIMIT`.
    """
    learning = learning or Learning()
    if not 0 <= learning.bound <= LEARNT_LIMIT:
        raise ValueError(f"the bound is 0 to {LEARNT_LIMIT} points")
    confirmed, false_alarms = dict.fromkeys(SEGMENTS, 0), dict.fromkeys(SEGMENTS, 0)
    for outcome in outcomes:
        if outcome.segment not in confirmed:
            raise ValueError(f"no segment is called {outcome.segment}")
        (confirmed if outcome.abusive else false_alarms)[outcome.segment] += 1
    found = []
    for segment in SEGMENTS:
        count = confirmed[segment] + false_alarms[segment]
        if count < learning.least:
            continue
        balance = (false_alarms[segment] - confirmed[segment]) / (count + learning.prior)
        before = float(learnt.get(segment, 0.0))
        after = min(max(round(before + learning.step * balance, 2), -learning.bound), learning.bound)
        if segment == "suspicious":
            after = min(after, before)
        if (after < before and balance < 0) or (after > before and balance > 0):
            found.append(Adjustment(segment, before, after, confirmed[segment], false_alarms[segment]))
    return found


def revert(adjustments: Sequence[Adjustment]) -> list[Adjustment]:
    """The adjustments that take these back, last first."""
    return [one._replace(before=one.after, after=one.before) for one in reversed(adjustments)]


def apply(rules: bytes, adjustments: Sequence[Adjustment]) -> bytes:
    """outcomes.yaml with the learnt points changed and every other byte as it is.

    Raises RulesInvalid where the rules do not hold what an adjustment begins from.
    """
    text = rules.decode()
    for one in adjustments:
        pattern = re.compile(rf"(?m)^(  learnt: \{{[^}}\n]*\b{one.segment}: )(-?[0-9.]+)")
        match = pattern.search(text)
        if match is None or abs(float(match.group(2)) - one.before) > 1e-9:
            raise RulesInvalid(f"the rules' learnt points of {one.segment} are not {one.before}")
        text = text[: match.start(2)] + f"{one.after}" + text[match.end(2) :]
    return text.encode()
