"""Summaries whose merge is more than one array operation."""

from inspector.analysis.summaries.by_label import ByLabel
from inspector.analysis.summaries.earliest import Earliest
from inspector.analysis.summaries.first import First
from inspector.analysis.summaries.histogram import Histogram
from inspector.analysis.summaries.moments import Moments

__all__ = ["ByLabel", "Earliest", "First", "Histogram", "Moments"]
