import torch
from torch.nn import functional as F

from pyedt.fabric_model import FabricModel

# %%
def shape(rows):
    raise KeyError(f"no column 'age' among {rows}")


def datasets():
    return shape(["name"]), None


model = torch.nn.Linear(4, 2)
edt_m = FabricModel(model, datasets, F.cross_entropy, torch.optim.SGD(model.parameters(), lr=0.1))
edt_m.train(1, 2, 2)
