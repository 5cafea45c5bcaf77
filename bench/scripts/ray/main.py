"""What Ray runs in the pause benchmark: a cluster of its own on this machine and one elastic TorchTrainer job with checkpoints.

Every "node" is a raylet with one processor. Lines on standard input say how many nodes there shall be; each is answered by a line when
the nodes have come or gone. The end of standard input ends everything.
"""

import argparse
import json
import os
import sys
import tempfile
import threading

import ray
import ray.train
import torch
from ray.cluster_utils import Cluster
from ray.train.torch import TorchConfig, TorchTrainer, prepare_model
from torch.nn import functional as F

import models
from measured.tracing import Trace


def train(settings):
    """One worker: DistributedDataParallel as Ray's documentation describes it, resuming at the step of the last checkpoint."""
    arguments = argparse.Namespace(**settings)
    torch.set_num_threads(1)
    context = ray.train.get_context()
    rank, size = context.get_world_rank(), context.get_world_size()
    torch.manual_seed(1)
    net = models.made(arguments)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    step = 0
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is not None:
        with checkpoint.as_directory() as folder:
            saved = torch.load(os.path.join(folder, "state.pth"), weights_only=True)
        net.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        step = saved["step"]
    model = prepare_model(net)
    images, labels = models.datasets()[0].tensors
    per_epoch = len(images) // arguments.global_batch
    trace = Trace(arguments.trace)
    while True:
        epoch, position = divmod(step, per_epoch)
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(epoch))
        mine = order[position * arguments.global_batch : (position + 1) * arguments.global_batch].tensor_split(size)[rank]
        optimizer.zero_grad()
        F.nll_loss(model(images[mine]), labels[mine]).backward()
        optimizer.step()
        step += 1
        trace.completed(step)
        if step % arguments.checkpoint_steps == 0:
            with tempfile.TemporaryDirectory() as folder:
                kept = None
                if rank == 0:
                    whole = {"model": net.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
                    torch.save(whole, os.path.join(folder, "state.pth"))
                    kept = ray.train.Checkpoint.from_directory(folder)
                ray.train.report({"step": step}, checkpoint=kept)


def obey(cluster, nodes):
    """Follows standard input until it ends, then ends this process, and with it the cluster."""
    for line in sys.stdin:
        wanted = json.loads(line)["nodes"]
        while len(nodes) < wanted:
            nodes.append(cluster.add_node(num_cpus=1))
        while len(nodes) > wanted:
            cluster.remove_node(nodes.pop(), allow_graceful=True)
        print(json.dumps({"nodes": len(nodes)}), flush=True)
    cluster.shutdown()
    os._exit(0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    models.add_arguments(parser)
    parser.add_argument("--global-batch", type=int, default=64)
    parser.add_argument("--checkpoint-steps", type=int, required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--trace", required=True)
    parser.add_argument("--interval", type=float, required=True, help="seconds between two looks at whether to resize")
    parser.add_argument("--scratch", required=True, help="folder with a short name for Ray's own files")
    arguments = parser.parse_args()

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, "temp_dir": arguments.scratch})
    ray.init(address=cluster.address, log_to_driver=False)
    nodes = [cluster.add_node(num_cpus=1)]
    trainer = TorchTrainer(
        train,
        train_loop_config=vars(arguments),
        torch_config=TorchConfig(backend="gloo"),
        scaling_config=ray.train.ScalingConfig(num_workers=(1, 4), elastic_resize_monitor_interval_s=arguments.interval),
        run_config=ray.train.RunConfig(
            name="pause",
            storage_path=arguments.folder,
            failure_config=ray.train.FailureConfig(max_failures=-1),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=2),
        ),
    )
    # Ray starts nodes in the main thread only.
    threading.Thread(target=trainer.fit, daemon=True).start()
    print(json.dumps({"nodes": 1}), flush=True)
    obey(cluster, nodes)


if __name__ == "__main__":
    main()
