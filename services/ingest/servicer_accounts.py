"""AccountService: check, call, answer."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

from services.common.clock import Clock
from services.common.errors import Aborted, FieldViolation, InvalidArgument, NotFound, Unavailable
from services.ingest import accounts, receipts
from services.ingest.check import require_tenant
from services.ingest.erasures import ErasedViewers
from services.ingest.peers import AwayError, Peers, RefusedBatchError
from services.ingest.records import LostRaceError
from services.ingest.store_accounts import AccountStore
from usher.event.v1 import event_pb2
from usher.ingest.v1 import accounts_pb2, accounts_pb2_grpc
from usher.scoring.v1 import scoring_pb2

ACCOUNTS = "usher.ingest.v1.AccountService"

_TRIES = 8
_USER = re.compile(r"[A-Za-z0-9._:@+/=~-]{1,255}")
_S = accounts_pb2


class AccountServicer(accounts_pb2_grpc.AccountServiceServicer):
    """Takes account facts, shows profiles. `forget` drops a viewer's row from the pipeline's cache."""

    def __init__(
        self,
        store: AccountStore,
        erased: ErasedViewers,
        peers: Peers,
        forget: Callable[[bytes], None],
        policy_set: Callable[[], str],
        clock: Clock,
    ) -> None:
        self._store = store
        self._erased = erased
        self._peers = peers
        self._forget = forget
        self._policy_set = policy_set
        self._clock = clock

    async def RecordAccounts(
        self, request: accounts_pb2.RecordAccountsRequest, context: Any
    ) -> accounts_pb2.RecordAccountsResponse:
        require_tenant(request.tenant)
        if not request.accounts:
            raise InvalidArgument("ACCOUNTS_MISSING", "accounts must hold at least one account")
        if len(request.accounts) > accounts.MAX_ACCOUNTS:
            raise InvalidArgument(
                "TOO_MANY_ACCOUNTS",
                f"accounts must be {accounts.MAX_ACCOUNTS} or fewer, not {len(request.accounts)}",
                metadata={"limit": str(accounts.MAX_ACCOUNTS)},
            )
        now_ms = self._clock.now_ms()
        faults = [self._faults(request.tenant, one, now_ms) for one in request.accounts]
        valid = [one for one, found in zip(request.accounts, faults, strict=True) if not found]
        told = iter(await self._record(request.tenant, valid) if valid else [])
        return accounts_pb2.RecordAccountsResponse(
            results=[
                _S.AccountResult(
                    status=_S.ACCOUNT_STATUS_INVALID,
                    error="; ".join(f"{one.field}: {one.reason}: {one.message}" for one in found),
                )
                if found
                else _S.AccountResult(
                    status=_S.ACCOUNT_STATUS_RECORDED if next(told) else _S.ACCOUNT_STATUS_UNCHANGED
                )
                for found in faults
            ]
        )

    async def GetProfile(
        self, request: accounts_pb2.GetProfileRequest, context: Any
    ) -> accounts_pb2.GetProfileResponse:
        require_tenant(request.tenant)
        if not _USER.fullmatch(request.user_id):
            raise InvalidArgument(
                "USER_ID_INVALID", "user_id is 1 to 255 characters of A-Z a-z 0-9 ._:@+/=~-"
            )
        row = await self._store.database.read(self._store.read, request.tenant, request.user_id)
        if row is None:
            raise NotFound("PROFILE_NOT_FOUND", "nothing is known of this account")
        facts = event_pb2.AccountFacts.FromString(row.kept.facts)
        question = scoring_pb2.DescribeProfileRequest(
            policy_set=self._policy_set(), profile=row.body, account=facts
        )
        question.time.FromMilliseconds(self._clock.now_ms())
        try:
            profile = await self._peers.describe(question)
        except (AwayError, RefusedBatchError) as error:
            raise Unavailable(
                "SCORING_AWAY", "scoring, which reads profiles, does not answer; try again"
            ) from error
        answer = accounts_pb2.GetProfileResponse(
            user_id=request.user_id, profile=profile, not_folded=row.not_folded
        )
        if row.kept.facts:
            answer.facts.CopyFrom(facts)
        names = event_pb2.AccountFacts.DESCRIPTOR.fields_by_number
        for number, as_of_ms in accounts_pb2.AccountFactTimes.FromString(row.kept.times).as_of_ms.items():
            if number in names:
                answer.as_of[names[number].name].FromMilliseconds(as_of_ms)
        return answer

    def _faults(self, tenant: str, update: accounts_pb2.AccountUpdate, now_ms: int) -> list[FieldViolation]:
        found = accounts.violations(update, now_ms)
        if not found and self._erased.covers(tenant, update.user_id, update.as_of_time.ToMilliseconds()):
            found = [FieldViolation("user_id", "GONE", "the account was erased after these facts held")]
        return found

    async def _record(self, tenant: str, updates: Sequence[accounts_pb2.AccountUpdate]) -> list[bool]:
        # Events of the same account may be committed at the same time; whoever comes second looks again.
        for attempt in range(_TRIES):
            try:
                told = await self._store.database.run(self._store.record, tenant, updates)
            except (LostRaceError, Aborted):
                await asyncio.sleep(random.uniform(0, 0.005 * 2**attempt))
                continue
            for update in updates:
                self._forget(receipts.user_key(tenant, update.user_id))
            return told
        raise Aborted("TRANSACTION_CONFLICT", "other writers were first too many times; try again")
