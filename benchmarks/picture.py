"""Draws the curve of `scale` as an SVG that reads well on light and on dark pages. Pure: rows in, text out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

import attrs

WIDTH, HEIGHT = 800, 340
TOP, BOTTOM = 84, 268
"""Between these heights the curves run."""
STYLE = """
    :root {
      --page: #ffffff; --edge: #d1d9e0; --grid: #e7ebef; --text: #1f2328; --dim: #59636e; --one: #0969da;
      --two: #bc4c00;
    }
    @media (prefers-color-scheme: dark) {
      :root {
        --page: #0d1117; --edge: #30363d; --grid: #21262d; --text: #e6edf3; --dim: #9198a1; --one: #58a6ff;
        --two: #f0883e;
      }
    }
    text { font: 12px system-ui, -apple-system, "Segoe UI", "Liberation Sans", Arial, sans-serif; fill: var(--dim) }
    .title { font-size: 15px; font-weight: 600; fill: var(--text) }
    .value { font-weight: 600; fill: var(--text) }
    .right { text-anchor: end }
    .mid { text-anchor: middle }
    .page { fill: var(--page); stroke: var(--edge) }
    .grid { stroke: var(--grid) }
    .axis { stroke: var(--edge) }
    .bound { stroke: var(--dim); stroke-dasharray: 5 4 }
    .line { fill: none; stroke-width: 2.5; stroke-linejoin: round; stroke-linecap: round }
    .area { stroke: none; opacity: 0.1 }
    .dot { stroke: var(--page); stroke-width: 2 }
    .one .line { stroke: var(--one) } .one .area, .one .dot { fill: var(--one) }
    .two .line { stroke: var(--two) } .two .area, .two .dot { fill: var(--two) }
"""


@attrs.frozen
class Panel:
    """One of the two curves.

    Attributes:
        kind: The class that colours it.
        title: Over it, with the unit.
        note: Under the title.
        left: Where its axis stands; it is as wide as `right` leaves it.
        sizes: The smallest and the largest batch.
        values: What is drawn, by the number of items.
        form: How a value is written.
        bound: A value that a benchmark doesn't let it pass; None: there is none.
    """

    kind: str
    title: str
    note: str
    left: float
    right: float
    sizes: tuple[int, int]
    values: Mapping[int, float]
    form: str
    bound: tuple[float, str] | None = None

    def step(self) -> float:
        """From one grid line to the next: 1, 2 or 5 times a power of ten, so that there are at most five."""
        most = max(*self.values.values(), self.bound[0] if self.bound else 0.0) or 1.0
        power = 10.0 ** math.floor(math.log10(most / 5))
        return next(power * times for times in (1, 2, 5, 10) if most / (power * times) <= 5)

    def top(self) -> float:
        """The value at the upper end."""
        most = max(*self.values.values(), self.bound[0] if self.bound else 0.0)
        return self.step() * max(1, math.ceil(most / self.step() - 1e-9))

    def x(self, items: float) -> float:
        """Where a batch of so many items stands."""
        low, high = map(math.log10, self.sizes)
        return self.left + (math.log10(items) - low) / ((high - low) or 1.0) * (self.right - self.left)

    def y(self, value: float) -> float:
        """Where a value stands."""
        return BOTTOM - value / self.top() * (BOTTOM - TOP)


def scale(rows: Sequence[Mapping[str, Any]]) -> str:
    """The picture of what an item costs, by the size of its batch."""
    by_items = {int(row["items"]): row for row in rows}
    sizes = min(by_items), max(by_items)
    # A few items find room in the pages that the process holds already: that says nothing of what they cost.
    memory = {items: row["bytes an item"] / 1024 for items, row in by_items.items() if row["bytes an item"] > 0}
    cpu = {items: float(row["CPU ms an item"]) for items, row in by_items.items()}
    panels = (
        Panel("one", "Memory an item, KiB", "peak over an idle client", 52, 372, sizes, memory, "{:.1f}", (4, "bound")),
        Panel("two", "CPU an item, ms", "all of the client's process", 448, 768, sizes, cpu, "{:.2f}"),
    )
    told = "; ".join(
        f"{panel.title} from {panel.form.format(panel.values[min(panel.values)])} with {min(panel.values):,} items "
        f"to {panel.form.format(panel.values[max(panel.values)])} with {max(panel.values):,}"
        for panel in panels
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"',
            '  role="img" aria-labelledby="title">',
            f'  <title id="title">{escape(told)}</title>',
            f"  <style>{STYLE}  </style>",
            f'  <rect class="page" x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="8"/>',
            *(line for panel in panels for line in _panel(panel)),
            "</svg>\n",
        ]
    )


def _panel(panel: Panel) -> list[str]:
    points = [(panel.x(items), panel.y(value)) for items, value in sorted(panel.values.items())]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    corners = f"{points[0][0]:.1f},{BOTTOM} {path} {points[-1][0]:.1f},{BOTTOM}"
    return [
        f'  <g class="{panel.kind}">',
        f'    <text class="title" x="{panel.left:.0f}" y="34">{escape(panel.title)}</text>',
        f'    <text x="{panel.left:.0f}" y="54">{escape(panel.note)}</text>',
        *_axes(panel),
        f'    <polygon class="area" points="{corners}"/>',
        *_bound(panel),
        f'    <polyline class="line" points="{path}"/>',
        *(f'    <circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>' for x, y in points),
        *_ends(panel),
        "  </g>",
    ]


def _axes(panel: Panel) -> list[str]:
    drawn = []
    step = panel.step()
    for number in range(round(panel.top() / step) + 1):
        y = panel.y(number * step)
        kind = "grid" if number else "axis"
        drawn.append(f'    <path class="{kind}" d="M{panel.left:.1f} {y:.1f}H{panel.right:.1f}"/>')
        drawn.append(f'    <text class="right" x="{panel.left - 10:.1f}" y="{y + 4:.1f}">{number * step:g}</text>')
    low, high = math.ceil(math.log10(panel.sizes[0])), math.floor(math.log10(panel.sizes[1]))
    for power in range(low, high + 1):
        x = panel.x(10**power)
        drawn.append(f'    <path class="axis" d="M{x:.1f} {BOTTOM}v5"/>')
        drawn.append(f'    <text class="mid" x="{x:.1f}" y="{BOTTOM + 21}">{10**power:,}</text>')
    middle = (panel.left + panel.right) / 2
    drawn.append(f'    <text class="mid" x="{middle:.1f}" y="{BOTTOM + 47}">items in the batch (log scale)</text>')
    return drawn


def _bound(panel: Panel) -> list[str]:
    if panel.bound is None:
        return []
    value, words = panel.bound
    y = panel.y(value)
    return [
        f'    <path class="bound" d="M{panel.left:.1f} {y:.1f}H{panel.right:.1f}"/>',
        f'    <text class="right" x="{panel.right:.1f}" y="{y - 6:.1f}">{escape(words)}</text>',
    ]


def _ends(panel: Panel) -> list[str]:
    """The first and the last value, in figures."""
    drawn = []
    for items, side, shift in ((min(panel.values), "left", 8.0), (max(panel.values), "right", 4.0)):
        x, y = panel.x(items) + shift, panel.y(panel.values[items])
        text = panel.form.format(panel.values[items])
        drawn.append(f'    <text class="value {side}" x="{x:.1f}" y="{y - 12:.1f}">{text}</text>')
    return drawn
