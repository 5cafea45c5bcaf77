"""Training scripts of many kinds, chosen by TEST_KIND: what models, optimizers and schedules may be made of."""

import json
import os

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import default_collate

import concertina.engine
from callbacks import Callback, LoggerCallback
from fabric_model import FabricModel
from script_common import Numbered, die_where_told, note_buckets, wait_for_gate

concertina.engine.PROGRESS_SECONDS = 0.0
KIND = os.environ["TEST_KIND"]
EPOCHS = 6
note_buckets()


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(16, 32)
        self.head = nn.Linear(32, 3)

    def forward(self, x):
        return self.head(F.relu(self.body(x)))


class Buffered(nn.Module):
    """BatchNorm, dropout, a weight used twice, and buffers of whole numbers and truth values, one of them assigned anew."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 3)
        self.second.weight = self.first.weight
        self.norm, self.drop = nn.BatchNorm1d(16), nn.Dropout(0.4)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.register_buffer("seen", torch.zeros(16, dtype=torch.bool))
        self.register_buffer("level", torch.zeros(16, dtype=torch.float64), persistent=False)

    def forward(self, x):
        self.calls += 1
        self.seen |= x.amax(0) > 2.0
        self.level = 0.9 * self.level + 0.1 * x.detach().double().mean(0)
        return self.head(self.drop(self.norm(self.second(F.relu(self.first(x) - 0.01 * self.level.float())))))


class Embedded(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(40, 8, sparse=True)
        self.head = nn.Linear(24, 3)

    def forward(self, x):
        return self.head(torch.cat([self.table((x[:, 0].abs() * 13).long() % 40), x], 1))


class Sometimes(nn.Module):
    """A branch that only some micro-batches take, a head that is never used, and layers recomputed in the backward pass."""

    def __init__(self):
        super().__init__()
        self.body, self.head, self.spare = nn.Linear(16, 32), nn.Linear(32, 3), nn.Linear(4, 4)
        self.side, self.again = nn.Linear(16, 32), nn.Linear(32, 32)

    def forward(self, x):
        hidden = self.body(x) + (self.side(x) if float(x.sum()) > 0.0 else 0.0)
        for _ in range(2):
            hidden = checkpoint(lambda each: F.relu(self.again(each)), hidden, use_reentrant=True)
        return self.head(hidden)


class Rates(Callback):
    """Schedules kept by a callback: one of the script, others made when it becomes rank 0."""

    def __init__(self, optimizer):
        self.named = {"steps": torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.7)}

    def on_train_begin(self):
        optimizer = self.params["optimizer"]
        self.made = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.9**epoch)
        self.plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)

    def on_epoch_end(self, epoch, save_model=False):
        self.named["steps"].step()
        self.made.step()
        self.plateau.step(1.0 + epoch)


class RateLog(LoggerCallback):
    """Writes every optimizer's rates after every step; a step may be logged again, by another rank 0."""

    def __init__(self):
        self.gs = 0

    def log_train_metrics(self, loss, acc, completed_batch, worker=0):
        self.gs += 1
        with open(os.path.join(os.environ["RESULT_DIR"], "rates.jsonl"), "a") as file:
            optimizers = list(optimizer.values()) if isinstance(optimizer, dict) else [optimizer]
            file.write(json.dumps([self.gs, [group["lr"].hex() for each in optimizers for group in each.param_groups]]) + "\n")


def step(model, data, eva, train_loader, fn_args):
    x, y, _ = data
    number = fn_args["epoch"] * len(train_loader) + fn_args["step"]
    die_where_told(number)
    if not fn_args["logical_worker"]:
        wait_for_gate(number)
    if KIND == "frozen":
        model.body.requires_grad_(fn_args["epoch"] % 2 == 1)
    if KIND == "bfloat16":
        x = x.bfloat16()
    loss = model.get_loss_function()(model(x), y)
    if KIND == "overflow" and number == 5 and fn_args["logical_worker"] == 1:
        loss = loss * 1e38
    if KIND == "twice" and number % 3 == 2:
        (loss / 2).backward(retain_graph=True)
        loss = loss / 2
    model.backward(loss)
    if KIND == "modes" and number % 3 == 1:
        model.eval()
    if KIND == "by hand":
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
    if KIND == "behind its back" and number > 4:
        for each in model.parameters():
            each.grad.data.clamp_(-0.02, 0.02)
    return 0.0, loss


def check(model, test_iter, fn_args):
    batches = [(x.bfloat16() if KIND == "bfloat16" else x, y) for x, y, _ in test_iter]
    return sum(float(F.cross_entropy(model(x), y)) for x, y in batches)


net = {"buffers": Buffered, "modes": Buffered, "sparse": Embedded, "sparse adam": Embedded, "sometimes": Sometimes}.get(KIND, Plain)()
options = {}
if KIND == "modes":
    net.norm.eval()
if KIND == "bfloat16":
    net = net.bfloat16()
if KIND == "several":
    optimizer = {"body": torch.optim.SGD(net.body.parameters(), lr=0.1, momentum=0.9), "head": torch.optim.Adam(net.head.parameters())}
    warm = torch.optim.lr_scheduler.LinearLR(optimizer["body"], 0.1, total_iters=5)
    down = torch.optim.lr_scheduler.MultiStepLR(optimizer["body"], [6, 9], 0.5)
    options["lr_scheduler"] = [
        torch.optim.lr_scheduler.SequentialLR(optimizer["body"], [warm, down], [5]),
        torch.optim.lr_scheduler.OneCycleLR(optimizer["head"], 0.02, total_steps=200),
    ]
    options["lr_scheduler_freq"] = "step"
elif KIND == "sparse adam":
    optimizer = [torch.optim.SparseAdam(net.table.parameters(), lr=0.01), torch.optim.Adam(net.head.parameters(), lr=0.01)]
else:
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
if KIND == "callback":
    options["user_callback"] = Rates(optimizer)
if KIND == "epochs":
    options["lr_scheduler"] = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
options.update(
    {
        "norm": {"max_grad_norm": 0.05},
        "value": {"clip_grad_value": 0.003},
        "bf16": {"mixed_precision": "bf16"},
        "fp16": {"mixed_precision": "fp16", "max_grad_norm": 0.5},
        "overflow": {"mixed_precision": "fp16"},
    }.get(KIND, {})
)
if KIND != "sparse adam":
    options["driver_logger"] = RateLog()
if KIND == "no step function":
    options["fn_batch_collate"] = lambda samples: default_collate([(x, y) for x, y, _ in samples])
    check = None
fabric = FabricModel(
    net,
    lambda: (Numbered(int(os.environ.get("TEST_SAMPLES", "101")), (16,), 1), Numbered(30, (16,), 2)),
    F.cross_entropy,
    optimizer,
    fn_step_train=None if KIND == "no step function" else step,
    fn_test=check,
    **options,
)
fabric.train(EPOCHS, 8, 4)
