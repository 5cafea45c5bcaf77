"""What the machine and the torch of a test run can compute."""

import pytest
import torch

from concertina.optimizing import Precision


def _half_on_cpu():
    try:
        Precision("fp16", torch.device("cpu"))
        return True
    except ValueError:
        return False


HALF_ON_CPU = _half_on_cpu()
needs_half_on_cpu = pytest.mark.skipif(not HALF_ON_CPU, reason="this torch computes no float16 on a CPU")
