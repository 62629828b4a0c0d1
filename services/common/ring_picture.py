"""A ring's neighbourhood as a picture, SVG or PNG: accounts on a circle, what they share inside, thicker where it weighs
more.

Pure: the same neighbourhood gives the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from html import escape
from math import cos, pi, sin
from typing import NamedTuple

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
_NAMED = 80
"""With more accounts than this their names are left out."""
_LONGEST = 40
_DARK = "#333333"


class _Line(NamedTuple):
    x1: float
    y1: float
    x2: float
    y2: float
    colour: str
    width: float


class _Box(NamedTuple):
    x: float
    y: float
    colour: str
    told: str
    """Shown when the pointer rests on it, where pictures can."""


class _Dot(NamedTuple):
    x: float
    y: float
    filled: bool


class _Text(NamedTuple):
    x: float
    y: float
    text: str
    size: int = 12
    leftwards: bool = False


_Shape = _Line | _Box | _Dot | _Text


def title_of(ring: fraud_pb2.Ring) -> str:
    """What stands above a ring's picture."""
    return f"{ring.ring_id}: {ring.member_count} accounts, score {ring.score:.2f}"


def svg(graph: fraud_pb2.Neighbourhood, members: frozenset[str], title: str) -> str:
    """The picture as SVG; members of the ring are filled."""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_SIZE} {_SIZE}" font-family="sans-serif" '
        f'role="img"><title>{escape(title)}</title>',
        f'<rect width="{_SIZE}" height="{_SIZE}" fill="white"/>',
    ]
    for shape in _shapes(graph, members, title):
        match shape:
            case _Line(x1, y1, x2, y2, colour, width):
                lines.append(
                    f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
                    f'stroke-opacity="0.6" stroke-width="{width:.2f}"/>'
                )
            case _Box(x, y, colour, told):
                hint = f"<title>{escape(told)}</title>" if told else ""
                lines.append(
                    f'<rect x="{x - 6:.1f}" y="{y - 6:.1f}" width="12" height="12" fill="{colour}">{hint}</rect>'
                )
            case _Dot(x, y, filled):
                fill = _DARK if filled else "white"
                lines.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="7" fill="{fill}" stroke="{_DARK}"/>')
            case _Text(x, y, text, size, leftwards):
                anchor = "end" if leftwards else "start"
                lines.append(
                    f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}">{escape(text)}</text>'
                )
    return "\n".join([*lines, "</svg>"]) + "\n"


def png(graph: fraud_pb2.Neighbourhood, members: frozenset[str], title: str) -> bytes:
    """The same picture as PNG, 1,800 pixels wide."""
    # Only who wants one pays for the library.
    from PIL import Image, ImageDraw, ImageFont

    scale = 2
    image = Image.new("RGB", (_SIZE * scale, _SIZE * scale), "white")
    pen = ImageDraw.Draw(image, "RGBA")
    for shape in _shapes(graph, members, title):
        x, y = shape[0] * scale, shape[1] * scale
        match shape:
            case _Line(_, _, x2, y2, colour, width):
                stroke = colour + "99"
                pen.line((x, y, x2 * scale, y2 * scale), fill=stroke, width=max(1, round(width * scale)))
            case _Box(_, _, colour, _):
                pen.rectangle((x - 6 * scale, y - 6 * scale, x + 6 * scale, y + 6 * scale), fill=colour)
            case _Dot(_, _, filled):
                pen.ellipse(
                    (x - 7 * scale, y - 7 * scale, x + 7 * scale, y + 7 * scale),
                    fill=_DARK if filled else "white",
                    outline=_DARK,
                    width=scale,
                )
            case _Text(_, _, text, size, leftwards):
                font = ImageFont.load_default(size * scale)
                pen.text((x, y), text, fill="black", font=font, anchor="rs" if leftwards else "ls")
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def _shapes(graph: fraud_pb2.Neighbourhood, members: frozenset[str], title: str) -> Sequence[_Shape]:
    middle, outer, inner = _SIZE / 2, _SIZE * 0.38, _SIZE * 0.2
    accounts = [_on_circle(i, len(graph.accounts), middle, outer) for i in range(len(graph.accounts))]
    resources = [_on_circle(i, len(graph.resources), middle, inner) for i in range(len(graph.resources))]
    shapes: list[_Shape] = [_Text(20, 28, title, 16)]
    for edge in graph.edges:
        resource = graph.resources[edge.resource]
        shapes.append(
            _Line(
                *accounts[edge.account],
                *resources[edge.resource],
                _COLOURS[resource.kind],
                0.5 + 3 * resource.weight,
            )
        )
    for (x, y), resource in zip(resources, graph.resources, strict=True):
        told = f"{_NAMES[resource.kind]} {resource.fingerprint}: {resource.accounts} accounts"
        shapes.append(_Box(x, y, _COLOURS[resource.kind], told))
    for (x, y), account in zip(accounts, graph.accounts, strict=True):
        shapes.append(_Dot(x, y, account in members))
        if len(graph.accounts) <= _NAMED:
            leftwards = x < middle
            name = account if len(account) <= _LONGEST else account[: _LONGEST - 1] + "…"
            shapes.append(_Text(x - 12 if leftwards else x + 12, y + 4, name, leftwards=leftwards))
    for row, (kind, colour) in enumerate(_COLOURS.items()):
        y = _SIZE - 24 - 18 * row
        shapes.append(_Box(26, y - 4, colour, ""))
        shapes.append(_Text(38, y, _NAMES[kind]))
    return shapes


def _on_circle(position: int, count: int, middle: float, radius: float) -> tuple[float, float]:
    if count == 1:
        return middle, middle - radius
    angle = 2 * pi * position / count - pi / 2
    return middle + radius * cos(angle), middle + radius * sin(angle)
