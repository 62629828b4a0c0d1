"""Calls of `usher fraud` to the mesh, and how their answers are shown."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
from google.protobuf import json_format

from cli.console import EXIT_OK, UnusableError, say
from cli.mesh import call, connected, printable, told
from cli.mode import user_name
from services.common import ring_picture
from services.common.errors import InvalidArgument, NotFound
from usher.fraud.v1 import fraud_pb2, fraud_pb2_grpc

_TIMEOUT = 30.0
_PAGE = 200
_STATUS = {
    fraud_pb2.RING_STATUS_OPEN: "open",
    fraud_pb2.RING_STATUS_CONFIRMED: "confirmed",
    fraud_pb2.RING_STATUS_DISMISSED: "dismissed",
}


def show(target: str, tenant: str, ring_id: str, pictures: Sequence[Path], as_json: bool) -> int:
    """The card of a ring; its picture into the files that are named, PNG by their ending and else SVG."""
    request = fraud_pb2.GetRingRequest(tenant=tenant, ring_id=ring_id)
    answer = _ask(target, lambda stub: stub.GetRing, request)
    drawn = (answer.neighbourhood, frozenset(answer.ring.members), ring_picture.title_of(answer.ring))
    for path in pictures:
        content = ring_picture.png(*drawn) if path.suffix == ".png" else ring_picture.svg(*drawn).encode()
        try:
            path.write_bytes(content)
        except OSError as error:
            raise UnusableError(f"cannot write {path}: {error.strerror}") from None
        say(f"drawn: {path}")
    if as_json:
        _print_json(answer)
    else:
        _print_card(answer.ring)
    return EXIT_OK


def describe(target: str, tenant: str, address: str) -> int:
    """What the mesh has seen of an address."""
    _print_json(described(target, tenant, address, 0))
    return EXIT_OK


def described(target: str, tenant: str, address: str, flags: int) -> fraud_pb2.DescribeAddressResponse:
    """What the mesh has seen of an address of which network data say `flags` (bits of PlaceFlag)."""
    request = fraud_pb2.DescribeAddressRequest(tenant=tenant, ip_address=address, place_flags=flags)
    answer: fraud_pb2.DescribeAddressResponse = _ask(target, lambda stub: stub.DescribeAddress, request)
    return answer


def decide(target: str, tenant: str, ring_id: str, status: str, note: str) -> int:
    """Sets what analysts found of a ring: "open", "confirmed" or "dismissed"."""
    request = fraud_pb2.SetRingStatusRequest(
        tenant=tenant,
        ring_id=ring_id,
        status=next(number for number, name in _STATUS.items() if name == status),
        decided_by=user_name(),
        note=note,
    )
    ring = _ask(target, lambda stub: stub.SetRingStatus, request).ring
    say(f"{ring.ring_id}: {_STATUS[ring.status]}, {ring.member_count} accounts")
    return EXIT_OK


def _ask(target: str, method: Callable[[Any], Callable[..., Any]], request: Any) -> Any:
    with connected(target) as channel:
        try:
            return call(target, method(fraud_pb2_grpc.FraudServiceStub(channel)), request, _TIMEOUT)
        except (InvalidArgument, NotFound) as error:
            more = "; `usher fraud rings` lists those there are" if error.reason == "RING_UNKNOWN" else ""
            raise UnusableError(told(error) + more) from None


def sweep(*arguments: str) -> int:
    """Runs the sweep's own process; its output is ours."""
    root = Path(__file__).resolve().parent.parent
    paths = [str(root), str(root / "proto"), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    sys.stdout.flush()
    return subprocess.run(
        [sys.executable, "-m", "services.fraud.sweep", *arguments], env=env, check=False
    ).returncode


def listed(target: str, tenant: str, dismissed: bool, as_json: bool) -> int:
    """Rings of the mesh, most risky first."""
    status = fraud_pb2.RING_STATUS_DISMISSED if dismissed else fraud_pb2.RING_STATUS_UNSPECIFIED
    token = ""
    while True:
        request = fraud_pb2.ListRingsRequest(
            tenant=tenant,
            page_size=_PAGE,
            page_token=token,
            status=status,
        )
        answer = _ask(target, lambda stub: stub.ListRings, request)
        for ring in answer.rings:
            if as_json:
                _print_json(ring)
            else:
                innocent = ", ".join(ring.innocent_explanations)
                print(
                    f"{ring.ring_id}  {ring.score:.2f}  {ring.member_count:>4} accounts  "
                    f"{_STATUS.get(ring.status, '?'):<10}{innocent}"
                )
        token = answer.next_page_token
        if not token:
            return EXIT_OK


def _print_json(message: Any) -> None:
    tree = json_format.MessageToDict(message, preserving_proto_field_name=True)
    sys.stdout.buffer.write(orjson.dumps(tree, option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()


def _print_card(ring: fraud_pb2.Ring) -> None:
    print(f"{ring.ring_id}  {_STATUS.get(ring.status, '?')}{', flagged' if ring.flagged else ''}")
    print(f"score {ring.score:.3f}, confidence {ring.confidence:.2f}, {ring.member_count} accounts")
    if ring.note or ring.decided_by:
        print(f"decided by {printable(ring.decided_by)}: {printable(ring.note)}")
    print("members   " + ", ".join(map(printable, ring.members)))
    for shared in ring.shared:
        kind = fraud_pb2.ResourceKind.Name(shared.kind).removeprefix("RESOURCE_KIND_").lower()
        print(f"shares    {kind:<16}{shared.fingerprint}  {shared.accounts} members")
    for finding in ring.findings:
        print(f"{'for' if finding.points > 0 else 'against':<10}{finding.points:+.2f}  {finding.code}")
    print("innocent? " + (", ".join(ring.innocent_explanations) or "nothing speaks for it"))
