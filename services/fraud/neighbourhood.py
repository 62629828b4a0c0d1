"""A component as the message that people and pictures read. Pure."""

from __future__ import annotations

from collections.abc import Callable

from services.fraud.memory import ADDRESS, DEVICE, DOMAIN, PAYMENT, SIGNUP, Component
from services.fraud.parameters import RingParameters
from services.fraud.rings import rarity, weight
from usher.fraud.v1 import fraud_pb2

KINDS = {
    DEVICE: fraud_pb2.RESOURCE_KIND_DEVICE,
    PAYMENT: fraud_pb2.RESOURCE_KIND_PAYMENT,
    ADDRESS: fraud_pb2.RESOURCE_KIND_ADDRESS,
    DOMAIN: fraud_pb2.RESOURCE_KIND_EMAIL_DOMAIN,
    SIGNUP: fraud_pb2.RESOURCE_KIND_SIGNUP_ADDRESS,
}


def neighbourhood(
    component: Component, parameters: RingParameters, fingerprint: Callable[[str, str], str]
) -> fraud_pb2.Neighbourhood:
    """Accounts, resources that two or more of them use, and the edges between them."""
    accounts = sorted(component.accounts)
    position = {account: number for number, account in enumerate(accounts)}
    newest = max((edge.last_ms for tie in component.resources for edge in tie.edges), default=0)
    message = fraud_pb2.Neighbourhood(accounts=accounts)
    for tie in component.resources:
        if len(tie.edges) < 2:
            continue
        number = len(message.resources)
        total = max(tie.total, len(tie.edges))
        message.resources.add(
            kind=KINDS[tie.kind],
            fingerprint=fingerprint(tie.kind, tie.name),
            accounts=total,
            rarity=round(rarity(total), 4),
            weight=round(weight(tie, newest, parameters.half_life_days), 4),
        )
        for edge in tie.edges:
            drawn = message.edges.add(account=position[edge.account], resource=number)
            drawn.first_seen_time.FromMilliseconds(edge.first_ms)
            drawn.last_seen_time.FromMilliseconds(edge.last_ms)
    return message
