"""A plug-in that counts up from what it was and keeps what it is told. Which process it is stands beside it."""

import os

from plugins.core.base_plugin_opt import BasePluginOptimizer
from plugins.core.logger import logger


class PluginOptimizer(BasePluginOptimizer):
    def __init__(self, name, hyper_parameters, **kwargs):
        super().__init__(name, hyper_parameters, **kwargs)
        self.made = int(kwargs["first"])
        self.told = []
        with open(os.path.join(os.path.dirname(__file__), "process"), "w") as file:
            file.write(str(os.getpid()))

    def search(self, number_samples, last_exp_results):
        self.told += [result["id"] for result in last_exp_results or []]
        logger.info("told %s", self.told)
        points = [{"rate": round(0.001 * (self.made + i), 6)} for i in range(number_samples)]
        self.made += number_samples
        return points if self.made <= 7 else []

    def get_state(self):
        return {"made": self.made, "told": self.told}

    def set_state(self, state):
        self.made, self.told = state["made"], state["told"]
