"""How long ONNX files take in onnxruntime: median and fastest call, in milliseconds.

    cargo run --release -p l0-infer --example latency FOLDER
    python experiments/bench/onnxruntime_latency.py FOLDER/dense.onnx FOLDER/compact.onnx

Batches, rounds and columns are those of the example, so the two can be run by turns and compared.
"""

import os
import pathlib
import statistics
import sys
import time

import numpy
import onnxruntime

BATCHES = [1, 64, 256]
ROUNDS = 31
ROUND = 0.01  # seconds; calls are repeated for so long


def session(path, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def round_ms(run, feed):
    """Mean milliseconds of a call."""
    start, calls = time.perf_counter(), 0
    while time.perf_counter() - start < ROUND:
        run(None, feed)
        calls += 1
    return (time.perf_counter() - start) * 1e3 / calls


def main():
    cases = []
    for path in sys.argv[1:]:
        for threads in (1, os.cpu_count()):
            opened = session(path, threads)
            (given,) = opened.get_inputs()
            for batch in BATCHES:
                xs = numpy.arange(batch * numpy.prod(given.shape[1:])) % 255 / numpy.float32(255)
                feed = {given.name: xs.astype(numpy.float32).reshape([batch] + given.shape[1:])}
                cases.append((pathlib.Path(path).stem, threads, batch, opened.run, feed, []))
    for _ in range(ROUNDS):
        for *_, run, feed, times in cases:
            times.append(round_ms(run, feed))
    print("| network | threads | batch | median ms | fastest ms |\n| --- | --- | --- | --- | --- |")
    for name, threads, batch, _, _, times in cases:
        print(f"| {name} | {threads} | {batch} | {statistics.median(times):.4f} | {min(times):.4f} |")


main()
