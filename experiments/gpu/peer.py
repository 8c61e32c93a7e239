#!/usr/bin/env python3
"""What PyTorch makes of the same GPU: two ceilings, training steps of WRN-28-10 and each of its convolutions.

    peer.py [--cpu] FILE PART...        parts: machine ceilings steps convolutions compiled

FILE gets one JSON object, written anew after each part; a part that fails says so there, and the others go on. --cpu
makes everything tiny and runs on the CPU, to try this program where there is no GPU.
"""
import json
import platform
import statistics
import subprocess
import sys
import time
import warnings

import torch
import torch.nn.functional as F
from torch import nn

CPU = "--cpu" in sys.argv
DEVICE = "cpu" if CPU else "cuda"
DEPTH, WIDTH, BATCH, GROUPS = (10, 1, 2, 2) if CPU else (28, 10, 128, 10)
BF16_LAST = {"precision": "bf16", "layout": "channels last"}
STEPS = [
    {"precision": "f32", "layout": "channels first"},
    {"precision": "tf32", "layout": "channels first"},
    {"precision": "tf32", "layout": "channels last"},
    BF16_LAST,
]
# Inputs, outputs, side of the image, side of the kernel, stride, how often in WRN-28-10: 28 in all.
CONVOLUTIONS = [
    (3, 16, 32, 3, 1, 1),
    (16, 160, 32, 3, 1, 1),
    (16, 160, 32, 1, 1, 1),
    (160, 160, 32, 3, 1, 7),
    (160, 320, 32, 3, 1, 1),
    (160, 320, 32, 1, 2, 1),
    (320, 320, 32, 3, 2, 1),
    (320, 320, 16, 3, 1, 6),
    (320, 640, 16, 3, 1, 1),
    (320, 640, 16, 1, 2, 1),
    (640, 640, 16, 3, 2, 1),
    (640, 640, 8, 3, 1, 6),
]


class Block(nn.Module):
    """As `models/wide-resnet` has it: pre-activated, the stride in the second convolution."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False)
        self.short = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if inputs != outputs or stride > 1 else None

    def forward(self, x):
        y = F.relu(self.bn1(x))
        skip = x if self.short is None else self.short(y)
        return self.conv2(F.relu(self.bn2(self.conv1(y)))) + skip


def wrn():
    layers, inputs = [nn.Conv2d(3, 16, 3, padding=1, bias=False)], 16
    for group in range(3):
        outputs = (16 * WIDTH) << group
        for i in range((DEPTH - 4) // 6):
            layers.append(Block(inputs, outputs, 2 if group > 0 and i == 0 else 1))
            inputs = outputs
    layers += [nn.BatchNorm2d(inputs), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10)]
    return nn.Sequential(*layers)


def wait():
    if not CPU:
        torch.cuda.synchronize()


def milliseconds(work, calls, warm=5):
    """Of one call: the median, least and most of groups of calls that the GPU gets without a wait between them."""
    for _ in range(warm):
        work()
    groups = []
    for _ in range(GROUPS):
        wait()
        begin = time.perf_counter()
        for _ in range(calls):
            work()
        wait()
        groups.append(1e3 * (time.perf_counter() - begin) / calls)
    return statistics.median(groups), min(groups), max(groups)


def set_precision(precision):
    allow = precision != "f32"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allow
    torch.backends.cudnn.benchmark = True


def training_step(precision, layout, compiled):
    """A function that makes one training step on random images."""
    set_precision(precision)
    net, xs = wrn().to(DEVICE), torch.randn(BATCH, 3, 32, 32, device=DEVICE)
    if layout == "channels last":
        net, xs = (t.to(memory_format=torch.channels_last) for t in (net, xs))
    ys = torch.randint(10, (BATCH,), device=DEVICE)
    sgd = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=5e-4, nesterov=True, fused=True)
    forward = torch.compile(net) if compiled else net

    def step():
        with torch.autocast(DEVICE, torch.bfloat16, enabled=precision == "bf16"):
            loss = F.cross_entropy(forward(xs), ys)
        sgd.zero_grad(set_to_none=True)
        loss.backward()
        sgd.step()

    return step


def timed_step(precision, layout, compiled=False):
    if not CPU:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    median, least, most = milliseconds(training_step(precision, layout, compiled), 5)
    memory = 0 if CPU else torch.cuda.max_memory_allocated() / 2**30
    row = {"precision": precision, "layout": layout, "compiled": compiled, "batch": BATCH}
    return row | {"ms": median, "least_ms": least, "most_ms": most, "memory_gib": memory}


def convolution(shape):
    """Forward, and forward with the gradients of images and filters, in bf16, channels last."""
    inputs, outputs, side, kernel, stride, times = shape
    set_precision("bf16")
    tensor = lambda *dims: torch.randn(*dims, device=DEVICE, dtype=torch.bfloat16).to(memory_format=torch.channels_last)
    xs, filters = tensor(BATCH, inputs, side, side), tensor(outputs, inputs, kernel, kernel)
    upstream = tensor(BATCH, outputs, side // stride, side // stride)
    call = lambda: F.conv2d(xs, filters, None, stride, kernel // 2)
    forward, _, _ = milliseconds(call, 10)
    wanted = [t.requires_grad_() for t in (xs, filters)]
    both, _, _ = milliseconds(lambda: torch.autograd.grad(call(), wanted, upstream), 10)
    macs = BATCH * outputs * inputs * kernel**2 * (side // stride) ** 2
    named = dict(zip(["inputs", "outputs", "side", "kernel", "stride", "times"], shape))
    rates = {"forward_tflops": 2e-9 * macs / forward, "both_tflops": 6e-9 * macs / both}
    return named | {"forward_ms": forward, "both_ms": both} | rates


def machine():
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    return {
        "gpu": "none" if CPU else subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }


def ceilings():
    """What the GPU can do at all: a large product in bf16, and a copy, which reads and writes each byte."""
    n, size = (64, 2**20) if CPU else (8192, 2**31)
    a, b = (torch.randn(n, n, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    product, _, _ = milliseconds(lambda: a @ b, 5)
    source, target = (torch.zeros(size, dtype=torch.uint8, device=DEVICE) for _ in range(2))
    copy, _, _ = milliseconds(lambda: target.copy_(source), 5)
    return {"matmul_tflops": 2e-9 * n**3 / product, "copy_tb_per_s": 2e-9 * size / copy}


def each(function, cases):
    """A row for each case, the failed ones too."""
    return [attempt(lambda: function(case), case) for case in cases]


def attempt(work, what):
    try:
        return work()
    except Exception as error:  # whatever it is, the other parts are worth having
        print(f"{what}: {error!r}", flush=True)
        return {"case": str(what), "failed": repr(error)[:500]}


PARTS = {
    "machine": machine,
    "ceilings": ceilings,
    "steps": lambda: each(lambda case: timed_step(**case), STEPS),
    "convolutions": lambda: each(convolution, CONVOLUTIONS),
    "compiled": lambda: [timed_step(**BF16_LAST, compiled=True)],
}


def main():
    file, *parts = [argument for argument in sys.argv[1:] if argument != "--cpu"]
    warnings.filterwarnings("ignore")
    found = {part: {"failed": "the time ran out before its end"} for part in parts}
    for part in parts:
        with open(file, "w") as to:
            json.dump(found, to)
        begin = time.time()
        found[part] = attempt(PARTS[part], part)
        print(f"PyTorch, {part}: {time.time() - begin:.1f} s", flush=True)
    with open(file, "w") as to:
        json.dump(found, to)


main()
