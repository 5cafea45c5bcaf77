"""The module `callbacks` under its package name."""

from callbacks import Callback, LoggerCallback

__all__ = ["Callback", "LoggerCallback"]
