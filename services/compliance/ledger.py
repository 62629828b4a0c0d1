"""The consent ledger's rules: what a record must be, how entries are chained, what they say as of a time. Pure.

**Chain.** An entry's `digest` is the SHA-256 of a random salt and the serialised record; its `chain` is the SHA-256 of
the previous entry's chain (32 zero bytes for the first), tenant, place, act, time of recording and digest. Erasing
takes salt and record away and leaves digest and chain: the chain still verifies, and without the salt the digest says
nothing of the record.

**State.** Of each purpose the act with the latest `effective_time` decides, of several at one moment the one recorded
last. An agreement covers its purpose and its scope until it is withdrawn, refused anew or expires.
"""

from __future__ import annotations

import hashlib
import re
import struct
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from services.common.consent_strings import ConsentStringError, decode
from services.common.errors import FieldViolation
from services.compliance.consent import LedgerFact
from services.compliance.facts import END_OF_TIMES
from usher.compliance.v1 import consent_pb2

GIVEN = consent_pb2.CONSENT_ACT_GIVEN
REFUSED = consent_pb2.CONSENT_ACT_REFUSED
WITHDRAWN = consent_pb2.CONSENT_ACT_WITHDRAWN
ERASED = consent_pb2.CONSENT_ACT_ERASED

OPT_OUT, OBJECTION, RESTRICTION = "sale_and_sharing", "legitimate_interests", "processing"
"""Purposes that a right is about: refused or withdrawn, the right is in force; given, it is taken back. They are no
consent and decide no status."""
RIGHTS = (OPT_OUT, OBJECTION, RESTRICTION)

MAX_RECORDS = 100
MAX_SCOPE = 32
MAX_AHEAD_MS = 300_000
"""An act that far ahead of the server's clock is a wrong clock."""
FIRST_CHAIN = bytes(32)

_MAX_FACTS = 64
# Facts of one viewer that are kept: purposes come from the sender.

_WORD = re.compile(r"[a-z0-9][a-z0-9_.:-]{0,63}")
_ACTS = {GIVEN: "granted", REFUSED: "absent", WITHDRAWN: "withdrawn"}
_GIVERS = frozenset({"", "adult", "child", "parent"})
_LINK = struct.Struct(">qhq")


class Entry(NamedTuple):
    """One entry of the ledger; `user_id`, `salt` and `content` are None once erased."""

    tenant: str
    seq: int
    act: int
    recorded_ms: int
    digest: bytes
    chain: bytes
    user_id: str | None
    salt: bytes | None
    content: bytes | None
    """A serialised ConsentRecord; of an entry of the act ERASED, the places it emptied, as text."""

    @property
    def receipt_id(self) -> str:
        """Names the entry: from its chain, so that it cannot be given to another."""
        return receipt_id(self.chain)


def receipt_id(chain: bytes) -> str:
    """The receipt's id of an entry with this chain."""
    return f"cr_{chain[:16].hex()}"


def seal(
    tenant: str,
    previous: tuple[int, bytes],
    act: int,
    recorded_ms: int,
    user_id: str | None,
    salt: bytes,
    content: bytes,
) -> Entry:
    """The entry that follows the one at `previous` (place and chain; (0, FIRST_CHAIN) at the beginning)."""
    seq = previous[0] + 1
    digest = digest_of(salt, content)
    chain = chain_of(previous[1], tenant, seq, act, recorded_ms, digest)
    return Entry(tenant, seq, act, recorded_ms, digest, chain, user_id, salt, content)


def digest_of(salt: bytes, content: bytes) -> bytes:
    """SHA-256 of salt and content."""
    return hashlib.sha256(salt + content).digest()


def chain_of(previous: bytes, tenant: str, seq: int, act: int, recorded_ms: int, digest: bytes) -> bytes:
    """SHA-256 that links an entry to the one before."""
    link = _LINK.pack(seq, act, recorded_ms)
    return hashlib.sha256(previous + tenant.encode() + b"\0" + link + digest).digest()


def broken(entry: Entry, previous: tuple[int, bytes]) -> str:
    """What is wrong with an entry that should follow `previous`; empty: nothing."""
    if entry.seq != previous[0] + 1:
        return f"an entry is missing after {previous[0]}"
    if entry.salt is not None and entry.content is not None:
        if digest_of(entry.salt, entry.content) != entry.digest:
            return "the record is not the one that was recorded"
    elif entry.act == ERASED:
        return "the entry of an erasure lost its content"
    if (
        chain_of(previous[1], entry.tenant, entry.seq, entry.act, entry.recorded_ms, entry.digest)
        != entry.chain
    ):
        return "the entry is not the one that was chained"
    return ""


# -- records -------------------------------------------------------------------------------------------------------


def completed(record: consent_pb2.ConsentRecord, now_ms: int) -> consent_pb2.ConsentRecord:
    """The record as it is kept: with `effective_time`, and each word of its scope once, in order."""
    kept = consent_pb2.ConsentRecord()
    kept.CopyFrom(record)
    if not kept.HasField("effective_time"):
        kept.effective_time.FromMilliseconds(now_ms)
    scope = sorted(set(kept.scope))
    del kept.scope[:]
    kept.scope.extend(scope)
    return kept


def violations(record: consent_pb2.ConsentRecord, position: int, now_ms: int) -> list[FieldViolation]:
    """Everything wrong with a record; `position` names it: records[position]."""
    found: list[FieldViolation] = []

    def wrong(name: str, reason: str, message: str) -> None:
        found.append(FieldViolation(f"records[{position}].{name}", reason, message))

    if record.act not in _ACTS:
        wrong("act", "UNKNOWN_VALUE", "GIVEN, REFUSED or WITHDRAWN")
    for name in ("purpose", "source"):
        if not _WORD.fullmatch(getattr(record, name)):
            wrong(
                name,
                "WORD_INVALID",
                "1 to 64 characters of a-z 0-9 _ . : -, beginning with a letter or digit",
            )
    if len(record.scope) > MAX_SCOPE or not all(_WORD.fullmatch(word) for word in record.scope):
        wrong("scope", "WORD_INVALID", f"at most {MAX_SCOPE} words of 1 to 64 characters of a-z 0-9 _ . : -")
    if record.given_by not in _GIVERS:
        wrong("given_by", "UNKNOWN_VALUE", "adult, child or parent")
    if len(record.policy_version) > 64:
        wrong("policy_version", "TOO_LONG", "at most 64 characters")
    effective_ms = _milliseconds(record.effective_time) if record.HasField("effective_time") else now_ms
    if effective_ms is None:
        wrong("effective_time", "TIME_INVALID", "a time of the years 1970 to 2100")
    elif effective_ms > now_ms + MAX_AHEAD_MS:
        wrong(
            "effective_time", "TIME_IN_FUTURE", "at most 5 minutes ahead of the server: check clock and zone"
        )
    if record.HasField("expires_time"):
        expires_ms = _milliseconds(record.expires_time)
        if record.act != GIVEN:
            wrong("expires_time", "UNEXPECTED", "only an agreement expires")
        elif expires_ms is None or (effective_ms is not None and expires_ms <= effective_ms):
            wrong("expires_time", "TIME_INVALID", "a time after effective_time, up to the year 2100")
    _check_proof(record.proof, wrong)
    return found


def _check_proof(proof: consent_pb2.ConsentProof, wrong: object) -> None:
    assert callable(wrong)
    if proof.kind and not _WORD.fullmatch(proof.kind):
        wrong("proof.kind", "WORD_INVALID", "1 to 64 characters of a-z 0-9 _ . : -")
    if len(proof.reference) > 512:
        wrong("proof.reference", "TOO_LONG", "at most 512 characters")
    if len(proof.sha256) not in (0, 32):
        wrong("proof.sha256", "DIGEST_INVALID", "32 bytes, or none")
    if proof.consent_string:
        try:
            decode(proof.consent_string)
        except ConsentStringError as error:
            wrong("proof.consent_string", error.reason, f"cannot be read: {error}")


def _milliseconds(time: Timestamp) -> int | None:
    if not 0 <= time.seconds < END_OF_TIMES or not 0 <= time.nanos < 1_000_000_000:
        return None
    return time.seconds * 1_000 + time.nanos // 1_000_000


# -- state ---------------------------------------------------------------------------------------------------------


class State(NamedTuple):
    """A viewer's consent to one purpose as of a time."""

    status: str
    """"granted", "expired", "withdrawn" or "absent"."""
    entry: Entry
    """The one that decides."""
    record: consent_pb2.ConsentRecord
    """What it holds."""
    agreement: consent_pb2.ConsentRecord | None
    """The last agreement, withdrawn or not; None where there was none."""

    @property
    def scope(self) -> Sequence[str]:
        """What is covered beside the purpose."""
        return self.record.scope if self.status == "granted" else ()


class _Done(NamedTuple):
    """An act about a purpose; sorts by when it took effect, then by when it was recorded."""

    effective_ms: int
    seq: int
    entry: Entry
    record: consent_pb2.ConsentRecord


def states_at(entries: Iterable[Entry], time_ms: int, known_ms: int | None = None) -> dict[str, State]:
    """The state of each purpose, by purpose, as of a time and as known by then (None: by now)."""
    known = (entry for entry in entries if known_ms is None or entry.recorded_ms <= known_ms)
    return _states(_by_purpose(known), time_ms)


def _by_purpose(entries: Iterable[Entry]) -> dict[str, list[_Done]]:
    """The acts of each purpose in order; purposes in order as well."""
    acts: dict[str, list[_Done]] = {}
    for entry in entries:
        if entry.content is None or entry.act not in _ACTS:
            continue
        record = consent_pb2.ConsentRecord.FromString(entry.content)
        done = _Done(record.effective_time.ToMilliseconds(), entry.seq, entry, record)
        acts.setdefault(record.purpose, []).append(done)
    return {purpose: sorted(acts[purpose], key=lambda done: done[:2]) for purpose in sorted(acts)}


def _states(acts: dict[str, list[_Done]], time_ms: int) -> dict[str, State]:
    states: dict[str, State] = {}
    for purpose, ordered in acts.items():
        past = [done for done in ordered if done.effective_ms <= time_ms]
        if not past:
            continue
        entry, record = past[-1].entry, past[-1].record
        agreement = next((done.record for done in reversed(past) if done.record.act == GIVEN), None)
        status = _ACTS[record.act]
        if (
            status == "granted"
            and record.HasField("expires_time")
            and record.expires_time.ToMilliseconds() <= time_ms
        ):
            status = "expired"
        states[purpose] = State(status, entry, record, agreement)
    return states


class ViewerConsents:
    """A viewer's entries, ready to be asked many times: between two turns of time the answer is the same."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.version = newest(entries)
        """Place of the newest entry."""
        self._acts = _by_purpose(entries)
        self._turns = sorted(
            {
                moment
                for ordered in self._acts.values()
                for done in ordered
                for moment in (
                    done.effective_ms,
                    *(
                        [done.record.expires_time.ToMilliseconds()]
                        if done.record.HasField("expires_time")
                        else ()
                    ),
                )
            }
        )
        self._facts: dict[tuple[str, int], LedgerFact | None] = {}

    def fact(self, purpose: str, time_ms: int) -> LedgerFact | None:
        """What the ledger says for an event; see `fact_for`."""
        key = (purpose, bisect_right(self._turns, time_ms))
        if key not in self._facts:
            if len(self._facts) >= _MAX_FACTS:
                self._facts.clear()
            self._facts[key] = fact_for(_states(self._acts, time_ms), purpose)
        return self._facts[key]


def fact_for(states: dict[str, State], purpose: str) -> LedgerFact | None:
    """What the ledger says for an event with a purpose (empty: undeclared); None where it knows nothing.

    Without a purpose the status is told only where all purposes agree.
    """
    if not states:
        return None
    opted_out, objected, restricted = (_in_force(states.get(name)) for name in RIGHTS)
    states = {name: state for name, state in states.items() if name not in RIGHTS}
    denied = tuple(sorted(name for name, state in states.items() if state.status != "granted"))
    granted = {
        word for name, state in states.items() if state.status == "granted" for word in (name, *state.scope)
    }
    deciding = states.get(purpose)
    if deciding is None and purpose:
        deciding = next((state for state in states.values() if purpose in state.scope), None)
    elif deciding is None and states and len({state.status for state in states.values()}) == 1:
        deciding = max(states.values(), key=lambda state: state.entry.seq)
    record = deciding.record if deciding else consent_pb2.ConsentRecord()
    agreement = deciding.agreement if deciding else None
    told = agreement if agreement is not None else record
    return LedgerFact(
        deciding.status if deciding else "",
        tuple(sorted(granted - set(denied))),
        denied,
        agreement.effective_time.seconds if agreement is not None else None,
        record.effective_time.seconds if record.act == WITHDRAWN else None,
        agreement.expires_time.seconds
        if agreement is not None and agreement.HasField("expires_time")
        else None,
        told.given_by,
        told.separate if told.HasField("separate") else None,
        told.verifiable if told.HasField("verifiable") else None,
        told.vppa_separate_form if told.HasField("vppa_separate_form") else None,
        opted_out,
        objected,
        restricted,
    )


def _in_force(state: State | None) -> int | None:
    """Since when a right is in force, in seconds; None where it is not."""
    if state is None or state.status not in ("absent", "withdrawn"):
        return None
    return state.record.effective_time.seconds


def newest(entries: Iterable[Entry]) -> int:
    """Place of the newest of a viewer's entries, 0 where there is none: the version of what is known."""
    return max((entry.seq for entry in entries), default=0)
