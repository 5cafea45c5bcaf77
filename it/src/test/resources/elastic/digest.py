"""Prints the SHA-256 of the weights in a saved model: names in order, type, sizes and bytes of each, as the guide describes."""

import hashlib
import sys

import torch

digest = hashlib.sha256()
weights = torch.load(sys.argv[1], map_location="cpu", weights_only=True)
for name in sorted(weights):
    tensor = weights[name].contiguous()
    sizes = ",".join(str(size) for size in tensor.shape)
    digest.update(f"{name}\0{str(tensor.dtype).removeprefix('torch.')}\0{sizes}\0".encode())
    digest.update(bytes(tensor.reshape(-1).view(torch.uint8).tolist()))
print(digest.hexdigest())
