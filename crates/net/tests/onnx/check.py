"""Checks and runs ONNX files: for each NAME.onnx of a folder, NAME.BATCH.in (f32) gives NAME.BATCH.out."""

import pathlib
import sys

import numpy
import onnx
import onnxruntime

for path in sorted(pathlib.Path(sys.argv[1]).glob("*.onnx")):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    for xs_path in sorted(path.parent.glob(path.stem + ".*.in")):
        batch = int(xs_path.suffixes[-2][1:])
        xs = numpy.fromfile(xs_path, numpy.float32).reshape([batch] + given.shape[1:])
        (ys,) = session.run(None, {given.name: xs})
        ys.tofile(xs_path.with_suffix(".out"))
    print(path.stem, onnxruntime.__version__)
