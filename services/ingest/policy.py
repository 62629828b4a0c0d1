"""The policy set in force and the modes of tenants: read from the database every few seconds, on every replica."""

from __future__ import annotations

import asyncio

from services.common import feedback_policy
from services.common.clock import Clock
from services.common.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    NotFound,
    PolicySetUnknown,
    ResourceExhausted,
    Unavailable,
    UsherError,
)
from services.common.feedback_policy import FeedbackPolicy
from services.common.interceptors import caller_identity
from services.common.policy import PolicySet, PolicySetCache
from services.common.telemetry import Telemetry
from services.ingest.peers import Peers
from services.ingest.store import Store
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.ingest.v1 import ingest_pb2
from usher.policy.v1 import policy_pb2

_LOADING_S = 30.0
"""How long the services may take to load a set before one is put in force, or before it is decided under."""

_REACHING_S = 5.0
"""How long a start waits for services that are not there yet; those that are there are reached within a second."""

_AWAY = (Unavailable, DeadlineExceeded, ResourceExhausted)

CLASSES = sorted(event_pb2.EventClass.values())


class PolicyInForce:
    """What a batch is decided under. `policy_set` is pinned by whoever reads it once a batch."""

    def __init__(
        self,
        store: Store,
        sets: PolicySetCache,
        peers: Peers,
        enforcing_tenants: tuple[str, ...],
        refresh_seconds: float,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._store = store
        self._sets = sets
        self._peers = peers
        self._enforcing = frozenset(enforcing_tenants)
        self._refresh_seconds = refresh_seconds
        self._clock = clock
        self._log = telemetry.logger("policy")
        self._modes: dict[tuple[str, int], int] = {}
        self._by_tenant: dict[str, list[int]] = {}
        self.feedback = FeedbackPolicy()
        """Who is drawn for the control group and the sample of what was allowed."""
        self.policy_set = ""
        self.activated_ms = 0

    async def start(self, first: str) -> None:
        """Reads what is in force; puts `first` in force where nothing is yet.

        Raises FailedPrecondition (NO_POLICY_SET) where nothing is and `first` is empty.
        """
        # Away for good they must not keep the door shut: what they cannot evaluate is decided without them.
        if not await self._peers.reached(_REACHING_S):
            self._log.warning("not all services that are asked about events can be reached")
        active = await self._store.database.read(self._store.active_policy_set)
        if active is None:
            if not first:
                raise FailedPrecondition(
                    "NO_POLICY_SET",
                    "no policy set is in force: set USHER_INGEST_POLICY_SET to the first one's id",
                )
            await self._put_in_force(first, "start")
        await self.refresh()

    async def refresh(self) -> None:
        """Reads modes and the policy set in force; a new one is pinned once the services had time to load it."""
        active = await self._store.database.read(self._store.active_policy_set)
        self._modes = await self._store.database.read(self._store.modes)
        self._by_tenant.clear()
        if active is not None and active[0] != self.policy_set:
            for name, error in (await self._peers.load_policy_set(active[0], _LOADING_S)).items():
                self._log.warning(
                    "a service has not loaded the policy set",
                    extra={"policy_set": active[0], "peer": name, "reason": error.reason},
                )
            self.feedback = await self._feedback_of(active[0])
            self.policy_set, self.activated_ms = active
            self._log.info("a policy set is in force", extra={"policy_set": self.policy_set})

    async def run(self) -> None:
        """Refreshes for ever."""
        while True:
            await asyncio.sleep(self._refresh_seconds)
            try:
                await self.refresh()
            except UsherError as error:
                self._log.warning("the policy in force cannot be read", extra={"reason": error.reason})

    def modes(self, tenant: str) -> list[int]:
        """Mode by class of events, as the position."""
        known = self._by_tenant.get(tenant)
        if known is None:
            known = [
                self._modes.get((tenant, one), default)
                for one, default in zip(CLASSES, self._defaults(tenant), strict=True)
            ]
            self._by_tenant[tenant] = known
        return known

    async def set_mode(self, tenant: str, event_class: int, mode: int, actor: str) -> list[int]:
        """Sets the mode of a class (0: all classes)."""
        classes = [event_class] if event_class else CLASSES
        await self._store.database.run(
            self._store.set_modes, tenant, classes, mode, actor, self._clock.now_ms()
        )
        # The row keeps the last hand; the log keeps all of them.
        self._log.info(
            "a mode was set",
            extra={
                "tenant": tenant,
                "event_class": event_pb2.EventClass.Name(event_class),  # type: ignore[arg-type]
                "mode": decision_pb2.Mode.Name(mode),  # type: ignore[arg-type]
                "actor": actor,
                "caller": caller_identity(),
            },
        )
        await self.refresh()
        return self.modes(tenant)

    async def class_modes(self, tenant: str) -> list[ingest_pb2.ClassMode]:
        """Mode of every class, and who set it and when."""
        rows = await self._store.database.read(self._store.modes_of, tenant)
        answer = []
        for event_class, default in zip(CLASSES, self._defaults(tenant), strict=True):
            mode, actor, set_ms = rows.get(event_class, (default, "", 0))
            one = ingest_pb2.ClassMode(event_class=event_class, mode=mode, actor=actor)  # type: ignore[arg-type]
            if set_ms:
                one.set_time.FromMilliseconds(set_ms)
            answer.append(one)
        return answer

    def _defaults(self, tenant: str) -> list[int]:
        default = decision_pb2.MODE_ENFORCE if tenant in self._enforcing else decision_pb2.MODE_OBSERVE
        return [default] * len(CLASSES)

    async def activate(self, policy_set: str, actor: str) -> int:
        """Puts a set in force that every service can use; returns since when it is.

        Raises NotFound (POLICY_SET_MISSING), InvalidArgument (POLICY_SET_INVALID, ..._CORRUPT), FailedPrecondition
        (POLICY_SET_UNUSABLE) and Unavailable (POLICY_SET_UNCHECKED); the set in force then stays.
        """
        feedback_of(await self._read(policy_set))
        failed = await self._peers.load_policy_set(policy_set, _LOADING_S)
        away = {name for name, error in failed.items() if isinstance(error, _AWAY)}
        unusable = [f"{name}: {failed[name].message}" for name in sorted(failed.keys() - away)]
        if unusable:
            raise FailedPrecondition(
                "POLICY_SET_UNUSABLE", f"policy set {policy_set} is not put in force; {'; '.join(unusable)}"
            )
        if away:
            raise Unavailable(
                "POLICY_SET_UNCHECKED",
                f"policy set {policy_set} is not put in force: {', '.join(sorted(away))} did not answer whether it can be "
                "used; try again when all services answer",
            )
        return await self._put_in_force(policy_set, actor)

    async def _put_in_force(self, policy_set: str, actor: str) -> int:
        await self._read(policy_set)
        since = await self._store.database.run(
            self._store.activate_policy_set, policy_set, actor, self._clock.now_ms()
        )
        await self.refresh()
        return since

    async def _feedback_of(self, policy_set: str) -> FeedbackPolicy:
        try:
            return feedback_of(await self._read(policy_set))
        except UsherError as error:
            # Nobody is drawn: the safe side, and the set decides all the same.
            self._log.warning(
                "the policy set's feedback.yaml cannot be read",
                extra={"policy_set": policy_set, "reason": error.reason},
            )
            return FeedbackPolicy()

    async def _read(self, policy_set: str) -> PolicySet:
        try:
            return await asyncio.to_thread(self._sets.get, policy_set)
        except PolicySetUnknown as error:
            raise NotFound("POLICY_SET_MISSING", error.message) from error

    def manifest(self) -> object:
        """The manifest of the set in force."""
        return self._sets.get(self.policy_set).manifest


def feedback_of(policy_set: PolicySet) -> FeedbackPolicy:
    """What a set's feedback.yaml says; a set without it draws nobody. Raises FailedPrecondition (RULES_INVALID)."""
    content = policy_set.parts(policy_pb2.PART_KIND_SCORING_RULES).get(feedback_policy.PART)
    return FeedbackPolicy() if content is None else feedback_policy.read(content)
