"""The consent ledger as JSON, for the command and the gateway. Pure.

A record: `{"act": "given", "purpose": "targeted_advertising", "source": "cmp"}` and, optionally, `scope`,
`effective_time`, `expires_time` (RFC 3339), `policy_version`, `given_by`, `separate`, `verifiable`,
`vppa_separate_form` and `proof` with `kind`, `reference`, `sha256` (hexadecimal), `consent_string`.
"""

from __future__ import annotations

from typing import Any

from services.common.errors import FieldViolation, InvalidArgument
from services.common.event_json import parse_time, time_to_json
from usher.compliance.v1 import consent_pb2

ACTS: dict[str, consent_pb2.ConsentAct] = {
    "given": consent_pb2.CONSENT_ACT_GIVEN,
    "refused": consent_pb2.CONSENT_ACT_REFUSED,
    "withdrawn": consent_pb2.CONSENT_ACT_WITHDRAWN,
}
"""What a viewer did, as JSON says it."""

_ACT_NAMES = {number: name for name, number in ACTS.items()} | {consent_pb2.CONSENT_ACT_ERASED: "erased"}
_TEXTS = ("purpose", "source", "policy_version", "given_by")
_TRUTHS = ("separate", "verifiable", "vppa_separate_form")
_TIMES = ("effective_time", "expires_time")
_PROOF_TEXTS = ("kind", "reference", "consent_string")


def record_from_json(value: Any, path: str) -> consent_pb2.ConsentRecord:
    """The record that a JSON object says; `null` is absent.

    Raises InvalidArgument (CONSENT_RECORD_INVALID) with everything wrong, as `path` and the field. What the values
    must be is the ledger's to say.
    """
    found: list[FieldViolation] = []
    record = consent_pb2.ConsentRecord()
    if not isinstance(value, dict):
        found.append(FieldViolation(path, "WRONG_TYPE", "a JSON object"))
        value = {}
    for name, item in value.items():
        if item is not None:
            _put(record, name, item, f"{path}.{name}", found)
    if found:
        raise InvalidArgument(
            "CONSENT_RECORD_INVALID",
            f"{len(found)} fields are wrong, first {found[0].field}: {found[0].message}",
            violations=found,
        )
    return record


def _put(
    record: consent_pb2.ConsentRecord, name: str, item: Any, path: str, found: list[FieldViolation]
) -> None:
    if name == "act":
        if item in ACTS:
            record.act = ACTS[item]
        else:
            found.append(FieldViolation(path, "VALUE_UNKNOWN", f"one of {', '.join(ACTS)}"))
    elif name in _TEXTS:
        if _is(item, str, path, found):
            setattr(record, name, item)
    elif name in _TRUTHS:
        if _is(item, bool, path, found):
            setattr(record, name, item)
    elif name in _TIMES:
        _put_time(record, name, item, path, found)
    elif name == "scope":
        if isinstance(item, list) and all(isinstance(word, str) for word in item):
            record.scope.extend(item)
        else:
            found.append(FieldViolation(path, "WRONG_TYPE", "a list of words"))
    elif name == "proof":
        _put_proof(record.proof, item, path, found)
    else:
        found.append(FieldViolation(path, "UNKNOWN_FIELD", "no such field; see docs/consent.md"))


def _put_time(
    record: consent_pb2.ConsentRecord, name: str, item: Any, path: str, found: list[FieldViolation]
) -> None:
    if not _is(item, str, path, found):
        return
    try:
        seconds, nanos = parse_time(item)
    except InvalidArgument as error:
        found.append(FieldViolation(path, error.reason, error.message))
        return
    getattr(record, name).seconds = seconds
    getattr(record, name).nanos = nanos


def _put_proof(proof: consent_pb2.ConsentProof, item: Any, path: str, found: list[FieldViolation]) -> None:
    if not _is(item, dict, path, found):
        return
    for name, value in item.items():
        if value is None:
            continue
        if name in _PROOF_TEXTS:
            if _is(value, str, f"{path}.{name}", found):
                setattr(proof, name, value)
        elif name == "sha256":
            try:
                proof.sha256 = bytes.fromhex(value)
            except (TypeError, ValueError):
                found.append(FieldViolation(f"{path}.{name}", "DIGEST_INVALID", "64 hexadecimal digits"))
        else:
            found.append(FieldViolation(f"{path}.{name}", "UNKNOWN_FIELD", "no such field"))


def _is(item: Any, kind: type, path: str, found: list[FieldViolation]) -> bool:
    if isinstance(item, kind):
        return True
    names = {str: "a text", bool: "true or false", dict: "a JSON object"}
    found.append(FieldViolation(path, "WRONG_TYPE", names[kind]))
    return False


def record_to_json(record: consent_pb2.ConsentRecord) -> dict[str, Any]:
    """The record as JSON values; what is not set is left out."""
    found: dict[str, Any] = {"act": _ACT_NAMES.get(record.act, str(record.act))}
    found |= {name: getattr(record, name) for name in _TEXTS if getattr(record, name)}
    if record.scope:
        found["scope"] = list(record.scope)
    found |= {name: time_to_json(getattr(record, name)) for name in _TIMES if record.HasField(name)}  # type: ignore[arg-type]
    found |= {name: getattr(record, name) for name in _TRUTHS if record.HasField(name)}  # type: ignore[arg-type]
    if record.HasField("proof"):
        proof = {name: getattr(record.proof, name) for name in _PROOF_TEXTS if getattr(record.proof, name)}
        if record.proof.sha256:
            proof["sha256"] = record.proof.sha256.hex()
        found["proof"] = proof
    return found


def receipt_to_json(receipt: consent_pb2.ConsentReceipt) -> dict[str, Any]:
    """The receipt as JSON values."""
    return {
        "receipt_id": receipt.receipt_id,
        "seq": receipt.seq,
        "act": _ACT_NAMES.get(receipt.act, str(receipt.act)),
        "recorded_time": time_to_json(receipt.recorded_time),
        "digest": receipt.digest.hex(),
        "chain": receipt.chain.hex(),
    }


def state_to_json(state: consent_pb2.ConsentState) -> dict[str, Any]:
    """The state as JSON values; times that there are not are null."""
    return {
        "purpose": state.purpose,
        "status": state.status,
        "scope": list(state.scope),
        **{
            name: time_to_json(getattr(state, name)) if state.HasField(name) else None  # type: ignore[arg-type]
            for name in ("obtained_time", "withdrawn_time", "expires_time")
        },
        "receipt_id": state.receipt_id,
        "record": record_to_json(state.record),
    }


def entry_to_json(entry: consent_pb2.ConsentEntry) -> dict[str, Any]:
    """The entry as JSON values; `user_id`, `record` and `salt` are null once erased."""
    return {
        **receipt_to_json(entry.receipt),
        "user_id": entry.user_id or None,
        "record": record_to_json(entry.record) if entry.HasField("record") else None,
        "salt": entry.salt.hex() or None,
    }
