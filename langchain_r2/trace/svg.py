"""A picture as SVG that shows well on light and dark pages; nothing in it is loaded from elsewhere."""

from collections.abc import Iterator
from html import escape
from itertools import pairwise
from typing import Final

from langchain_r2.trace.picture import Box, Frame, Line, Picture

_STYLE: Final = """
svg { --ink: #1c2430; --muted: #5c6878; --line: #7c8796; --box: #ffffff; --frame: #f3f5f7; --edge: #c9ced6;
  --upward: #c62828; --upward-fill: #fde7e7; --downward: #2e7d32; --downward-fill: #e4f3e5;
  --replan: #8e24aa; --replan-fill: #f4e5f7; --plain: #5c6878; --plain-fill: #ffffff; background: #ffffff; }
@media (prefers-color-scheme: dark) { svg { --ink: #e7ebf0; --muted: #9aa6b5; --line: #8a95a3; --box: #1a1f26;
  --frame: #171b21; --edge: #39424e; --upward: #ff8a80; --upward-fill: #3a1d1f; --downward: #81c784;
  --downward-fill: #1b3120; --replan: #d49be6; --replan-fill: #33203a; --plain: #8a95a3; --plain-fill: #1f252d;
  background: #12151a; } }
text { font: 13px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: var(--ink); text-anchor: middle; }
.note, .label, .title { font-size: 11px; fill: var(--muted); }
.label { paint-order: stroke; stroke: var(--frame); stroke-width: 5px; }
.title { text-anchor: start; font-weight: 600; }
.frame { fill: var(--frame); stroke: var(--edge); }
.line { fill: none; stroke-width: 1.6; }
"""


def to_svg(picture: Picture) -> str:
    """Draw a picture."""
    width, height = f"{picture.width:.0f}", f"{picture.height:.0f}"
    colours = "".join(
        f".{m} rect, .{m} circle {{ fill: var(--{m}-fill); stroke: var(--{m}); stroke-width: 1.4 }} "
        f".line.{m} {{ stroke: var(--{m}) }} .tip.{m} {{ fill: var(--{m}) }}\n"
        for m in ("plain", "upward", "downward", "replan")
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"',
        'role="img" aria-label="The router graph">',
        f"<style>{_STYLE}{colours}</style>",
        *(_frame(frame) for frame in picture.frames),
        *(text for line in picture.lines for text in _line(line)),
        *(_box(box) for box in picture.boxes),
        *(_label(line) for line in picture.lines if line.label),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _frame(frame: Frame) -> str:
    x, y, w, h = (f"{v:.1f}" for v in frame[1:])
    title = f'<text class="title" x="{frame.x + 10:.1f}" y="{frame.y + 18:.1f}">{escape(frame.label)}</text>'
    return f'<rect class="frame" x="{x}" y="{y}" width="{w}" height="{h}" rx="10"/>{title}'


def _box(box: Box) -> str:
    if not box.label:
        return f'<g class="{box.meaning}"><circle cx="{box.x:.1f}" cy="{box.y:.1f}" r="{box.width / 2:.1f}"/></g>'
    x, y = box.x - box.width / 2, box.y - box.height / 2
    texts = f'<text x="{box.x:.1f}" y="{box.y + (-1 if box.note else 4.5):.1f}">{escape(box.label)}</text>'
    if box.note:
        texts += f'<text class="note" x="{box.x:.1f}" y="{box.y + 14:.1f}">{escape(box.note)}</text>'
    frame = f'<rect x="{x:.1f}" y="{y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="7"/>'
    return f'<g class="{box.meaning}">{frame}{texts}</g>'


def _line(line: Line) -> Iterator[str]:
    dash = ' stroke-dasharray="5 4"' if line.conditional else ""
    yield f'<path class="line {line.meaning}"{dash} d="{path(line.points)}"/>'
    (x, y), down = line.points[-1], line.points[-1][1] > line.points[-2][1]
    tip = -8 if down else 8
    yield f'<path class="tip {line.meaning}" d="M{x:.1f} {y:.1f}l-4 {tip}h8z"/>'


def _label(line: Line) -> str:
    x, y = label_place(line)
    return f'<text class="label" x="{x:.1f}" y="{y:.1f}">{escape(line.label)}</text>'


def label_place(line: Line) -> tuple[float, float]:
    """Where a line's label stands: at its first bend, or in the middle."""
    if len(line.points) > 2:
        return line.points[1]
    (x, y), (x2, y2) = line.points
    return (x + x2) / 2, (y + y2) / 2 + 4


def path(points: list[tuple[float, float]]) -> str:
    """A smooth line from top to bottom, or back."""
    text = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (a, b), (x, y) in pairwise(points):
        middle = (b + y) / 2
        text += f"C{a:.1f} {middle:.1f} {x:.1f} {middle:.1f} {x:.1f} {y:.1f}"
    return text
