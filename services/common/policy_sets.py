"""Policy sets are loaded before anything is evaluated under them: at start, and by PolicySetService when one is to be put
in force.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from services.common.errors import UsherError
from services.common.policy import newest_policy_set
from services.common.server import Service
from services.common.telemetry import Telemetry
from usher.policy.v1 import policy_pb2, policy_pb2_grpc

NAME = "usher.policy.v1.PolicySetService"
LOAD = f"/{NAME}/LoadPolicySet"


async def warm_up(load: Callable[[str], Awaitable[object]], directory: Path, telemetry: Telemetry) -> None:
    """Loads the newest set before the process serves, so that the first batch after a restart does not wait for it.

    A set that cannot be loaded keeps no process from starting: whoever asks for it is told why.
    """
    newest = newest_policy_set(directory)
    if newest is None:
        return
    try:
        await load(newest)
    except UsherError as error:
        telemetry.logger("policy").warning(
            "the newest policy set cannot be loaded", extra={"policy_set": newest, "reason": error.reason}
        )


def policy_set_service(load: Callable[[str], Awaitable[object]]) -> Service:
    """The service of a process that gets its engines from `load`, which raises the typed errors of the contract."""
    return Service(policy_pb2_grpc.add_PolicySetServiceServicer_to_server, PolicySetServicer(load), NAME)


class PolicySetServicer(policy_pb2_grpc.PolicySetServiceServicer):
    """Serves usher.policy.v1.PolicySetService."""

    def __init__(self, load: Callable[[str], Awaitable[object]]) -> None:
        self._load = load

    async def LoadPolicySet(
        self, request: policy_pb2.LoadPolicySetRequest, context: Any
    ) -> policy_pb2.LoadPolicySetResponse:
        await self._load(request.policy_set)
        return policy_pb2.LoadPolicySetResponse()
