import time

import torch
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from pyedt.fabric_model import FabricModel

# %%
class Slow(torch.nn.Linear):
    def forward(self, values):
        time.sleep(0.05)
        return super().forward(values)


def datasets():
    return TensorDataset(torch.ones(5000, 4), torch.ones(5000).long()), None


model = Slow(4, 2)
edt_m = FabricModel(model, datasets, F.cross_entropy, torch.optim.SGD(model.parameters(), lr=0.1))
edt_m.train(50, 2, 2)
# %%
print("the kernel lives, job", edt_m.job)
