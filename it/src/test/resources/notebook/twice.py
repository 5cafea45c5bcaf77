import torch
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from concertina import weights_digest
from pyedt.fabric_model import FabricModel

# %%
def datasets():
    values = torch.randn(64, 4, generator=torch.Generator().manual_seed(5))
    return TensorDataset(values, (values.sum(1) > 0).long()), None


model = torch.nn.Linear(4, 2)
edt_m = FabricModel(model, datasets, F.cross_entropy, torch.optim.Adam(model.parameters(), lr=0.1))
edt_m.train(2, 8, 2)
edt_m.download()
first = edt_m.job, weights_digest(model.state_dict())
# %%
edt_m.train(2, 8, 2)
edt_m.download()
print(*first, edt_m.job, weights_digest(model.state_dict()))
