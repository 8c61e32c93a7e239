"""The same pruning by Torch-Pruning on PyTorch: a yardstick for `just prune`, no part of the product.

    python -m venv peers && peers/bin/pip install torch torch-pruning onnx onnxruntime numpy
    peers/bin/python experiments/bench/pruning_peer.py resnet20-train.onnx --data cifar-10-batches-bin \
        --method taylor --macs 0.5 --epochs 10 --seed 1

The network is a ResNet-20 for CIFAR-10 with projections as shortcuts, its values those of an ONNX file that kept its
normalisations (the initialisers have PyTorch's names). It is brought to the share of multiply-accumulates step by step,
then trained on by SGD with momentum 0.9, one cycle of the learning rate to 0.05, images shifted by
one pixel at most and mirrored, as `just prune` does in ten epochs. One line of JSON: errors before, after the cut and at the end, what is left, seconds, the largest difference
between the module and its ONNX file, and that file's milliseconds in onnxruntime.
"""

import argparse
import json
import pathlib
import statistics
import time

import numpy
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
import torch_pruning
from torch import nn

MEAN = torch.tensor([0.4914, 0.4822, 0.4465]).view(3, 1, 1)
STD = torch.tensor([0.247, 0.2435, 0.2616]).view(3, 1, 1)
IMPORTANCE = {
    "l1": lambda: torch_pruning.importance.GroupMagnitudeImportance(p=1),
    "taylor": torch_pruning.importance.GroupTaylorImportance,
    "bn-scale": torch_pruning.importance.BNScaleImportance,
}


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        project = stride != 1 or inputs != outputs
        shortcut = [nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)]
        self.short = nn.Sequential(*shortcut) if project else nn.Identity()

    def forward(self, xs):
        ys = F.relu(self.bn1(self.conv1(xs)))
        return F.relu(self.bn2(self.conv2(ys)) + self.short(xs))


class ResNet20(nn.Module):
    def __init__(self):
        super().__init__()
        layers, width = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()], 16
        for outputs in (16, 32, 64):
            for block in range(3):
                layers.append(Block(width, outputs, 2 if outputs > 16 and block == 0 else 1))
                width = outputs
        self.body, self.fc = nn.Sequential(*layers), nn.Linear(64, 10)

    def forward(self, xs):
        return self.fc(self.body(xs).mean((2, 3)))


def brought(path):
    """The network with the values of an ONNX file."""
    values = {v.name: torch.from_numpy(onnx.numpy_helper.to_array(v).copy()) for v in onnx.load(path).graph.initializer}
    network = ResNet20()
    missing = network.load_state_dict(values, strict=False).missing_keys
    lacking = [name for name in missing if not name.endswith("num_batches_tracked")]
    assert not lacking, f"{path} lacks {lacking}: it must keep its normalisations"
    return network


def cifar(folder, names):
    """Images (n, 3, 32, 32) as bytes and labels, from CIFAR-10's binary files."""
    raw = [numpy.fromfile(pathlib.Path(folder) / name, numpy.uint8) for name in names]
    rows = numpy.concatenate(raw).reshape(-1, 3073)
    return torch.from_numpy(rows[:, 1:].reshape(-1, 3, 32, 32).copy()), torch.from_numpy(rows[:, 0].astype(numpy.int64))


def numbers(images):
    return (images.float() / 255 - MEAN) / STD


def varied(images, shift, generator):
    """Each image moved by so many pixels at most, zeros around it, every second one mirrored."""
    count = len(images)
    padded = F.pad(images, (shift, shift, shift, shift))
    y, x = (torch.randint(0, 2 * shift + 1, (count, 1), generator=generator) + torch.arange(32) for _ in range(2))
    mirrored = torch.rand(count, 1, generator=generator) < 0.5
    x = torch.where(mirrored, x.flip(1), x)
    at = torch.arange(count).view(-1, 1, 1, 1)
    return padded[at, torch.arange(3).view(1, 3, 1, 1), y.view(count, 1, 32, 1), x.view(count, 1, 1, 32)]


@torch.no_grad()
def error_percent(network, images, labels):
    network.eval()
    parts = zip(images.split(500), labels.split(500))
    return 100 * sum((network(numbers(xs)).argmax(1) != ys).sum().item() for xs, ys in parts) / len(labels)


def train(network, images, labels, epochs, shift, generator):
    steps = len(images) // 128
    optimiser = torch.optim.SGD(network.parameters(), 0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.05, total_steps=epochs * steps, pct_start=0.2)
    for _ in range(epochs):
        network.train()
        for batch in torch.randperm(len(images), generator=generator)[: steps * 128].split(128):
            loss = F.cross_entropy(network(numbers(varied(images[batch], shift, generator))), labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            cycle.step()


def cut(network, share, method, images, labels):
    """Removes channels, those of least importance in the whole network first, until so many MACs are left."""
    example = torch.zeros(1, 3, 32, 32)
    macs, params = torch_pruning.utils.count_ops_and_params(network, example)
    pruner = torch_pruning.pruner.BasePruner(
        network, example, importance=IMPORTANCE[method](), global_pruning=True, pruning_ratio=0.9,
        iterative_steps=40, ignored_layers=[network.fc],
    )
    left = macs, params
    while left[0] > share * macs:
        if method == "taylor":  # its scores are products of weights and gradients
            batch = torch.randint(0, len(images), (256,))
            network.train()
            network.zero_grad()
            F.cross_entropy(network(numbers(images[batch])), labels[batch]).backward()
        pruner.step()
        left = torch_pruning.utils.count_ops_and_params(network, example)
    return left[0] / macs, left[1] / params


def onnx_file(network, path, images):
    """Largest difference of an output between the module and its file, and milliseconds of one image on one thread."""
    network.eval()
    torch.onnx.export(network, (torch.zeros(1, 3, 32, 32),), path, dynamo=False, input_names=["input"],
                      output_names=["output"], dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}})
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    xs = numbers(images[:64])
    with torch.no_grad():
        difference = numpy.abs(session.run(None, {"input": xs.numpy()})[0] - network(xs).numpy()).max()
    one, times = {"input": xs[:1].numpy()}, []
    for _ in range(200):
        start = time.perf_counter()
        session.run(None, one)
        times.append(1e3 * (time.perf_counter() - start))
    return float(difference), statistics.median(times)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("network")
    parser.add_argument("--data", required=True)
    parser.add_argument("--method", choices=IMPORTANCE, default="taylor")
    parser.add_argument("--macs", type=float, default=0.5)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--shift", type=int, default=1, help="how far images are shifted at most, in pixels")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", default="pruned.onnx")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    generator = torch.Generator().manual_seed(args.seed)
    images, labels = cifar(args.data, [f"data_batch_{i}.bin" for i in range(1, 6)])
    test = cifar(args.data, ["test_batch.bin"])
    network = brought(args.network)
    said = {"method": args.method, "epochs": args.epochs, "seed": args.seed, "error_before": error_percent(network, *test)}
    start = time.time()
    said["macs_kept"], said["params_kept"] = cut(network, args.macs, args.method, images, labels)
    said["error_after_cut"] = error_percent(network, *test)
    train(network, images, labels, args.epochs, args.shift, generator)
    said["seconds"] = round(time.time() - start)
    said["error"] = error_percent(network, *test)
    said["onnx_difference"], said["ms"] = onnx_file(network, args.out, test[0])
    print(json.dumps(said))


main()
