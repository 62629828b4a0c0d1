"""What one policy set means for fraud: its parameters, compiled, kept by id."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from services.common.policy import PolicySet, PolicySetCache
from services.fraud.memory import NOTHING_KNOWN, Observation
from services.fraud.parameters import Parameters, parse
from services.fraud.request import FOLD_ONLY, OLD, SUPPRESSED, Item
from services.fraud.signals import ALONE, Assessor, Standing, compile_assessor, packed_row
from usher.policy.v1 import policy_pb2

_KEPT = 4


class Engine(NamedTuple):
    """A policy set, ready for use."""

    parameters: Parameters
    assess: Assessor


def build(policy_set: PolicySet) -> Engine:
    """Compiles a policy set.

    Raises NotFound (POLICY_PART_MISSING), InvalidArgument (FRAUD_PARAMETERS_INVALID).
    """
    parameters = parse(policy_set.part(policy_pb2.PART_KIND_FRAUD_PARAMETERS, "parameters"))
    return Engine(parameters, compile_assessor(parameters))


def answer(
    assess: Assessor,
    items: Iterable[tuple[Item, Observation]],
    standing: Callable[[str, Observation], Standing],
) -> tuple[bytes, list[bytes]]:
    """Signals and assessments of items with what was known before each.

    The signals are a serialised AssessEventsResponse: field 1, a piece a row, so that no number becomes an object.

    A suppressed item and one that is only folded into the memory are answered with nothing; an old one by its address
    alone.
    """
    signals: list[bytes] = []
    assessments: list[bytes] = []
    for item, seen in items:
        if item.item_flags & (FOLD_ONLY | SUPPRESSED):
            assessment = b""
        elif item.item_flags & OLD:
            bare = item._replace(sighting=item.sighting._replace(place=b"", stream=""), act=0)
            _, assessment = assess(NOTHING_KNOWN, bare, ALONE)
        else:
            _, assessment = assess(seen, item, standing(item.sighting.user, seen))
        signals.append(packed_row(assessment))
        assessments.append(assessment)
    return b"".join(signals), assessments


class Engines:
    """Engines by policy set, read and compiled in a thread when asked for the first time; the last four are kept."""

    def __init__(self, cache: PolicySetCache) -> None:
        self._cache = cache
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._loading = asyncio.Lock()

    async def get(self, policy_set: str) -> Engine:
        """Raises PolicySetUnknown and what `build` raises."""
        engine = self._engines.get(policy_set)
        if engine is not None:
            self._engines.move_to_end(policy_set)
            return engine
        async with self._loading:
            engine = self._engines.get(policy_set)
            if engine is None:
                engine = await asyncio.to_thread(self._load, policy_set)
                self._engines[policy_set] = engine
                while len(self._engines) > _KEPT:
                    self._engines.popitem(last=False)
        return engine

    def _load(self, policy_set: str) -> Engine:
        return build(self._cache.get(policy_set))
