"""PolicySetService: has a service load a policy set before anything is evaluated under it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from services.common.server import Service
from usher.policy.v1 import policy_pb2, policy_pb2_grpc

NAME = "usher.policy.v1.PolicySetService"
LOAD = f"/{NAME}/LoadPolicySet"


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
