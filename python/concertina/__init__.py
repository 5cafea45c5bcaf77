"""Concertina inside a worker: elastic runtime and process supervision.

Importing the package loads nothing else, so the supervisor stays small; `elastic`, `weights_digest` and `prepare_process` load torch
when asked for, `search` the client.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concertina.metrics import report
    from concertina.native import ElasticJob, Epoch, elastic
    from concertina.process import prepare_process
    from concertina.searching import SearchFailed, SearchResult, search
    from concertina.state import weights_digest
    from concertina.trial import Choice, Real, Trial, Whole

__all__ = [
    "Choice",
    "ElasticJob",
    "Epoch",
    "Real",
    "SearchFailed",
    "SearchResult",
    "Trial",
    "Whole",
    "elastic",
    "prepare_process",
    "report",
    "search",
    "weights_digest",
]


def __getattr__(name: str) -> Any:
    if name in ("ElasticJob", "Epoch", "elastic"):
        from concertina import native

        return getattr(native, name)
    if name == "report":
        from concertina.metrics import report

        return report
    if name in ("SearchFailed", "SearchResult", "search"):
        from concertina import searching

        return getattr(searching, name)
    if name in ("Choice", "Real", "Trial", "Whole"):
        from concertina import trial

        return getattr(trial, name)
    if name == "weights_digest":
        from concertina.state import weights_digest

        return weights_digest
    if name == "prepare_process":
        from concertina.process import prepare_process

        return prepare_process
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
