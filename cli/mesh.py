"""One call to the mesh: a channel, and errors told as the commands tell them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import grpc

from cli.console import UnusableError
from services.common.client import grpc_target
from services.common.errors import UsherError, from_rpc_error
from services.common.transport import MAX_MESSAGE_BYTES, message_and_keepalive_options

T = TypeVar("T")


def checked_target(target: str) -> str:
    """Returns the target as gRPC reads it. Raises UnusableError where it is none."""
    try:
        return grpc_target(target)
    except ValueError as error:
        raise UnusableError(str(error)) from None


def channel_options() -> list[tuple[str, int | str]]:
    """Options of a channel to the mesh."""
    return [
        *message_and_keepalive_options(MAX_MESSAGE_BYTES),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
    ]


@contextmanager
def connected(target: str) -> Iterator[grpc.Channel]:
    """A blocking channel to an address of the mesh."""
    with grpc.insecure_channel(checked_target(target), options=channel_options()) as channel:
        yield channel


def call(target: str, method: Callable[..., T], request: Any, timeout: float) -> T:
    """Calls a method of a stub. Raises the mesh's own typed error for an answer that says what is wrong with
    the question (not found, invalid), UnusableError for everything else.
    """
    try:
        return method(request, timeout=timeout)
    except grpc.RpcError as failure:
        error = from_rpc_error(failure)
        if error.code in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT):
            raise error from None
        if error.code is grpc.StatusCode.UNAVAILABLE:
            raise UnusableError(f"{target}: {error}; `usher up` starts a mesh") from None
        raise UnusableError(f"{target}: {error}") from None


def printable(text: str) -> str:
    """Text of others as a terminal may show it: control characters become question marks."""
    return "".join(character if character.isprintable() else "?" for character in text)


def told(error: UsherError) -> str:
    """An error in one line: its message and its reason."""
    return f"{error.message} ({error.reason})"
