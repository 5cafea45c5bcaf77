"""`FabricModel`: in a job's worker the class that trains; elsewhere one that may submit the training as a job."""

import os

if os.environ.get("CONCERTINA_CONTROL"):
    from fabric_model import FabricModel
else:
    from concertina.notebook import FabricModel

__all__ = ["FabricModel"]
