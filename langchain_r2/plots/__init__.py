"""Pictures of measurements in one style, as PNG and SVG: cost against accuracy, learning curves, calibration."""

from langchain_r2.plots.curves import draw_curves, read_metrics
from langchain_r2.plots.frontier import Point, draw_frontier, mixing_line, points_of
from langchain_r2.plots.style import save

__all__ = ["Point", "draw_curves", "draw_frontier", "mixing_line", "points_of", "read_metrics", "save"]
