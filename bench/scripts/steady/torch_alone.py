"""PyTorch's side of the steady-state benchmark: DistributedDataParallel over gloo with several workers, a plain loop with one."""

import argparse

import torch
import torch.distributed as distributed
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from models import BATCH, data, made
from tracing import Trace

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--steps", type=int, required=True)
parser.add_argument("--workers", type=int, required=True)
parser.add_argument("--trace", required=True, help="folder")
arguments = parser.parse_args()

torch.set_num_threads(1)
rank = 0
trace = Trace(arguments.trace)
model = made(arguments.model)
if arguments.workers > 1:
    distributed.init_process_group("gloo")
    rank = distributed.get_rank()
    model = DistributedDataParallel(model)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
samples = data(arguments.model, arguments.steps * arguments.workers * BATCH)
order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(0))
for step in range(arguments.steps):
    start = (step * arguments.workers + rank) * BATCH
    inputs, labels = (tensor[order[start : start + BATCH]] for tensor in samples.tensors)
    optimizer.zero_grad()
    loss = F.cross_entropy(model(inputs), labels)
    loss.backward()
    optimizer.step()
    loss.item()
    trace.completed(step + 1)
if arguments.workers > 1:
    distributed.destroy_process_group()
