"""plot: curves as plain SVG that can be read on a light and on a dark page."""
import math
from collections.abc import Callable, Mapping, Sequence
from html import escape

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 640, 380
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 80, 50   # margins; at the top: a title, and each curve's name
COLOURS = ("#2f7fd0", "#d0662f", "#3a9a4a", "#9a5fc0")     # distinct on white and on black
STYLE = """<style>
  text { font: 12px sans-serif; fill: #333 } .title { font-size: 14px } line { stroke: #ccc }
  polyline { fill: none }
  @media (prefers-color-scheme: dark) { text { fill: #ddd } line { stroke: #555 } }
</style>"""


def short(value: float) -> str:
    """A number as the label of a tick."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def _steps(most: float) -> list[float]:
    """About five round ticks from 0 to `most` or above."""
    raw = max(most, 1e-9) / 5
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= raw)
    return [step * number for number in range(math.ceil(most / step - 1e-9) + 1)]


def _decades(least: float, most: float) -> list[float]:
    first, last = math.floor(math.log10(least)), math.ceil(math.log10(most))
    return [10.0 ** power for power in range(first, last + 1)]


def svg(title: str, across: str, up: str, curves: Mapping[str, Points]) -> str:
    """A picture of some curves; logarithmic across, linear from 0 upwards."""
    points = [point for curve in curves.values() for point in curve]
    columns = _decades(min(x for x, _ in points), max(x for x, _ in points))
    levels = _steps(max(y for _, y in points))
    low, high = math.log10(columns[0]), math.log10(columns[-1])

    def at_x(x: float) -> float:
        return LEFT + (math.log10(x) - low) / max(high - low, 1e-9) * (WIDTH - LEFT - RIGHT)

    def at_y(y: float) -> float:
        return HEIGHT - BOTTOM - y / levels[-1] * (HEIGHT - TOP - BOTTOM)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
             STYLE, f"<title>{escape(title)}</title>",
             f'<text class="title" x="{LEFT}" y="18">{escape(title)}</text>',
             *_grid(columns, levels, at_x, at_y),
             f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 12}" text-anchor="end">'
             f"{escape(across)}</text>",
             f'<text x="10" y="{TOP - 12}">{escape(up)}</text>']
    for number, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in curve)
        parts.append(f'<polyline points="{path}" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="3" fill="{colour}"/>'
                  for x, y in curve]
        parts.append(f'<text x="{WIDTH - RIGHT}" y="{18 + 15 * number}" text-anchor="end" '
                     f'style="fill: {colour}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _grid(columns: Sequence[float], levels: Sequence[float], at_x: Callable[[float], float],
          at_y: Callable[[float], float]) -> list[str]:
    parts, foot = [], HEIGHT - BOTTOM
    for x in columns:
        at = f"{at_x(x):.1f}"
        parts.append(f'<line x1="{at}" y1="{TOP}" x2="{at}" y2="{foot}"/>')
        parts.append(f'<text x="{at}" y="{foot + 16}" text-anchor="middle">{short(x)}</text>')
    for y in levels:
        at = f"{at_y(y):.1f}"
        parts.append(f'<line x1="{LEFT}" y1="{at}" x2="{WIDTH - RIGHT}" y2="{at}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{at_y(y) + 4:.1f}" text-anchor="end">'
                     f"{short(y)}</text>")
    return parts
