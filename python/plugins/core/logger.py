"""`from plugins.core.logger import logger`: a standard logger that writes to the plug-in's log."""

import logging
import sys

logger = logging.getLogger("plugin")
logger.propagate = False
if not logger.handlers:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
