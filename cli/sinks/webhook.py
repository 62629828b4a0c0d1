"""A signed webhook as a sink: Standard Webhooks, as alerts' own (docs/webhooks.md)."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Sequence

import httpcore

from cli.sinks.encoding import Encoding
from cli.sinks.records import Record, body_of, joint_id
from cli.sinks.runner import NotTakenError, first_line
from services.common.outbound import AddressRefusedError, GuardedSender
from services.common.webhooks import signed_headers


class WebhookSink:
    """Calls a URL with some decisions at a time; a 2xx means that it has them.

    Args:
        keys: each signs, so that the receiver can change its secret in peace.
        per_call: decisions a call at most.
        in_flight: calls at once.
        timeout: seconds for one call.
    """

    def __init__(
        self,
        sender: GuardedSender,
        url: str,
        keys: Sequence[bytes],
        *,
        encoding: Encoding,
        per_call: int,
        in_flight: int,
        timeout: float,
    ) -> None:
        self._sender = sender
        self._url = url
        self._keys = keys
        self._encoding = encoding
        self._per_call = per_call
        self._in_flight = in_flight
        self._timeout = timeout

    async def deliver(self, records: Sequence[Record]) -> None:
        calls = [records[at : at + self._per_call] for at in range(0, len(records), self._per_call)]
        left = list(reversed(calls))
        rest: list[Record] = []
        failures: list[NotTakenError] = []

        async def worker() -> None:
            # After a failure no further call is begun: what is refused once is likely refused again.
            while left and not failures:
                call = left.pop()
                try:
                    await self._call(call)
                except NotTakenError as error:
                    failures.append(error)
                    rest.extend(call)

        await asyncio.gather(*(worker() for _ in range(min(self._in_flight, len(calls)))))
        if failures:
            rest += [one for call in left for one in call]
            rest.sort(key=lambda one: one.position)
            waits = [error.retry_after for error in failures if error.retry_after is not None]
            first = failures[0]
            raise NotTakenError(first.reason, str(first), rest=rest, retry_after=max(waits, default=None))

    async def _call(self, records: Sequence[Record]) -> None:
        body = body_of(records, self._encoding)
        headers = {
            "Content-Type": self._encoding.content_type,
            "User-Agent": "usher-sink",
            **signed_headers(self._keys, joint_id(records), int(time.time()), body),
        }
        try:
            answer = await self._sender.post(self._url, body, headers, self._timeout)
        except AddressRefusedError as error:
            raise NotTakenError("ADDRESS_REFUSED", f"the webhook is not called: {error}") from None
        except TimeoutError:
            raise NotTakenError("TIMEOUT", f"the webhook did not answer within {self._timeout:g} s") from None
        except (
            httpcore.NetworkError,
            httpcore.ProtocolError,
            httpcore.TimeoutException,
            ssl.SSLError,
        ) as error:
            text = f"the webhook cannot be reached: {first_line(error)}"
            raise NotTakenError("UNREACHABLE", text) from None
        if not 200 <= answer.status < 300:
            raise NotTakenError(
                f"HTTP_{answer.status}",
                f"the webhook answered {answer.status}",
                retry_after=answer.retry_after,
            )

    async def close(self) -> None:
        await self._sender.aclose()
