"""`FabricModel`: in a job's worker the class that trains; elsewhere one that may submit the training as a job."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING or not os.environ.get("CONCERTINA_CONTROL"):
    from concertina.notebook import FabricModel
else:
    from fabric_model import FabricModel

__all__ = ["FabricModel"]
