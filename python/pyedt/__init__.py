"""The names that scripts and notebooks import: `pyedt.fabric_model`, `pyedt.callbacks`, `pyedt.emetrics`."""
