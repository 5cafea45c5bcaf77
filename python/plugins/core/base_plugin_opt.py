"""The class that a search algorithm of one's own extends."""

from __future__ import annotations

from typing import Any


class BasePluginOptimizer:
    """A search algorithm. A plug-in's `optimizer.py` holds a subclass named `PluginOptimizer`; only `search` is a must.

    It lives in a process of its own. When that process or the server starts again, a new instance is made and given what `get_state`
    returned last.
    """

    def __init__(self, name: str, hyper_parameters: list[dict[str, Any]], **kwargs: str) -> None:
        """Called once per process.

        name: the plug-in's. hyper_parameters: what the search was created with, in the casing it was posted in (`name`, `type`,
        `dataType`, `minDbVal`, ...). kwargs: the search's `algoParams` by name; the values are texts.
        """
        self._name = name
        self._hyper_parameters = hyper_parameters

    def search(self, number_samples: int, last_exp_results: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
        """Propose points.

        number_samples: how many are wanted now, 1 or more; what is returned beyond is dropped.
        last_exp_results: None at the first call, then one dict for each trial that ended since the call before: `id` (int), `state`
        (`FINISHED`, `STOPPED` for one that was stopped early, `FAILED`, which one whose job was stopped is as well), `metricVal` (float,
        what a stopped one had reached, 9999.99 for a failed one), `hyperParams` (list of dicts with `name`, `dataType` and `fixedVal`, a text; those of type `Fix` too).
        Returns a list of `{name: value}`, a value for every hyperparameter that has more than one. Fewer than wanted, or none, means that there are no more.
        """
        raise NotImplementedError(f"{type(self).__name__} has no search method")

    def get_state(self) -> dict[str, Any]:
        """What a new instance needs to go on; anything pickle takes. Called after every `search`."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what an earlier instance's `get_state` returned."""
