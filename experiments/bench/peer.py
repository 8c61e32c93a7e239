#!/usr/bin/env python3
"""The PyTorch peer of `just bench`: the same steps, as a PyTorch user would write them.

Reads one JSON request a line on standard input and answers each with one line: the milliseconds of every timed
repetition. Requests are answered in turn, so that whoever asks can alternate between this program and another.

  {"work": "step", "model": "mlp" | "lenet5" | "lenet5-dense" | "wrn" | "resnet20" | "depthwise", "batch": 100,
   "compile": false, "channels_last": false, "threads": 2, "times": 20}
  {"work": "conv", "shape": [64, 160, 32, 32], "out": 160, "kernel": 3, "padding": 1, "threads": 2, "times": 5}
  {"work": "matmul", "n": 1024, "threads": 2, "times": 20}

A step is forward, cross-entropy, L0 penalty (where there are gates), backward, Adam or SGD (fused, the fastest form that
PyTorch has of either), clamp of the gates, and the average of all values.
"""
import json
import math
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

BETA, GAMMA, ZETA = 2 / 3, -0.1, 1.1
N_TRAIN = 60_000


class Gates(nn.Module):
    def __init__(self, units, droprate):
        super().__init__()
        start = math.log((1 - droprate) / droprate)
        self.log_alpha = nn.Parameter(start + 0.01 * torch.randn(units))

    def sample(self):
        u = torch.rand_like(self.log_alpha).clamp(1e-6, 1 - 1e-6)
        s = torch.sigmoid((torch.logit(u) + self.log_alpha) / BETA)
        return (s * (ZETA - GAMMA) + GAMMA).clamp(0, 1)

    def open(self):
        return torch.sigmoid(self.log_alpha - BETA * math.log(-GAMMA / ZETA)).sum()


class GatedLinear(nn.Linear):
    """Gates on the input units."""

    def __init__(self, inputs, outputs, droprate, price):
        super().__init__(inputs, outputs)
        self.gates, self.price = Gates(inputs, droprate), price * outputs

    def forward(self, x):
        return F.linear(x, self.weight * self.gates.sample(), self.bias)


class GatedConv(nn.Conv2d):
    """Gates on the output maps."""

    def __init__(self, inputs, outputs, kernel, droprate, price, **more):
        super().__init__(inputs, outputs, kernel, **more)
        self.gates, self.price = Gates(outputs, droprate), price * self.weight[0].numel()

    def forward(self, x):
        z = self.gates.sample()
        bias = None if self.bias is None else self.bias * z
        return F.conv2d(x, self.weight * z[:, None, None, None], bias, self.stride, self.padding)


def mlp():
    price = 0.1 / N_TRAIN
    return nn.Sequential(
        nn.Flatten(),
        GatedLinear(784, 300, 0.2, price), nn.ReLU(),
        GatedLinear(300, 100, 0.5, price), nn.ReLU(),
        GatedLinear(100, 10, 0.5, price),
    )


def lenet5():
    price = 0.1 / N_TRAIN
    return nn.Sequential(
        GatedConv(1, 20, 5, 0.5, price), nn.ReLU(), nn.MaxPool2d(2),
        GatedConv(20, 50, 5, 0.5, price), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), GatedLinear(800, 500, 0.5, price), nn.ReLU(),
        GatedLinear(500, 10, 0.5, price),
    )


def lenet5_dense():
    """Without gates: plain layers, no penalty."""
    return nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(800, 500), nn.ReLU(),
        nn.Linear(500, 10),
    )


class Block(nn.Module):
    """A pre-activation block of a Wide ResNet, gates on the maps of its first convolution."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(outputs)
        self.conv1 = GatedConv(inputs, outputs, 3, 0.3, 0.001 / 50_000, padding=1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False)
        self.short = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if inputs != outputs else None

    def forward(self, x):
        y = F.relu(self.bn1(x))
        skip = x if self.short is None else self.short(y)
        return self.conv2(F.relu(self.bn2(self.conv1(y)))) + skip


def wrn(depth=16, width=1):
    """WRN-16-1 unless told otherwise."""
    layers, inputs = [nn.Conv2d(3, 16, 3, padding=1, bias=False)], 16
    for group, outputs in enumerate([16 * width, 32 * width, 64 * width]):
        for i in range((depth - 4) // 6):
            layers.append(Block(inputs, outputs, 2 if group > 0 and i == 0 else 1))
            inputs = outputs
    layers += [nn.BatchNorm2d(inputs), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10)]
    return nn.Sequential(*layers)


class Residual(nn.Module):
    """A block of a ResNet for CIFAR, no gates."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        short = lambda: nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.short = nn.Identity() if stride == 1 else short()

    def forward(self, x):
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + self.short(x))


def resnet20():
    """ResNet-20 for CIFAR-10, projected shortcuts."""
    layers, inputs = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()], 16
    for stage, outputs in enumerate([16, 32, 64]):
        for i in range(3):
            layers.append(Residual(inputs, outputs, 2 if stage > 0 and i == 0 else 1))
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def depthwise():
    """A block of a MobileNet."""
    normed = lambda i, o, kernel, groups: [
        nn.Conv2d(i, o, kernel, padding=kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(o), nn.ReLU()
    ]
    layers = normed(64, 64, 3, 64) + normed(64, 128, 1, 1)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))


MODELS = {
    "mlp": (mlp, (1, 28, 28)),
    "lenet5": (lenet5, (1, 28, 28)),
    "lenet5-dense": (lenet5_dense, (1, 28, 28)),
    "wrn": (wrn, (3, 32, 32)),
    "resnet20": (resnet20, (3, 32, 32)),
    "depthwise": (depthwise, (64, 16, 16)),
}


def step(model, batch, compiled, channels_last):
    """A function that makes one training step on random images."""
    make, shape = MODELS[model]
    layout = torch.channels_last if channels_last else torch.contiguous_format
    net = make().train().to(memory_format=layout)
    params = list(net.parameters())
    gated = [m for m in net.modules() if hasattr(m, "gates")]
    adam = model in ("mlp", "lenet5", "lenet5-dense")
    sgd = lambda: torch.optim.SGD(params, 0.1, momentum=0.9, nesterov=True, fused=True)
    optimiser = torch.optim.Adam(params, 1e-3, fused=True) if adam else sgd()
    average = [p.detach().clone() for p in params]
    xs, ys = torch.rand(batch, *shape).contiguous(memory_format=layout), torch.randint(0, 10, (batch,))

    def loss():
        penalty = sum(m.gates.open() * m.price for m in gated)
        return F.cross_entropy(net(xs), ys) + penalty

    objective = torch.compile(loss) if compiled else loss

    def one():
        optimiser.zero_grad(set_to_none=True)
        objective().backward()
        optimiser.step()
        with torch.no_grad():
            for m in gated:
                m.gates.log_alpha.clamp_(math.log(0.01), math.log(100))
            torch._foreach_lerp_(average, params, 1e-3)

    return one


def conv(shape, out, kernel, padding):
    """A function that makes one convolution, forward and backward, with a gradient for its input."""
    xs = torch.rand(*shape, requires_grad=True)
    weight = torch.rand(out, shape[1], kernel, kernel, requires_grad=True)
    upstream = torch.rand_like(F.conv2d(xs, weight, padding=padding))

    def one():
        xs.grad = weight.grad = None
        F.conv2d(xs, weight, padding=padding).backward(upstream)

    return one


def matmul(n):
    a, b = torch.rand(n, n), torch.rand(n, n)
    return lambda: torch.mm(a, b)


def prepare(request):
    if request["work"] == "step":
        return step(request["model"], request["batch"], request["compile"], request["channels_last"])
    if request["work"] == "conv":
        return conv(request["shape"], request["out"], request["kernel"], request["padding"])
    return matmul(request["n"])


def main():
    prepared = {}
    print(json.dumps({"torch": torch.__version__}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        torch.set_num_threads(request.pop("threads"))
        times, key = request.pop("times"), json.dumps([request, torch.get_num_threads()], sort_keys=True)
        if key not in prepared:
            torch.manual_seed(1)
            prepared[key] = prepare(request)
            for _ in range(3):
                prepared[key]()
        spent = []
        for _ in range(times):
            begin = time.perf_counter()
            prepared[key]()
            spent.append(1e3 * (time.perf_counter() - begin))
        print(json.dumps({"ms": spent}), flush=True)


main()
