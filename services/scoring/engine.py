"""One policy set made ready to decide, and the way of a batch through it."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np

from services.common.policy import PolicySet, PolicySetCache
from services.scoring import answer, decide, drift, explain, factors, features, profile
from services.scoring.decide import Inputs
from services.scoring.extract import Extractor
from services.scoring.model import Ensemble
from services.scoring.norms import read_norms
from services.scoring.rules import read_rules
from services.scoring.trees import Explainer, read_trees
from usher.decision.v1 import decision_pb2
from usher.policy.v1 import policy_pb2
from usher.scoring.v1 import scoring_pb2

_LOG = logging.getLogger("usher.scoring")
PIECE = 64
"""Events read between two pauses: about 0.3 ms."""
INLINE_ROWS = 64
"""Rows that the models score in under 1 ms; more go to a thread."""
ENGINES = 4
WATCHED_EVERY = 4
"""Batches of which one is counted for drift."""

Step = Callable[[], Any] | None
Steps = Generator[Step, Any, scoring_pb2.DecideEventsResponse]


class Engine:
    """Rules, norms and models of one policy set.

    Raises RulesInvalid, ModelInvalid, or NotFound (POLICY_PART_MISSING) where the set cannot decide.
    """

    def __init__(self, policy_set: PolicySet) -> None:
        part = policy_set.part
        self.id = policy_set.id
        self.norms = read_norms(part(policy_pb2.PART_KIND_NORMS, "population"))
        self.rules = read_rules(part(policy_pb2.PART_KIND_SCORING_RULES, "outcomes"), self.norms.values)
        self.model = Ensemble(
            part(policy_pb2.PART_KIND_MODEL, "ensemble"), part(policy_pb2.PART_KIND_MODEL_CARD, "ensemble")
        )
        trees, normals = read_trees(
            part(policy_pb2.PART_KIND_MODEL_CARD, "trees"), self.model.card["sha256"], features.WIDTH
        )
        self.models = factors.Models(self.model, Explainer(trees), normals, self.rules.cold_events)
        trained = drift.read(self.model.card)
        self.drift = None if trained is None else drift.Watch(trained)
        """What passes beside what the model was trained on; None where its card tells nothing of that."""
        self._batches = 0
        self.unexplained = 0
        """Decisions whose factors could not be computed, since the start."""

    def decide(self, request: scoring_pb2.DecideEventsRequest) -> scoring_pb2.DecideEventsResponse:
        """Decides a checked request at once."""
        steps = self.steps(request)
        result: Any = None
        try:
            while True:
                step = steps.send(result)
                result = step() if step else None
        except StopIteration as stop:
            return stop.value

    async def decide_async(
        self, request: scoring_pb2.DecideEventsRequest
    ) -> scoring_pb2.DecideEventsResponse:
        """Decides a checked request, leaving the loop between stages where the batch is not small."""
        steps = self.steps(request)
        large = len(request.events) > INLINE_ROWS
        result: Any = None
        try:
            while True:
                step = steps.send(result)
                if step is None:
                    await asyncio.sleep(0)
                    result = None
                else:
                    result = await asyncio.to_thread(step) if large else step()
        except StopIteration as stop:
            return stop.value

    def steps(self, request: scoring_pb2.DecideEventsRequest) -> Steps:
        """The stages of a batch. Yields None where a pause does no harm, and a function whose result it wants."""
        events, sent = request.events, request.profiles
        count = len(events)
        pausing = count > PIECE // 2
        broken = profile.broken(sent)
        all_signals, risk = (
            _signals(request),
            _column(request.compliance_risk, slice(None), count, np.float64),
        )
        extractor = Extractor(
            list(request.profile_of),
            list(request.item_flags),
            request.places,
            broken,
            _no_numbers(all_signals, risk),
        )
        for start in range(0, count, PIECE):
            extractor.read(events, start, min(start + PIECE, count))
            if pausing:
                yield None
        index, profile_of, columns, facts, errors = extractor.finish()
        response = scoring_pb2.DecideEventsResponse(errors=errors)
        if not index:
            response.decisions.extend([b""] * count)
            response.profiles.extend([b""] * len(sent))
            response.outcomes.extend([0] * count)
            return response

        words = profile.load([b"" if i in broken else p for i, p in enumerate(sent)])
        observed = profile.fold(words, profile_of, columns)
        folded = {
            v
            for v, handling in zip(profile_of, columns.handling.tolist(), strict=True)
            if handling & profile.FOLD
        }
        joined = words.tobytes()
        size = profile.SIZE
        response.profiles.extend(
            [joined[i * size : i * size + size] if i in folded else b"" for i in range(len(sent))]
        )
        if pausing:
            yield None

        whole = len(index) == count
        at = np.array(index)
        item_flags = _column(request.item_flags, at, len(at), np.int64)
        no_fraud = (item_flags & decide.NO_FRAUD) != 0
        lawful = (item_flags & decide.NO_COMPLIANCE) == 0
        signals = all_signals if whole else all_signals[at]
        signals[no_fraud] = 0.0
        place_flags = _column(request.places.flags, at, len(at), np.int64)
        compliance_risk = risk[at] * lawful
        rows = features.compute(observed, columns, facts, signals, place_flags, compliance_risk, self.norms)
        scores = yield lambda: self.model.run(rows)

        if self.drift is not None:
            # One batch in a few says the same at a fraction of the cost.
            self._batches += 1
            if self._batches % WATCHED_EVERY == 0:
                self.drift.add(rows[:PIECE], scores[:PIECE])
                if pausing:
                    yield None

        modes = np.full(decide.CLASSES, decide.OBSERVE, np.int64)
        for event_class, mode in enumerate(request.modes[: decide.CLASSES]):
            if mode == decision_pb2.MODE_ENFORCE:
                modes[event_class] = decide.ENFORCE
        inputs = decide.Inputs(
            events=columns,
            facts=facts,
            observed=observed,
            features=rows,
            signals=signals,
            scores=scores,
            place_flags=place_flags,
            item_flags=item_flags,
            verdict_flags=_column(request.verdict_flags, at, len(at), np.int64) * lawful,
            compliance_risk=compliance_risk,
            modes=modes[columns.event_class],
        )
        decided = decide.decide(self.rules, inputs)
        if pausing:
            yield None
        composed = answer.compose(decided)
        position = dict(zip(index, range(len(index)), strict=True)) if request.evidence else {}
        evidence = {position[e.index]: e.reasons for e in request.evidence if e.index in position}
        evidence = {i: reasons for i, reasons in evidence.items() if not no_fraud[i]}
        folding = (item_flags & decide.FOLD_ONLY) != 0
        told = np.nonzero(explain.speaking(self.rules, inputs, decided, evidence) & ~folding)[0].tolist()
        for number, i in enumerate(told, 1):
            told_of = explain.explain(self.rules, inputs, decided, evidence.get(i, ()), i)
            if decided.would_be[i] > decide.ALLOW:
                self._add_factors(told_of, inputs, i)
            composed[i] += told_of.SerializeToString()
            if pausing and (number % PIECE == 0 or decided.would_be[i] > decide.ALLOW):
                yield None
        for i in np.nonzero((inputs.verdict_flags & decide.SUPPRESS) != 0)[0].tolist():
            composed[i] += explain.SUPPRESS_ACTION
        outcomes = decided.outcome
        if folding.any():
            outcomes = np.where(folding, 0, outcomes)
            for i in np.nonzero(folding)[0].tolist():
                composed[i] = b""
        if whole:
            response.decisions.extend(composed)
            response.outcomes.extend(outcomes.tolist())
        else:
            decisions, all_outcomes = [b""] * count, [0] * count
            for i, one, value in zip(index, composed, outcomes.tolist(), strict=True):
                decisions[i], all_outcomes[i] = one, value
            response.decisions.extend(decisions)
            response.outcomes.extend(all_outcomes)
        return response

    def _add_factors(self, told: decision_pb2.Decision, inputs: Inputs, i: int) -> None:
        try:
            told.factors.extend(factors.factors(self.models, inputs, i, self.rules.most_factors))
        except Exception as error:  # noqa: BLE001  the decision stands, whatever its explanation runs into
            told.explanation_failed = True
            self.unexplained += 1
            _LOG.warning("the factors of a decision could not be computed: %s", type(error).__name__)


def _column(values: Sequence[float], at: np.ndarray | slice, count: int, dtype: type) -> np.ndarray:
    # An empty column stands for all zeros.
    return np.array(values, dtype)[at] if len(values) else np.zeros(count, dtype)


def _signals(request: scoring_pb2.DecideEventsRequest) -> features.Floats:
    """Fraud's signals, one row of `features.SIGNALS` an event."""
    width, count = request.signal_width, len(request.events)
    if not width:
        return np.zeros((count, features.SIGNALS), np.float32)
    sent = np.array(request.signals, np.float32).reshape(-1, width)
    if width == features.SIGNALS:
        return sent
    # A caller of another version may send fewer signals (unknown: zero) or more (not known here).
    signals = np.zeros((count, features.SIGNALS), np.float32)
    signals[:, : min(width, features.SIGNALS)] = sent[:, : features.SIGNALS]
    return signals


def _no_numbers(signals: features.Floats, risk: np.ndarray) -> dict[int, str]:
    """Positions of events with NaN or an infinity among their figures, and where it stands."""
    found: dict[int, str] = {}
    if not np.isfinite(risk).all():
        found = dict.fromkeys(np.nonzero(~np.isfinite(risk))[0].tolist(), "compliance_risk")
    finite = np.isfinite(signals)
    if not finite.all():
        for i, which in np.argwhere(~finite).tolist():
            name = decision_pb2.SignalIndex.Name(which).removeprefix("SIGNAL_INDEX_").lower()
            found.setdefault(i, f"signals.{name}")
    return found


class Engines:
    """Engines by policy set, the last `ENGINES` used; compiled in a thread, each once."""

    def __init__(self, policies: PolicySetCache) -> None:
        self._policies = policies
        self._ready: OrderedDict[str, Engine] = OrderedDict()
        self._compiling: dict[str, asyncio.Task[Engine]] = {}

    def newest(self) -> Engine | None:
        """The engine used last; None before the first."""
        return next(reversed(self._ready.values()), None)

    async def get(self, policy_set: str) -> Engine:
        """The engine of a policy set. Raises PolicySetUnknown and what `Engine` raises."""
        engine = self._ready.get(policy_set)
        if engine is not None:
            self._ready.move_to_end(policy_set)
            return engine
        task = self._compiling.get(policy_set)
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(self._compile, policy_set))
            self._compiling[policy_set] = task
            task.add_done_callback(lambda _: self._compiling.pop(policy_set, None))
        engine = await asyncio.shield(task)
        self._ready[policy_set] = engine
        self._ready.move_to_end(policy_set)
        while len(self._ready) > ENGINES:
            self._ready.popitem(last=False)
        return engine

    def _compile(self, policy_set: str) -> Engine:
        return Engine(self._policies.get(policy_set))
