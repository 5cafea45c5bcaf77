"""PyTorch's side of the steady-state benchmark: DistributedDataParallel over gloo with several workers, a plain loop with one."""

import argparse
import ctypes
import os

import torch
import torch.distributed as distributed
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from models import data, made
from tracing import Trace

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--batch", type=int, required=True, help="samples of a micro-batch")
parser.add_argument("--micro-batches", type=int, default=1, help="of each process in a step, whose gradients are accumulated")
parser.add_argument("--steps", type=int, required=True)
parser.add_argument("--workers", type=int, required=True)
parser.add_argument("--device", choices=("cpu", "gpu"), required=True)
parser.add_argument("--keep-memory", action="store_true", help="have the C library keep what a step frees, as Concertina's workers do")
parser.add_argument("--trace", required=True, help="folder")
arguments = parser.parse_args()

if arguments.keep_memory:
    library = ctypes.CDLL(None)
    # M_TRIM_THRESHOLD and M_MMAP_MAX of malloc.h.
    library.mallopt(-1, 2**31 - 1)
    library.mallopt(-4, 0)
torch.set_num_threads(1)
device = torch.device("cuda" if arguments.device == "gpu" else "cpu")
rank = 0
trace = Trace(arguments.trace)
model = made(arguments.model).to(device)
if arguments.workers > 1:
    distributed.init_process_group("gloo")
    rank = distributed.get_rank()
    model = DistributedDataParallel(model)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
share = arguments.micro_batches * arguments.batch
samples = data(arguments.model, arguments.steps * arguments.workers * share)
order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(0))
for step in range(arguments.steps):
    start = (step * arguments.workers + rank) * share
    optimizer.zero_grad()
    losses = []
    for first in range(start, start + share, arguments.batch):
        ids = order[first : first + arguments.batch]
        inputs, labels = (tensor[ids].to(device) for tensor in samples.tensors)
        loss = F.cross_entropy(model(inputs), labels)
        (loss if arguments.micro_batches == 1 else loss / arguments.micro_batches).backward()
        losses.append(loss.detach())
    optimizer.step()
    sum(losses).item()
    trace.completed(step + 1)
if arguments.workers > 1:
    distributed.destroy_process_group()
# Gloo's threads now and then abort an interpreter that ends in its usual way.
os._exit(0)
