"""A neighbourhood as SVG: accounts on a circle, what they share inside, thicker where it weighs more. Pure."""

from __future__ import annotations

from html import escape
from math import cos, pi, sin

from usher.fraud.v1 import fraud_pb2

_COLOURS = {
    fraud_pb2.RESOURCE_KIND_DEVICE: "#b3261e",
    fraud_pb2.RESOURCE_KIND_PAYMENT: "#8e24aa",
    fraud_pb2.RESOURCE_KIND_ADDRESS: "#1565c0",
    fraud_pb2.RESOURCE_KIND_EMAIL_DOMAIN: "#2e7d32",
    fraud_pb2.RESOURCE_KIND_SIGNUP_ADDRESS: "#00838f",
}
_NAMES = {
    fraud_pb2.RESOURCE_KIND_DEVICE: "device",
    fraud_pb2.RESOURCE_KIND_PAYMENT: "payment",
    fraud_pb2.RESOURCE_KIND_ADDRESS: "address",
    fraud_pb2.RESOURCE_KIND_EMAIL_DOMAIN: "e-mail domain",
    fraud_pb2.RESOURCE_KIND_SIGNUP_ADDRESS: "sign-up address",
}
_SIZE = 900


def draw(graph: fraud_pb2.Neighbourhood, members: frozenset[str], title: str) -> str:
    """The picture; members of the ring are filled."""
    middle, outer, inner = _SIZE / 2, _SIZE * 0.38, _SIZE * 0.2
    accounts = [_on_circle(i, len(graph.accounts), middle, outer) for i in range(len(graph.accounts))]
    resources = [_on_circle(i, len(graph.resources), middle, inner) for i in range(len(graph.resources))]
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_SIZE} {_SIZE}" font-family="sans-serif" '
        f'font-size="12" role="img"><title>{escape(title)}</title>',
        f'<rect width="{_SIZE}" height="{_SIZE}" fill="white"/>',
        f'<text x="20" y="28" font-size="16">{escape(title)}</text>',
    ]
    for edge in graph.edges:
        (x1, y1), (x2, y2) = accounts[edge.account], resources[edge.resource]
        resource = graph.resources[edge.resource]
        lines.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{_COLOURS[resource.kind]}" '
            f'stroke-opacity="0.6" stroke-width="{0.5 + 3 * resource.weight:.2f}"/>'
        )
    for (x, y), resource in zip(resources, graph.resources, strict=True):
        text = f"{_NAMES[resource.kind]} {resource.fingerprint}: {resource.accounts} accounts"
        lines.append(
            f'<rect x="{x - 6:.1f}" y="{y - 6:.1f}" width="12" height="12" fill="{_COLOURS[resource.kind]}">'
            f"<title>{escape(text)}</title></rect>"
        )
    for (x, y), account in zip(accounts, graph.accounts, strict=True):
        fill = "#333333" if account in members else "white"
        anchor = "start" if x >= middle else "end"
        lines.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="7" fill="{fill}" stroke="#333333"/>')
        if len(graph.accounts) <= 80:
            shift = 12 if anchor == "start" else -12
            lines.append(
                f'<text x="{x + shift:.1f}" y="{y + 4:.1f}" text-anchor="{anchor}">{escape(account)}</text>'
            )
    for row, (kind, colour) in enumerate(_COLOURS.items()):
        y = _SIZE - 24 - 18 * row
        lines.append(f'<rect x="20" y="{y - 10}" width="12" height="12" fill="{colour}"/>')
        lines.append(f'<text x="38" y="{y}">{_NAMES[kind]}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def _on_circle(position: int, count: int, middle: float, radius: float) -> tuple[float, float]:
    if count == 1:
        return middle, middle - radius
    angle = 2 * pi * position / count - pi / 2
    return middle + radius * cos(angle), middle + radius * sin(angle)
