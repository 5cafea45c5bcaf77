"""The module `emetrics` under its package name."""

from emetrics import EMetrics

__all__ = ["EMetrics"]
