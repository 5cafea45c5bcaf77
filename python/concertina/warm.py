"""For a process that forks workers: load beforehand what each of them would otherwise load by itself."""

from __future__ import annotations


def warm_up() -> None:
    """Import torch, the runtime, and the parts of torch that load at the first use of an optimizer (seconds, once).

    Starts no thread, runs no kernel and leaves nothing seeded: `fabric_model` is not imported, so that its import in the forked worker
    prepares that process.
    """
    import torch

    import concertina.engine  # noqa: F401

    torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    torch.use_deterministic_algorithms(torch.are_deterministic_algorithms_enabled())
    try:
        import numpy  # noqa: F401
    except ImportError:
        pass
