"""`usher mode`: whether a tenant's answers bind. `usher mode observe` is the kill switch."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from cli.console import EXIT_OK, UnusableError, say
from cli.mesh import call, connected, printable, told
from services.common.errors import InvalidArgument, NotFound
from services.common.event_json import time_to_json
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.ingest.v1 import ingest_pb2, ingest_pb2_grpc

UNKNOWN_TYPES = "unknown"
"""Name of the class of event types that the mesh does not know."""

_MODES = {"observe": decision_pb2.MODE_OBSERVE, "enforce": decision_pb2.MODE_ENFORCE}
_MODE_NAMES = {number: name for name, number in _MODES.items()}
_MEANINGS = {
    "observe": "answers are ALLOW and bind nobody; `would_be` tells what enforcement would say",
    "enforce": "answers bind: REVIEW and BLOCK are to be obeyed",
}


def class_name(event_class: int) -> str:
    """Returns "playback", "login", ...; "unknown" for event types that the mesh does not know."""
    if not event_class:
        return UNKNOWN_TYPES
    if event_class not in event_pb2.EventClass.values():
        return str(event_class)
    name = event_pb2.EventClass.Name(event_class)  # type: ignore[arg-type]
    return name.removeprefix("EVENT_CLASS_").lower()


CLASSES = {class_name(number): number for number in event_pb2.EventClass.values() if number}
"""Classes that have a mode of their own to set, by name."""


def mode(
    wanted: str | None,
    classes: Sequence[str],
    *,
    target: str,
    tenant: str,
    actor: str,
    as_json: bool,
    timeout: float = 10.0,
) -> int:
    """Shows the modes of a tenant, after setting them where `wanted` says so; returns the exit status.

    Raises UnusableError where the mesh cannot be asked, or refuses.
    """
    numbers = _numbers(classes)
    if wanted is not None and wanted not in _MODES:
        raise UnusableError(f"{printable(wanted)} is no mode: observe or enforce")
    if wanted is None and classes:
        raise UnusableError("--class goes with a mode to set: observe or enforce")
    actor = actor or user_name()
    with connected(target) as channel:
        stub = ingest_pb2_grpc.IngestServiceStub(channel)

        def ask(method: Callable[..., Any], request: Any) -> Any:
            try:
                return call(target, method, request, timeout)
            except (InvalidArgument, NotFound) as error:
                raise UnusableError(told(error)) from None

        if wanted is not None:
            for number in numbers or [0]:
                ask(
                    stub.SetMode,
                    ingest_pb2.SetModeRequest(
                        tenant=tenant,
                        event_class=number,  # type: ignore[arg-type]
                        mode=_MODES[wanted],
                        actor=actor,
                    ),
                )
            what = ", ".join(classes) if classes else "all classes"
            say(f"{tenant}: {what} {wanted} from now on, everywhere within 5 s; set by {printable(actor)}")
            say(f"{wanted}: {_MEANINGS[wanted]}")
        answer = ask(stub.GetMode, ingest_pb2.GetModeRequest(tenant=tenant))
    if as_json:
        shown = {"tenant": tenant, "classes": [_to_json(one) for one in answer.classes]}
        sys.stdout.buffer.write(orjson.dumps(shown, option=orjson.OPT_APPEND_NEWLINE))
        return EXIT_OK
    for one in answer.classes:
        by = (
            f"  {printable(one.actor)}, {time_to_json(one.set_time)}"
            if one.HasField("set_time")
            else "  default"
        )
        print(f"{class_name(one.event_class):<12}{_MODE_NAMES.get(one.mode, 'unspecified'):<9}{by}")
    return EXIT_OK


def _to_json(one: ingest_pb2.ClassMode) -> dict[str, Any]:
    return {
        "event_class": class_name(one.event_class),
        "mode": _MODE_NAMES.get(one.mode, "unspecified"),
        "actor": one.actor or None,
        "set_at": time_to_json(one.set_time) if one.HasField("set_time") else None,
    }


def _numbers(classes: Sequence[str]) -> list[int]:
    unknown = [name for name in classes if name not in CLASSES]
    if unknown:
        raise UnusableError(f"no class is called {printable(unknown[0])}; there are {', '.join(CLASSES)}")
    return [CLASSES[name] for name in classes]


def user_name() -> str:
    """The name of the user who runs the command. Raises UnusableError where it has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise UnusableError("say with --actor who sets it: this user has no name") from None
