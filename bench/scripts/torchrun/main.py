"""The script that `torchrun` runs in the pause and rescale benchmarks: DistributedDataParallel with checkpoints, as its documentation describes.

The global batch stays the same whatever the number of processes, and training resumes at the step of the last checkpoint.
"""

import argparse
import os

import torch
import torch.distributed as distributed
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

import models
from measured.tracing import Trace


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--global-batch", type=int, default=64)
    models.add_arguments(parser)
    parser.add_argument("--checkpoint", required=True, help="file")
    parser.add_argument("--checkpoint-steps", type=int, required=True, help="steps from one checkpoint to the next")
    parser.add_argument("--trace", required=True, help="folder")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    rank, size = distributed.get_rank(), distributed.get_world_size()
    torch.manual_seed(1)
    net = models.made(arguments)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    step = 0
    if os.path.exists(arguments.checkpoint):
        saved = torch.load(arguments.checkpoint, weights_only=True)
        net.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        step = saved["step"]
    model = DistributedDataParallel(net)
    images, labels = models.datasets()[0].tensors
    per_epoch = len(images) // arguments.global_batch
    trace = Trace(arguments.trace)
    while step < arguments.steps:
        epoch, position = divmod(step, per_epoch)
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(epoch))
        batch = order[position * arguments.global_batch : (position + 1) * arguments.global_batch]
        mine = batch.tensor_split(size)[rank]
        optimizer.zero_grad()
        F.nll_loss(model(images[mine]), labels[mine]).backward()
        optimizer.step()
        step += 1
        trace.completed(step)
        if rank == 0 and step % arguments.checkpoint_steps == 0:
            whole = {"model": net.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
            torch.save(whole, arguments.checkpoint + ".new")
            os.replace(arguments.checkpoint + ".new", arguments.checkpoint)
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
