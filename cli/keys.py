"""The keys of senders: what `usher keys` does."""

from __future__ import annotations

import getpass
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
from google.protobuf.duration_pb2 import Duration

from cli.console import EXIT_OK, UnusableError, say
from cli.home import write_private
from cli.mesh import call, connected, printable, told
from services.common.errors import InvalidArgument, NotFound
from services.common.event_json import time_to_json
from usher.ingest.v1 import keys_pb2, keys_pb2_grpc

RIGHTS = {
    "submit": keys_pb2.KEY_RIGHT_SUBMIT,
    "decide": keys_pb2.KEY_RIGHT_DECIDE,
    "read": keys_pb2.KEY_RIGHT_READ,
}
_NAMES = {number: name for name, number in RIGHTS.items()}
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_SPAN = re.compile(r"([0-9]{1,6})([smhd])")
_TIMEOUT = 10.0


def create(
    target: str,
    tenant: str,
    name: str,
    rights: Sequence[str],
    rate: int,
    expires_in: str,
    actor: str,
    as_json: bool,
) -> int:
    """Makes a key and shows it; returns the exit status. Raises UnusableError, as all of these do."""
    request = keys_pb2.CreateKeyRequest(
        tenant=tenant, name=name, rights=_rights(rights), requests_per_minute=rate, actor=_actor(actor)
    )
    if expires_in:
        request.lifetime.CopyFrom(span(expires_in, "--expires-in"))
    answer = _ask(target, lambda stub: stub.CreateKey, request)
    _show_new(answer.key, answer.secret, as_json)
    return EXIT_OK


def list_keys(target: str, tenant: str, as_json: bool) -> int:
    """Lists keys."""
    answer = _ask(target, lambda stub: stub.ListKeys, keys_pb2.ListKeysRequest(tenant=tenant))
    if as_json:
        for key in answer.keys:
            _write(_to_json(key))
    else:
        _table(answer.keys)
    return EXIT_OK


def rotate(target: str, key_id: str, overlap: str, actor: str, as_json: bool) -> int:
    """Makes the successor of a key and shows it."""
    request = keys_pb2.RotateKeyRequest(
        key_id=key_id, overlap=span(overlap, "--overlap"), actor=_actor(actor)
    )
    answer = _ask(target, lambda stub: stub.RotateKey, request)
    _show_new(answer.key, answer.secret, as_json)
    say(f"{answer.old_key.key_id} ends at {time_to_json(answer.old_key.expire_time)}")
    return EXIT_OK


def revoke(target: str, key_id: str, as_json: bool) -> int:
    """Ends a key."""
    answer = _ask(target, lambda stub: stub.RevokeKey, keys_pb2.RevokeKeyRequest(key_id=key_id))
    if as_json:
        _write(_to_json(answer.key))
    say(f"{answer.key.key_id} ({printable(answer.key.name)}) is revoked, everywhere within 5 s")
    return EXIT_OK


def dev_key(file: Path, target: str, tenant: str) -> str:
    """The key in a file, where it holds; else a new one with every right, written there."""
    known = {
        key.key_id
        for key in _ask(target, lambda stub: stub.ListKeys, keys_pb2.ListKeysRequest(tenant=tenant)).keys
        if not key.HasField("revoke_time") and not key.HasField("expire_time")
    }
    if file.exists():
        text = file.read_text(encoding="ascii", errors="replace").strip()
        if text.removeprefix("usk_").partition("_")[0] in known:
            return text
    request = keys_pb2.CreateKeyRequest(tenant=tenant, name="dev", actor="usher up")
    secret: str = _ask(target, lambda stub: stub.CreateKey, request).secret
    write_private(file, secret)
    return secret


def span(text: str, option: str) -> Duration:
    """Reads `90d`. Raises UnusableError."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise UnusableError(f"{option} is a number and s, m, h or d, such as 90d, not {printable(text)}")
    return Duration(seconds=int(match[1]) * _SECONDS[match[2]])


def _ask(target: str, method: Callable[[Any], Any], request: Any) -> Any:
    with connected(target) as channel:
        try:
            return call(target, method(keys_pb2_grpc.KeyServiceStub(channel)), request, _TIMEOUT)
        except (InvalidArgument, NotFound) as error:
            raise UnusableError(told(error)) from None


def _rights(names: Sequence[str]) -> list[Any]:
    unknown = [name for name in names if name not in RIGHTS]
    if unknown:
        raise UnusableError(f"no right is called {printable(unknown[0])}; there are {', '.join(RIGHTS)}")
    return [RIGHTS[name] for name in names]


def _actor(given: str) -> str:
    try:
        return given or getpass.getuser()
    except (KeyError, OSError):
        raise UnusableError("say with --actor who does it: this user has no name") from None


def _show_new(key: keys_pb2.Key, secret: str, as_json: bool) -> None:
    if as_json:
        _write({**_to_json(key), "key": secret})
    else:
        print(secret)
    rights = ", ".join(_NAMES.get(right, str(right)) for right in key.rights)
    say(f"key {key.key_id} for {printable(key.name)}: tenant {key.tenant}; {rights}. It is not shown again.")


def _to_json(key: keys_pb2.Key) -> dict[str, Any]:
    def time(name: str) -> str | None:
        return time_to_json(getattr(key, name)) if key.HasField(name) else None  # type: ignore[arg-type]

    return {
        "key_id": key.key_id,
        "tenant": key.tenant,
        "name": key.name,
        "rights": [_NAMES.get(right, str(right)) for right in key.rights],
        "requests_per_minute": key.requests_per_minute or None,
        "created_at": time("create_time"),
        "created_by": key.actor,
        "expires_at": time("expire_time"),
        "revoked_at": time("revoke_time"),
        "last_used_at": time("last_used_time"),
        "rotated_from": key.rotated_from or None,
    }


def _table(keys: Sequence[keys_pb2.Key]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("key", "tenant", "name", "rights", "made", "last used", "ends"):
        table.add_column(title, no_wrap=True)
    for key in keys:
        shown = _to_json(key)
        ends = f"revoked {shown['revoked_at']}" if shown["revoked_at"] else shown["expires_at"] or "never"
        table.add_row(
            key.key_id,
            key.tenant,
            printable(key.name),
            ",".join(shown["rights"]),
            shown["created_at"],
            shown["last_used_at"] or "never",
            ends,
        )
    Console(width=200 if not sys.stdout.isatty() else None, highlight=False, markup=False).print(table)


def _write(shown: dict[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(shown, option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()
