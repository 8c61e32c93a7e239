#!/usr/bin/env python3
"""Makes cases.safetensors: small ONNX files, one for each thing that exporters write, with what onnxruntime makes of
them, and such as must be refused. In the file are, for each case,

  NAME/file             the ONNX file, bytes
  NAME/input, /output   what it is given and what onnxruntime (every optimisation off) makes of it
  NAME/data             values that belong beside the file as NAME.onnx.data
  NAME/refused          the words of the refusal, divided by |, where the file is to be refused

  python3 -m venv venv && venv/bin/pip install onnx onnxruntime safetensors numpy
  venv/bin/python make.py [a folder with mlp-train.onnx and others, exported by PyTorch]
"""
import os, sys, zlib
import numpy as np, onnx, onnxruntime as ort
from onnx import helper as h, numpy_helper as nh, TensorProto as T
T_ = T
from safetensors.numpy import load_file, save_file
HERE = os.path.dirname(os.path.abspath(__file__))
CASES = {}

def draw(name):
    """Starts the random numbers of one case, which are its own: another case changes none of them."""
    global RNG
    RNG = np.random.default_rng(zlib.crc32(name.encode()))

class G:
    """A graph under construction: values by name, constants stored or as nodes."""
    def __init__(self, shape, opset=17, batch="n"):
        self.nodes, self.stored, self.opset, self.batch, self.shape = [], [], opset, batch, shape
        self.count, self.outputs, self.inputs, self.kind, self.made = 0, ["y"], ["x"], T.FLOAT, T.FLOAT
    def name(self):
        self.count += 1
        return f"v{self.count}"
    def w(self, *shape, name=None, positive=False):
        v = RNG.standard_normal(shape).astype(np.float32) * 0.5
        return self.c(np.abs(v) + 0.5 if positive else v, name)
    def c(self, v, name=None):
        v = np.asarray(v)
        if v.dtype == np.float64: v = v.astype(np.float32)
        name = name or self.name()
        self.stored.append(nh.from_array(v, name)); return name
    def i(self, *v): return self.c(np.array(v, np.int64))
    def __call__(self, kind, *inputs, outs=1, name=None, **attrs):
        o = [self.name() for _ in range(outs)]
        self.nodes.append(h.make_node(kind, list(inputs), o, name=name or f"{kind}_{self.count}", **attrs))
        return o[0] if outs == 1 else o

def case(shape, **options):
    def take(f):
        draw(f.__name__)
        g = G(shape, **options)
        out = f(g, "x")
        g.nodes.append(h.make_node("Identity", [out], ["y"], name="last"))
        CASES[f.__name__] = g
    return take

IMG, SMALL = (3, 7, 5), (2, 4, 3)

@case(IMG)
def conv_asymmetric(g, x): return g("Conv", x, g.w(4, 3, 3, 2, name="c.weight"), g.w(4, name="c.bias"), pads=[1, 0, 2, 1], strides=[2, 1], dilations=[1, 2], kernel_shape=[3, 2])
@case((4, 6, 5))
def conv_groups(g, x): return g("Conv", x, g.w(6, 2, 3, 3), group=2, auto_pad="SAME_UPPER", strides=[2, 2])
@case(IMG)
def conv_same_lower(g, x): return g("Conv", x, g.w(4, 3, 2, 4), auto_pad="SAME_LOWER")
@case(IMG)
def conv_valid(g, x): return g("Conv", x, g.w(4, 3, 2, 2), auto_pad="VALID")
@case(IMG)
def conv_plus(g, x): return g("Add", g.w(4, 1, 1), g("Conv", x, g.w(4, 3, 2, 2)))
@case(IMG)
def conv_frozen_norm(g, x): return g("Add", g("Mul", g("Conv", x, g.w(4, 3, 2, 2), g.w(4)), g.w(1, 4, 1, 1)), g.w(4, 1, 1))
@case(IMG)
def conv_read_twice(g, x):
    y = g("Conv", x, g.w(4, 3, 2, 2))
    return g("Add", g("Add", y, g.w(4, 1, 1)), g("Mul", y, g.w(4, 1, 1)))
@case(IMG)
def transposed(g, x): return g("ConvTranspose", x, g.w(3, 4, 3, 2), g.w(4), pads=[1, 0, 0, 1], strides=[2, 3], output_padding=[1, 0])
@case(IMG)
def transposed_plus(g, x): return g("Add", g("ConvTranspose", x, g.w(3, 4, 2, 2), strides=[2, 2], kernel_shape=[2, 2]), g.w(4, 1, 1))
@case((5,))
def gemm_all(g, x): return g("Gemm", x, g.w(5, 4), g.w(1, 4), alpha=0.5, beta=-2.0)
@case((5,))
def gemm_one_bias(g, x): return g("Gemm", x, g.w(4, 5), g.w(), transB=1)
@case((5,))
def matmul_add(g, x): return g("Relu", g("Add", g("MatMul", x, g.w(5, 4)), g.w(4)))
@case((5,))
def matmul_transposed(g, x): return g("Add", g.w(1, 4), g("MatMul", x, g("Transpose", g.w(4, 5, name="fc.weight"), perm=[1, 0])))
@case(IMG)
def norm_training(g, x):
    return g("BatchNormalization", x, g.w(3, name="b.weight"), g.w(3), g.w(3), g.w(3, positive=True), epsilon=1e-3)
@case((6,))
def norm_features(g, x): return g("BatchNormalization", x, g.w(6), g.w(6), g.w(6), g.w(6, positive=True))

def flatten_by_shape(g, x):
    n = g("Gather", g("Shape", x), g.c(np.array(0, np.int64)), axis=0)
    n = g("Unsqueeze", n, g.i(0))
    return g("Reshape", x, g("Concat", n, g.i(-1), axis=0))
@case(IMG)
def flatten_chain(g, x): return g("Gemm", flatten_by_shape(g, g("Relu", x)), g.w(4, 105), transB=1)
@case(IMG, opset=11)
def flatten_chain_11(g, x):
    n = g("Unsqueeze", g("Gather", g("Shape", x), g("Constant", value=nh.from_array(np.array(0, np.int64)))), axes=[0])
    return g("Gemm", g("Reshape", x, g("Concat", n, g("Constant", value=nh.from_array(np.array([-1], np.int64))), axis=0)), g.w(4, 105), transB=1)
@case(IMG)
def flatten_product(g, x):
    s = g("Shape", x)
    n, rest = g("Slice", s, g.i(0), g.i(1)), g("Slice", s, g.i(1), g.i(9))
    return g("Reshape", x, g("Concat", n, g("ReduceProd", rest, keepdims=1), axis=0))
@case(IMG, opset=15)
def flatten_shape_attributes(g, x):
    return g("Reshape", x, g("Concat", g("Shape", x, end=1), g("Mul", g("Mul", g("Shape", x, start=1, end=2), g("Shape", x, start=2, end=3)), g("Shape", x, start=-1)), axis=0))
@case(IMG)
def flatten_minus_one(g, x): return g("Reshape", x, g.i(-1, 105))
@case(IMG)
def flatten_keep_batch(g, x): return g("Reshape", x, g.i(0, -1))
@case(IMG, batch=1)
def flatten_fixed_batch(g, x): return g("Gemm", g("Reshape", x, g.i(1, -1)), g.w(4, 105), transB=1)
@case(IMG, batch=2)
def flatten_batch_of_two(g, x): return g("Reshape", x, g.i(2, 105))
@case(IMG)
def flatten_channels_last(g, x): return g("Gemm", g("Reshape", g("Transpose", x, perm=[0, 2, 3, 1]), g.i(0, -1)), g.w(4, 105), transB=1)
@case(IMG)
def flatten_negative(g, x): return g("Flatten", x, axis=-3)
@case(IMG)
def transposed_and_back(g, x): return g("Transpose", g("Transpose", x, perm=[0, 2, 3, 1]), perm=[0, 3, 1, 2])
@case((6, 4, 3))
def shuffle(g, x):
    y = g("Reshape", x, g.i(0, 2, 3, 4, 3))
    return g("Reshape", g("Transpose", y, perm=[0, 2, 1, 3, 4]), g.i(0, -1, 4, 3))
@case((6, 4, 3))
def shuffle_by_shape(g, x):
    s = g("Shape", x)
    at = lambda i: g("Unsqueeze", g("Gather", s, g.c(np.array(i, np.int64)), axis=0), g.i(0))
    y = g("Reshape", x, g("Concat", at(0), g.i(2), g("Div", at(1), g.i(2)), at(2), at(3), axis=0))
    y = g("Reshape", g("Transpose", y, perm=[0, 2, 1, 3, 4]), g("Concat", at(0), g.i(-1), at(2), at(3), axis=0))
    a, b = g("Split", y, axis=1, outs=2)
    return g("Concat", b, g("Relu", a), axis=1)
@case((6,))
def shuffle_features(g, x): return g("Reshape", g("Transpose", g("Reshape", x, g.i(0, 2, 3)), perm=[0, 2, 1]), g.i(0, 6))
@case((6, 4, 3))
def split_uneven(g, x):
    a, b = g("Split", x, g.i(2, 4), axis=1, outs=2)
    return g("Concat", g("Sigmoid", b), a, b, axis=1)
@case((5,), opset=18)
def split_outputs(g, x):
    a, b, c = g("Split", x, axis=-1, num_outputs=3, outs=3)
    return g("Concat", c, a, axis=1)
@case((6, 4, 3), opset=11)
def split_11(g, x):
    a, b = g("Split", x, axis=1, split=[1, 5], outs=2)
    return g("Concat", b, a, axis=1)
@case((6, 4, 3))
def slice_channels(g, x): return g("Slice", x, g.i(-1), g.i(-9223372036854775807), g.i(1), g.i(-2))
@case((6, 7, 5))
def slice_strided(g, x): return g("Slice", x, g.i(0, 1), g.i(9223372036854775807, 9223372036854775807), g.i(2, 3), g.i(2, 3))
@case((6, 7, 5), opset=9)
def slice_9(g, x): return g("Slice", x, starts=[2], ends=[5], axes=[1])
@case((6, 7, 5))
def slice_last(g, x): return g("Slice", g("Slice", x, g.i(-1), g.i(100), g.i(2)), g.i(0), g.i(2**31 - 1), g.i(0))
@case((6, 4, 3))
def gather_channels(g, x): return g("Gather", x, g.i(5, 0, -3), axis=1)
@case((6, 4, 3))
def gather_one(g, x): return g("Concat", *[g("Unsqueeze", g("Gather", x, g.c(np.array(i, np.int64)), axis=1), g.i(1)) for i in (2, 4)], axis=1)
@case(IMG)
def pad_all(g, x): return g("Pad", x, g.i(0, 1, 2, 0, 0, 2, 1, 3), g.c(np.float32(0)))
@case(IMG)
def zeros_beside(g, x): return g("Concat", g("ConstantOfShape", g("Shape", x)), x, axis=1)
@case(IMG)
def zeros_expanded(g, x): return g("Concat", x, g("Expand", g.c(np.float32(0)), g("Shape", x)), axis=1)
@case(IMG, opset=10)
def pad_10(g, x): return g("Pad", x, pads=[0, 0, 1, 1, 0, 0, 0, 2], mode="constant", value=0.0)
@case(IMG, opset=18)
def pad_axes(g, x): return g("Pad", x, g.i(1, 2, 0, 1), "", g.i(-1, 2))
@case((5,))
def pad_features(g, x): return g("Pad", x, g.i(0, 2, 0, 1))
@case((5,))
def pad_opaque(g, x):
    # as the older exporter writes it: pads turned around by Reshape, Slice and Transpose
    p = g("Concat", g.i(1, 2), g("ConstantOfShape", g.i(2), value=nh.from_array(np.array([0], np.int64))), axis=0)
    p = g("Slice", g("Reshape", p, g.i(-1, 2)), g.i(-1), g.i(-9223372036854775807), g.i(0), g.i(-1))
    return g("Pad", x, g("Cast", g("Reshape", g("Transpose", p, perm=[1, 0]), g.i(-1)), to=T.INT64), "")

def scalar(g, v): return g.c(np.float32(v))
@case(IMG)
def clip_inputs(g, x): return g("Clip", g("Clip", x, "", scalar(g, 1.0)), scalar(g, -0.5))
@case(IMG, opset=10)
def clip_attributes(g, x): return g("Clip", x, min=0.0, max=6.0)
@case(IMG, opset=10)
def clip_nothing(g, x): return g("Clip", x)
@case(IMG)
def max_min(g, x): return g("Min", g("Max", x, scalar(g, -0.2)), scalar(g, 0.3))
@case(IMG)
def hard_swish_div(g, x): return g("Div", g("Mul", x, g("Clip", g("Add", x, scalar(g, 3)), scalar(g, 0), scalar(g, 6))), scalar(g, 6))
@case(IMG)
def hard_swish_mul(g, x): return g("Mul", x, g("Div", g("Clip", g("Add", scalar(g, 3), x), scalar(g, 0), scalar(g, 6)), scalar(g, 6)))
@case(IMG)
def hard_swish_sixth(g, x): return g("Mul", g("Mul", g("Clip", g("Add", x, scalar(g, 3)), scalar(g, 0), scalar(g, 6)), scalar(g, 1 / 6)), x)
@case(IMG)
def hard_swish_sigmoid(g, x): return g("Mul", x, g("HardSigmoid", x, alpha=1 / 6, beta=0.5))
@case(IMG)
def hard_swish_almost(g, x): return g("Div", g("Mul", x, g("Clip", g("Add", x, scalar(g, 2)), scalar(g, 0), scalar(g, 6))), scalar(g, 6))
@case(IMG)
def hard_swish_of_another(g, x): return g("Div", g("Mul", g("Relu", x), g("Clip", g("Add", x, scalar(g, 3)), scalar(g, 0), scalar(g, 6))), scalar(g, 6))
@case(IMG)
def hard_sigmoid_parts(g, x): return g("Div", g("Clip", g("Add", x, scalar(g, 3)), scalar(g, 0), scalar(g, 6)), scalar(g, 6))
@case(IMG)
def silu(g, x): return g("Mul", g("Sigmoid", x), x)
@case(IMG)
def gelu_erf(g, x):
    e = g("Add", g("Erf", g("Div", x, scalar(g, np.sqrt(2)))), scalar(g, 1))
    return g("Mul", g("Mul", x, e), scalar(g, 0.5))
@case(IMG)
def gelu_erf_other(g, x):
    e = g("Add", scalar(g, 1), g("Erf", g("Mul", x, scalar(g, np.sqrt(0.5)))))
    return g("Mul", g("Mul", scalar(g, 0.5), x), e)
@case(IMG)
def gelu_tanh(g, x):
    cube = g("Pow", x, scalar(g, 3))
    t = g("Tanh", g("Mul", scalar(g, np.sqrt(2 / np.pi)), g("Add", x, g("Mul", scalar(g, 0.044715), cube))))
    return g("Mul", g("Mul", scalar(g, 0.5), x), g("Add", t, scalar(g, 1)))
@case(IMG)
def gelu_tanh_products(g, x):
    cube = g("Mul", g("Mul", g("Mul", x, x), x), scalar(g, 0.044715))
    t = g("Tanh", g("Mul", g("Add", x, cube), scalar(g, np.sqrt(2 / np.pi))))
    return g("Mul", scalar(g, 0.5), g("Mul", x, g("Add", scalar(g, 1), t)))
@case(IMG, opset=20)
def gelu_operator(g, x): return g("Gelu", g("Gelu", x, approximate="tanh"))
@case(IMG)
def activations(g, x):
    for kind, a in [("LeakyRelu", dict(alpha=0.2)), ("Elu", dict(alpha=0.7)), ("HardSigmoid", {}), ("Tanh", {}), ("HardSwish", {}), ("LeakyRelu", {}), ("Elu", {}), ("Sigmoid", {})]: x = g(kind, x, **a)
    return x
@case(IMG)
def prelu(g, x): return g("PRelu", g("PRelu", x, g.w(3, 1, 1)), g.w(1))
@case((4,))
def prelu_features(g, x): return g("PRelu", x, g.w(4))
@case((4,))
def softmax_12(g, x): return g("Softmax", x)
@case(IMG)
def softmax_channels(g, x): return g("Softmax", x, axis=1)
@case((4,), opset=11)
def softmax_11(g, x): return g("Softmax", x, axis=1)
@case(IMG)
def normalised_input(g, x): return g("Div", g("Sub", x, g.w(3, 1, 1)), g.w(1, 3, 1, 1, positive=True))
@case(IMG)
def constants_per_position(g, x): return g("Add", g("Add", x, g.w(7, 5)), g.w(3, 1, 5))
@case(IMG)
def less(g, x): return g("Neg", g("Sub", scalar(g, 1), x))
@case(IMG)
def sum_of_three(g, x): return g("Sum", x, g("Relu", x), g("Sigmoid", x))
@case(IMG)
def squeeze_excite(g, x):
    s = g("Relu", g("Conv", g("GlobalAveragePool", x), g.w(2, 3, 1, 1), g.w(2)))
    return g("Mul", x, g("HardSigmoid", g("Conv", s, g.w(3, 2, 1, 1)), alpha=0.2, beta=0.5))
@case(IMG)
def squeeze_excite_linear(g, x):
    s = g("Reshape", g("GlobalAveragePool", x), g.i(-1, 3))
    s = g("Sigmoid", g("Gemm", g("Relu", g("Gemm", s, g.w(2, 3), transB=1)), g.w(3, 2), transB=1))
    return g("Mul", x, g("Reshape", s, g.i(-1, 3, 1, 1)))
@case(IMG)
def squeeze_excite_expand(g, x):
    s = g("Gemm", g("ReduceMean", x, axes=[-1, -2], keepdims=0), g.w(3, 3), transB=1)
    s = g("Sigmoid", g("Unsqueeze", g("Unsqueeze", s, g.i(2)), g.i(3)))
    return g("Mul", g("Expand", s, g("Shape", x)), x)
@case(IMG)
def squeeze_excite_conv_of_features(g, x):
    s = g("Unsqueeze", g("ReduceMean", x, axes=[2, 3], keepdims=0), g.i(2, 3))
    s = g("Relu", g("Conv", s, g.w(2, 3, 1, 1), g.w(2)))
    return g("Mul", g("Sigmoid", g("Add", g("Conv", s, g.w(3, 2, 1, 1)), g.w(3, 1, 1))), x)
@case(IMG)
def max_pool(g, x): return g("MaxPool", x, kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1])
@case(IMG)
def max_pool_ceil(g, x): return g("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
@case(IMG)
def max_pool_one_apart(g, x): return g("MaxPool", x, kernel_shape=[2, 2])
@case((3, 6, 5))
def max_pool_same(g, x): return g("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")
@case(IMG)
def average_pool(g, x): return g("AveragePool", x, kernel_shape=[3, 3], strides=[2, 1], pads=[1, 1, 1, 1])
@case(IMG)
def average_pool_counted(g, x): return g("AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 1, 1], count_include_pad=1)
@case((2, 6, 8))
def average_pool_ceil(g, x): return g("AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 1, 0], ceil_mode=1)
@case((2, 6, 8))
def average_pool_ceil_counted(g, x): return g("AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 1, 0], ceil_mode=1, count_include_pad=1)
@case(IMG)
def average_pool_whole(g, x): return g("Flatten", g("AveragePool", x, kernel_shape=[7, 5]))
@case(IMG)
def global_pools(g, x): return g("Concat", g("Flatten", g("GlobalMaxPool", x)), g("Squeeze", g("GlobalAveragePool", x), g.i(2, 3)), g("ReduceMax", x, axes=[2, 3], keepdims=0), axis=1)
@case(IMG, opset=18)
def reduce_mean_input(g, x): return g("ReduceMean", x, g.i(2, 3), keepdims=0)
@case(SMALL)
def resize_scales(g, x): return g("Resize", x, "", g.c(np.array([1, 1, 2, 3], np.float32)), mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
@case(SMALL)
def resize_half_pixel(g, x): return g("Resize", x, "", g.c(np.array([1, 1, 2, 2], np.float32)), mode="nearest")
@case(SMALL)
def resize_sizes_by_shape(g, x):
    s = g("Shape", x)
    size = g("Mul", g("Slice", s, g.i(2), g.i(4)), g.i(2, 2))
    return g("Resize", x, "", "", g("Concat", g("Slice", s, g.i(0), g.i(2)), size, axis=0), mode="linear", coordinate_transformation_mode="pytorch_half_pixel")
@case(SMALL)
def resize_floats_by_shape(g, x):
    s = g("Slice", g("Shape", x), g.i(2), g.i(4))
    size = g("Cast", g("Floor", g("Mul", g("Cast", s, to=T.FLOAT), g.c(np.array([2, 2], np.float32)))), to=T.INT64)
    return g("Resize", x, "", "", g("Concat", g("Slice", g("Shape", x), g.i(0), g.i(2)), size, axis=0), mode="linear", coordinate_transformation_mode="align_corners")
@case(SMALL, opset=18)
def resize_axes(g, x): return g("Resize", x, "", g.c(np.array([2, 1], np.float32)), axes=[3, 2], mode="linear", coordinate_transformation_mode="half_pixel")
@case(SMALL, opset=10)
def resize_10(g, x): return g("Resize", x, g.c(np.array([1, 1, 2, 2], np.float32)), mode="nearest")
@case(SMALL, opset=9)
def upsample_9(g, x): return g("Upsample", x, g.c(np.array([1, 1, 3, 2], np.float32)), mode="nearest")
@case(IMG)
def dropouts_training(g, x): return g("Cast", g("Dropout", g("Identity", x), scalar(g, 0.5), g.c(np.array(False))), to=T.FLOAT)
@case(IMG)
def constants_of_all_forms(g, x):
    two = g("Cast", g("Constant", value_int=2), to=T.FLOAT)
    y = g("Mul", x, g("Sqrt", g("Constant", value_float=4.0)))
    y = g("Add", g("Mul", y, two), g("Constant", value_floats=[0.5]))
    y = g("Add", y, g("Cast", g("Range", g.c(np.array(1, np.int64)), g.c(np.array(6, np.int64)), g.c(np.array(1, np.int64))), to=T.FLOAT))
    return g("Slice", y, g("Constant", value_ints=[0]), g.i(9), g.i(2))
@case(IMG)
def where_expand(g, x):
    shape = g("Where", g("Equal", g.i(-1, 3, 7, 5), g("ConstantOfShape", g.i(4), value=nh.from_array(np.array([-1], np.int64)))), g("Shape", x), g.i(-1, 3, 7, 5))
    return g("Relu", g("Reshape", x, shape))
@case(IMG)
def two_inputs_stored_as_half(g, x):
    return g("Conv", x, g("Cast", g.c(RNG.standard_normal((2, 3, 1, 1)).astype(np.float16)), to=T.FLOAT))
@case(IMG)
def unused_branch(g, x):
    g("NonZero", x)
    return g("Relu", x)

# what stands behind the last layer
@case(IMG)
def end_log_softmax(g, x): return g("LogSoftmax", g("Gemm", g("Flatten", x), g.w(4, 105), g.w(4), transB=1), axis=1)
@case((4,), opset=11)
def end_log_softmax_11(g, x): return g("LogSoftmax", g("MatMul", x, g.w(4, 3)))
@case(IMG)
def end_log_softmax_of_positions(g, x): return g("LogSoftmax", g("Conv", x, g.w(4, 3, 2, 2)), axis=-3)
@case(IMG)
def end_log_softmax_regrouped(g, x): return g("Reshape", g("LogSoftmax", g("Conv", x, g.w(4, 3, 2, 2)), axis=1), g.i(0, 4, -1))
@case((5,))
def end_arg_max(g, x):
    g.made = T.INT64
    return g("ArgMax", g("MatMul", x, g.w(5, 4)), axis=1, keepdims=0)
@case((5,))
def end_arg_max_kept(g, x):
    g.made = T.INT64
    return g("ArgMax", g("LogSoftmax", g("MatMul", x, g.w(5, 4)), axis=-1), axis=-1)
@case(IMG)
def end_arg_max_of_positions(g, x):
    g.made = T.INT64
    return g("ArgMax", g("Conv", x, g.w(4, 3, 2, 2)), axis=1, keepdims=0)
@case((5,))
def end_squeezed(g, x): return g("Squeeze", g("Gemm", x, g.w(5, 1), g.w(1)), g.i(1))
@case((5,))
def end_viewed(g, x): return g("Reshape", g("MatMul", x, g.w(5, 1)), g.i(-1))
@case((5,))
def end_squeezed_and_bounded(g, x): return g("Sigmoid", g("Squeeze", g("MatMul", x, g.w(5, 1)), g.i(-1)))
@case((5,))
def end_unsqueezed(g, x): return g("Unsqueeze", g("MatMul", x, g.w(5, 3)), g.i(1))
@case(IMG)
def end_map_squeezed(g, x): return g("Squeeze", g("Conv", x, g.w(1, 3, 2, 2)), g.i(1))
@case(IMG)
def end_of_one_position(g, x): return g("GlobalAveragePool", g("Relu", g("Conv", x, g.w(4, 3, 2, 2))))
@case(IMG)
def end_convolved(g, x): return g("Conv", g("GlobalAveragePool", x), g.w(4, 3, 1, 1), g.w(4))
@case(IMG, opset=11)
def end_softmax_of_one_position(g, x): return g("Softmax", g("GlobalAveragePool", g("Conv", x, g.w(4, 3, 2, 2))), axis=1)
@case(IMG)
def end_sigmoid_of_one_position(g, x): return g("Sigmoid", g("Conv", g("GlobalMaxPool", x), g.w(4, 3, 1, 1)))

# what is several layers, or several operators
@case(IMG)
def selu(g, x): return g("Conv", g("Selu", g("Selu", x), alpha=1.5, gamma=0.7), g.w(2, 3, 1, 1))
@case(IMG)
def celu(g, x): return g("Celu", g("Celu", x, alpha=0.6))
@case(IMG)
def relu_then_min(g, x): return g("Min", g("Relu", x), scalar(g, 0.6))
@case(IMG)
def bounds_thrice(g, x): return g("Clip", g("Max", g("Min", x, scalar(g, 0.9)), scalar(g, -0.3)), scalar(g, -0.5), scalar(g, 0.4))
@case(IMG)
def mean_of_columns_and_rows(g, x): return g("ReduceMean", g("ReduceMean", x, axes=[3], keepdims=0), axes=[2], keepdims=0)
@case(IMG, opset=18)
def max_of_rows_and_columns(g, x): return g("Flatten", g("ReduceMax", g("ReduceMax", x, g.i(-2)), g.i(3)))
@case((3, 1, 5))
def mean_of_a_line(g, x): return g("ReduceMean", g("ReduceMean", x, axes=[3]), axes=[2])
@case(IMG)
def weight_norm(g, x):
    v = g.w(4, 3, 2, 2, name="c.weight_v")
    unit = g("Div", v, g("ReduceL2", v, axes=[1, 2, 3], keepdims=1))
    return g("Conv", x, g("Mul", unit, g.w(4, 1, 1, 1, name="c.weight_g")))
@case((5,))
def weights_about_their_mean(g, x):
    w = g.w(4, 5)
    w = g("Sub", w, g("ReduceMean", w, axes=[-1]))
    w = g("Div", w, g("Sqrt", g("ReduceSumSquare", w, axes=[1])))
    return g("Gemm", x, w, g("ReduceSum", w, g.i(1), keepdims=0), transB=1)
@case(IMG)
def norm_that_forgets_nothing(g, x):
    return g("BatchNormalization", x, g.w(3), g.w(3), g.w(3), g.w(3, positive=True), momentum=1.0)

# what must be refused: the graph, and words of the message
REFUSED = {}
def refused(shape, words, **options):
    def take(f):
        draw(f.__name__)
        g = G(shape, **options)
        out = f(g, "x")
        g.nodes.append(h.make_node("Identity", [out], ["y"], name="last"))
        REFUSED[f.__name__] = (g, words)
    return take
def node(kind, words, *inputs, shape=IMG, opset=17, batch="n", name=None, **attrs):
    draw(name or kind)
    g = G(shape, opset=opset, batch=batch)
    out = g(kind, "x", *[i(g) for i in inputs], name="it", **attrs)
    g.nodes.append(h.make_node("Identity", [out], ["y"], name="last"))
    REFUSED[name or kind.lower()] = (g, words if words.startswith("has") else f'node "it" ({kind})' + "|" + words)

f32 = lambda *v: (lambda g: g.c(np.array(v, np.float32)))
one = lambda v: (lambda g: g.c(np.float32(v)))
i64 = lambda *v: (lambda g: g.i(*v))
none = lambda g: ""
node("Softplus", "no layer does this", name="unknown_operator")
node("Relu", 'the domain "com.microsoft"|give the file from before that', domain="com.microsoft", name="another_domain")
node("Relu", 'the domain "com.microsoft.nchwc"|give the file from before that', domain="com.microsoft.nchwc", name="a_domain_of_blocks")
node("Relu", "inline_local_functions", domain="pkg.onnxscript.torch_lib", name="a_function_of_the_file")
node("Relu", "zipmap=False", domain="ai.onnx.ml", name="another_library")
node("Relu", 'the domain "org.someone"|understood alone', domain="org.someone", name="an_unknown_domain")
node("ArgMax", "axis 2 of 4 dimensions", axis=2, name="arg_max_of_rows")
node("ArgMax", "the first of the largest", axis=1, select_last_index=1, name="arg_max_last")
node("ReduceMean", "expected an image", shape=(4,), axes=[1], name="mean_of_features")
node("Celu", "alpha -1", alpha=-1.0, name="celu_turned_around")
node("Conv", "28 x 28 x 3 looks like images with channels last|--inputs-as-nchw x", lambda g: g.w(4, 3, 3, 3), shape=(28, 28, 3), name="channels_last_convolved")
node("Mul", "28 x 28 x 1 looks like images with channels last", lambda g: g.w(28, 1), shape=(28, 28, 1), name="channels_last_scaled")
node("Relu", 'the attribute "alpha"', alpha=0.5, name="unknown_attribute")
node("Conv", "weight of shape [4, 2, 3, 3]", lambda g: g.w(4, 2, 3, 3), name="conv_channels")
node("Conv", "2 groups", lambda g: g.w(4, 3, 3, 3), group=2, name="conv_groups_do_not_divide")
node("Conv", "kernel_shape", lambda g: g.w(4, 3, 3, 3), kernel_shape=[2, 2], name="conv_kernel_shape")
node("Conv", "pads [-1, 0, 0, 0]", lambda g: g.w(4, 3, 3, 3), pads=[-1, 0, 0, 0], name="conv_negative_pads")
node("Conv", "strides [0, 1]", lambda g: g.w(4, 3, 3, 3), strides=[0, 1], name="conv_stride_zero")
node("Conv", "four dimensions", lambda g: g.w(4, 3, 3), shape=(3,), name="conv_of_rows")
node("Conv", "a bias of shape [3]", lambda g: g.w(4, 3, 3, 3), lambda g: g.w(3), name="conv_bias")
node("Conv", "whole numbers", lambda g: g.c(np.ones((4, 3, 1, 1), np.int64)), name="conv_of_whole_numbers")
node("ConvTranspose", "output_shape", lambda g: g.w(3, 4, 2, 2), output_shape=[9, 9], name="transposed_output_shape")
node("Gemm", "transA", lambda g: g.w(5, 4), shape=(5,), transA=1, name="gemm_trans_a")
node("Gemm", "5 features and a weight", lambda g: g.w(6, 4), shape=(5,), name="gemm_shape")
node("MatMul", "expected features", lambda g: g.w(5, 4), name="matmul_of_images")
node("MaxPool", "dilations", kernel_shape=[2, 2], dilations=[2, 2], name="max_pool_dilated")
node("ReduceMean", "axes [1]", axes=[1], name="mean_of_channels")
node("Softmax", "axis -1", name="softmax_of_columns")
node("Softmax", "axis 1", opset=11, axis=1, name="softmax_of_everything")
node("Pad", 'mode "reflect"', i64(0, 0, 1, 1, 0, 0, 1, 1), mode="reflect", name="pad_reflected")
node("Pad", "with 1", i64(0, 0, 1, 1, 0, 0, 1, 1), one(1), name="pad_ones")
node("Pad", "cut something off", i64(0, 0, -1, 0, 0, 0, 0, 0), name="pad_negative")
node("Pad", "added to the batch", i64(1, 0, 0, 0, 0, 0, 0, 0), name="pad_batch")
node("Slice", "do not reach to the end", i64(0), i64(5), i64(2), name="crop")
node("Slice", "a part of the batch", i64(0), i64(1), i64(0), name="slice_batch")
node("Reshape", "does not leave the batch alone", i64(1, -1), name="reshape_batch_away")
node("Reshape", "does not leave the batch alone", i64(-1, 35), name="reshape_into_batch")
node("Reshape", "another number of values", i64(0, 36), name="reshape_wrong_size")
node("Transpose", "moves the batch", perm=[1, 0, 2, 3], name="transpose_batch")
node("Squeeze", "batch that is left out", shape=(3, 1, 1), batch=1, name="squeeze_batch")
node("Resize", 'the mode "cubic"', none, f32(1, 1, 2, 2), mode="cubic", name="resize_cubic")
node("Resize", "whole factors", none, f32(1, 1, 1.5, 2), mode="nearest", name="resize_by_half")
node("Resize", "linear positions", none, f32(1, 1, 2, 2), mode="linear", coordinate_transformation_mode="asymmetric", name="resize_linear_asymmetric")
node("Resize", "nearest positions", none, f32(1, 1, 3, 3), mode="nearest", coordinate_transformation_mode="asymmetric", name="resize_nearest_rounded")
node("Mul", "a factor for each position", lambda g: g.w(7, 5), name="factor_per_position")
node("Add", "do not spread", lambda g: g.w(4), name="constant_shape")
node("Add", "constants of shape [2, 3, 7, 5]", lambda g: g.w(2, 3, 7, 5), name="constant_per_example")
node("PRelu", "one for each channel", lambda g: g.w(5), name="prelu_per_column")
node("BatchNormalization", "a weight of shape [4]", lambda g: g.w(4), lambda g: g.w(3), lambda g: g.w(3), lambda g: g.w(3), name="norm_shape")
node("Clip", "bounds 1 and 0", one(1), one(0), name="clip_bounds")
node("Relu", "has opset 23", opset=23, name="opset_too_new")
node("Relu", "has opset 8|onnx.version_converter", opset=8, name="opset_too_old")
node("Cast", "INT64", to=T.INT64, name="cast_to_whole_numbers")
node("Gather", "beyond 3", i64(3), axis=1, name="gather_beyond")

@refused(IMG, 'node "sub" (Sub)|difference of two values')
def difference(g, x): return g("Sub", x, g("Relu", x), name="sub")
@refused(IMG, 'node "add" (Add)|equal shapes')
def sum_of_unequal(g, x): return g("Add", x, g("GlobalAveragePool", x), name="add")
@refused(IMG, 'node "conv" (Conv)|its weight computed by node "w"')
def weight_computed(g, x): return g("Conv", x, g("Relu", x, name="w"), name="conv")
@refused(IMG, 'node "next" (Relu)|whose output 1')
def mask_read(g, x):
    y, m = g("Dropout", x, outs=2, name="drop")
    return g("Relu", m, name="next")
@refused(IMG, 'reads node "erf" (Erf)')
def erf_alone(g, x): return g("Conv", g("Erf", x, name="erf"), g.w(2, 3, 1, 1), name="conv")
@refused(IMG, 'reads node "t" (Transpose)')
def channels_last(g, x): return g("Conv", g("Transpose", x, perm=[0, 3, 1, 2], name="t"), g.w(2, 5, 1, 1))
@refused(IMG, 'node "c" (Concat)|axis 2')
def concat_rows(g, x): return g("Concat", x, x, axis=2, name="c")
@refused(IMG, 'a cycle, on which node "one"')
def cycle(g, x):
    g.nodes.append(h.make_node("Add", [x, "b"], ["a"], name="one")); g.nodes.append(h.make_node("Relu", ["a"], ["b"], name="two"))
    return "b"
@refused(IMG, 'the input "nowhere", which nothing makes')
def missing_value(g, x): return g("Add", x, "nowhere", name="add")
@refused(IMG, 'two nodes that make "a"')
def made_twice(g, x):
    for n in "pq": g.nodes.append(h.make_node("Relu", [x], ["a"], name=n))
    return "a"
@refused(IMG, 'output "y"|does not depend on its input')
def constant_output(g, x): return g("Add", g.w(3), g.w(3))
@refused(IMG, 'tensor "w"|8 bytes of raw data, expected 4 for each of 12 values')
def raw_data_too_short(g, x):
    g.stored.append(T_(name="w", data_type=1, dims=[4, 3, 1, 1], raw_data=b"12345678")); return g("Conv", x, "w")
@refused(IMG, 'tensor "w"|brings the values of the file to 1152921504606846976')
def values_claimed(g, x):
    g.stored.append(T_(name="w", data_type=1, dims=[1 << 30, 1 << 30], raw_data=b"")); return g("Conv", x, "w")
@refused(IMG, 'tensor "w"|more values than can be counted')
def values_beyond_counting(g, x):
    g.stored.append(T_(name="w", data_type=1, dims=[1 << 40, 1 << 40], float_data=[1.0])); return g("Conv", x, "w")
@refused(IMG, 'tensor "w"|negative dimension -4')
def negative_dimension(g, x):
    g.stored.append(T_(name="w", data_type=1, dims=[-4, 3], float_data=[1.0])); return g("Conv", x, "w")
@refused(IMG, 'tensor "w"|numbers of type 8')
def texts(g, x):
    g.stored.append(T_(name="w", data_type=8, dims=[1], string_data=[b"a"])); return g("Conv", x, "w")
@refused(IMG, 'node "fill" (ConstantOfShape)|more values than the file justifies')
def filled_beyond_reason(g, x): return g("Add", x, g("ConstantOfShape", g.i(1 << 20, 1 << 20), name="fill"))
@refused(IMG, 'node "r" (Range)|more values than the file justifies')
def range_beyond_reason(g, x): return g("Add", x, g("Cast", g("Range", g.c(np.int64(0)), g.c(np.int64(1 << 60)), g.c(np.int64(1)), name="r"), to=1))
def external(location):
    def make(g, x):
        t = T_(name="w", data_type=1, dims=[1, 3, 1, 1], data_location=1)
        for k, v in {"location": location, "offset": "0", "length": "12"}.items():
            e = t.external_data.add(); e.key, e.value = k, v
        g.stored.append(t); return g("Conv", x, "w")
    return make
for n, l in {"external_above": "../../etc/passwd", "external_absolute": "/etc/passwd", "external_inside_out": "a/../../passwd"}.items():
    f = external(l); f.__name__ = n; refused(IMG, 'tensor "w"|outside of the model\'s folder')(f)
@refused((3, "h", "w"), 'size of its input "x" open, ? x ?')
def size_open(g, x): return g("Relu", x)
@refused((None, 7, 5), 'an input "x" of shape ? x ? x 7 x 5|have to be numbers')
def channels_open(g, x): return g("Relu", x)
@refused((28, 28), 'an input "x" of shape ? x 28 x 28|export it for images of one channel with (batch, 1, 28, 28)')
def images_without_channels(g, x): return g("Relu", x)
@refused((3, 7, 5, 2), "expected (batch, channels, height, width)")
def volumes(g, x): return g("Relu", x)
@refused(IMG, 'node "s" (Split)|parts of [1, 1] of 3')
def split_sizes(g, x): return g("Add", *g("Split", x, g.i(1, 1), axis=1, outs=2, name="s"))
@refused(IMG, 'node "c" (Conv)|its weight holds NaN')
def not_a_number(g, x): return g("Conv", x, g.c(np.full((2, 3, 1, 1), np.nan, np.float32)), name="c")
@refused(IMG, '2 outputs ("y", "z")|onnx.utils.extract_model')
def two_outputs(g, x):
    g.outputs = ["y", "z"]; return g("Relu", x)
@refused(IMG, '2 inputs ("x", "z")')
def two_inputs(g, x):
    g.inputs = ["x", "z"]; return g("Add", x, "z")
@refused(IMG, 'an input "x" of INT64|onnx.utils.extract_model')
def whole_numbers(g, x):
    g.kind = T.INT64; return g("Relu", g("Cast", x, to=T.FLOAT))

@refused(IMG, 'reads node "it" (LogSoftmax)|as the end of a network alone')
def log_softmax_inside(g, x): return g("Conv", g("LogSoftmax", x, axis=1, name="it"), g.w(2, 3, 1, 1))
@refused(IMG, 'node "it" (ArgMax)')
def arg_max_of_regrouped(g, x): return g("ArgMax", g("Reshape", g("LogSoftmax", x, axis=1), g.i(0, -1)), axis=1, name="it")
@refused(IMG, 'node "it" (Cast)|numbers of classes made floats')
def classes_made_floats(g, x): return g("Cast", g("ArgMax", x, axis=1), to=T.FLOAT, name="it")
@refused(IMG, 'node "it" (Conv)|reduces rows or columns alone')
def mean_of_rows_alone(g, x): return g("Conv", g("ReduceMean", x, axes=[3]), g.w(2, 3, 1, 1), name="it")
@refused(IMG, 'node "it" (ReduceMean)|expected the other')
def mean_of_rows_twice(g, x): return g("ReduceMean", g("ReduceMean", x, axes=[3]), axes=[3], name="it")
@refused((28, 28, 3), 'an output "y" that|looks like images with channels last')
def channels_last_moved(g, x): return g("Reshape", g("Transpose", x, perm=[0, 3, 1, 2]), g.i(0, 3, 784))
@refused(IMG, 'node "it" (Tan)|for which it is not computed beforehand|onnxsim')
def not_computed_beforehand(g, x): return g("Mul", x, g("Tan", g.w(3, 1, 1), name="it"))

# numbers of 8 bits
def qdq(g, x, scale, zero=None, middle=lambda x: x):
    """A value rounded to a grid; `middle` is done to its codes."""
    pair = [g.c(np.float32(scale))] + ([g.c(zero)] if zero is not None else [])
    return g("DequantizeLinear", middle(g("QuantizeLinear", x, *pair)), *pair)

def codes(g, shape, scales, name, kind=np.int8, **attrs):
    """Stored codes made numbers."""
    most = 127 if kind == np.int8 else 5000
    stored = g.c(RNG.integers(-most, most + 1, shape).astype(kind), name=name)
    return g("DequantizeLinear", stored, g.c(np.array(scales, np.float32)), **attrs)

@case(IMG)
def qdq_conv(g, x):
    x = qdq(g, x, 0.031, np.uint8(120))
    w = codes(g, (4, 3, 2, 2), [0.01, 0.02, 0.015, 0.03], "conv.weight", axis=0)
    b = codes(g, (4,), [0.01 * 0.031, 0.02 * 0.031, 0.015 * 0.031, 0.03 * 0.031], "conv.bias", np.int32, axis=0)
    return qdq(g, g("Relu", g("Conv", x, w, b)), 0.11, np.uint8(0))
@case((5,))
def qdq_signed(g, x):
    return g("MatMul", qdq(g, x, 0.03, np.int8(-7)), qdq(g, g.w(5, 4, name="fc.weight"), 0.02, np.int8(0)))
@case((5,), opset=13)
def qdq_columns(g, x):
    return g("MatMul", qdq(g, x, 0.05), codes(g, (5, 3), [0.01, 0.02, 0.03], "fc.weight", axis=-1))
@case(IMG)
def qdq_moved(g, x):
    pooled = qdq(g, x, 0.03, np.uint8(128), lambda x: g("Flatten", g("MaxPool", x, kernel_shape=[2, 2])))
    return g("MatMul", pooled, g.w(72, 2))

@refused(IMG, 'node "other" (DequantizeLinear)|codes of another scale or zero point')
def qdq_other_scale(g, x):
    return g("DequantizeLinear", g("QuantizeLinear", x, g.c(np.float32(0.1))), g.c(np.float32(0.2)), name="other")
@refused(IMG, 'node "codes" (QuantizeLinear)|a scale of 0')
def qdq_no_scale(g, x): return g("QuantizeLinear", x, g.c(np.float32(0)), name="codes")
@refused(IMG, 'node "codes" (QuantizeLinear)|3 scales for a value, expected one')
def qdq_channels(g, x):
    return g("QuantizeLinear", x, g.c(np.full(3, 0.1, np.float32)), g.c(np.zeros(3, np.uint8)), axis=1, name="codes")
@refused(IMG, 'node "codes" (QuantizeLinear)|codes of INT16, expected UINT8 or INT8', opset=21)
def qdq_wide(g, x): return g("QuantizeLinear", x, g.c(np.float32(0.1)), g.c(np.int16(0)), name="codes")
@refused((5,), 'node "w" (DequantizeLinear)|2 scales along axis 0 of a shape [5, 3]')
def qdq_rows(g, x):
    w = g("DequantizeLinear", g.c(np.zeros((5, 3), np.int8)), g.c(np.ones(2, np.float32)), axis=0, name="w")
    return g("MatMul", x, w)
@refused((5,), 'node "dynamic" (DynamicQuantizeLinear)|(QDQ)')
def quantised_by_the_batch(g, x):
    codes, scale, zero = g("DynamicQuantizeLinear", x, outs=3, name="dynamic")
    return g("DequantizeLinear", codes, scale, zero)

half = lambda *shape: np.full(shape, 0.5, np.float32)
@refused((2, 4, 3), 'node "it" (Mul)|moves numbers')
def part_of_a_gate(g, x):
    gate = g("MatMul", g("Flatten", x), g.c(half(24, 8)))
    image = g("Conv", x, g.c(half(8, 2, 1, 1)))
    first = g("Unsqueeze", g("Slice", gate, g.i(0), g.i(1), g.i(1)), g.i(2, 3))
    return g("Mul", image, first, name="it")
@refused((5,), 'node "it" (Add)|moves numbers')
def part_of_the_features(g, x):
    y = g("Slice", g("MatMul", x, g.c(half(5, 8))), g.i(0), g.i(4), g.i(1))
    return g("Flatten", g("Add", g("Reshape", y, g.i(-1, 4, 1, 1)), g.c(half(4, 1, 1)), name="it"))
@refused((2, 3, 3), 'node "it" (Mul)')
def a_gate_for_each_column(g, x):
    row = g("MatMul", g("Flatten", x), g.c(half(18, 3)))
    image = g("Conv", x, g.c(half(3, 2, 1, 1)))
    gate = g("Expand", g("Reshape", row, g.i(-1, 1, 1, 3)), g.i(1, 3, 3, 3))
    return g("Mul", image, gate, name="it")
@refused((5,), 'node "it" (Conv)|a part of the features')
def a_part_of_the_features_as_an_image(g, x):
    y = g("Slice", g("MatMul", x, g.c(half(5, 8))), g.i(0), g.i(4), g.i(1))
    return g("Flatten", g("Conv", g("Unsqueeze", y, g.i(2, 3)), g.c(half(3, 4, 1, 1)), name="it"))
@refused(IMG, 'node "it" (Mod)|fmod', opset=13)
def remainder_with_a_sign(g, x):
    return g("Reshape", x, g("Concat", g.i(-1), g("Abs", g("Mod", g.i(-105), g.i(1000), fmod=1, name="it")), axis=0))
@refused(IMG, 'node "it" (QuantizeLinear)|the type of the codes is not known')
def a_computed_zero_point(g, x):
    zero = g("Reshape", g("Sub", g.c(np.int8([3])), g.c(np.int8([3]))), g.c(np.array([], np.int64)))
    scale = g.c(np.float32(0.1))
    return g("DequantizeLinear", g("QuantizeLinear", x, scale, zero, name="it"), scale, zero)

def model(g):
    dims = [g.batch, *g.shape]
    ins = [h.make_tensor_value_info(n, g.kind, dims) for n in g.inputs]
    outs = [h.make_tensor_value_info(n, g.made, None) for n in g.outputs]
    m = h.make_model(h.make_graph(g.nodes, "g", ins, outs, g.stored), opset_imports=[h.make_opsetid("", g.opset)], producer_name="make.py")
    m.ir_version = 8
    return m

def run(data, x):
    options = ort.SessionOptions()
    options.graph_optimization_level, options.log_severity_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL, 3
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"]).run(None, {"input" if b"\x05input" in data else "x": x})[0]

def put(tensors, name, data, x, y):
    tensors[f"{name}/file"] = np.frombuffer(data, np.uint8)
    tensors[f"{name}/input"], tensors[f"{name}/output"] = x, np.ascontiguousarray(y.astype(np.float32))

def trained(m):
    """The file as if exported for training; what it computes in evaluation is meant all the same."""
    for n in m.graph.node:
        if n.op_type == "BatchNormalization":
            n.attribute.append(h.make_attribute("training_mode", 1)); n.output.extend(["mean", "var"])
        if n.op_type == "Dropout":
            n.output.append("mask")
            next(t for t in m.graph.initializer if t.name == n.input[2]).CopyFrom(nh.from_array(np.array(True), n.input[2]))
    return m

def external(tensors):
    """A file whose values lie beside it."""
    g = CASES["conv_asymmetric"]
    m = model(g)
    x = tensors["conv_asymmetric/input"]
    data = b"".join(t.raw_data for t in m.graph.initializer)
    at = 0
    for t in m.graph.initializer:
        n = len(t.raw_data)
        t.ClearField("raw_data")
        t.data_location = T.EXTERNAL
        for key, value in {"location": "external.onnx.data", "offset": str(at), "length": str(n)}.items():
            e = t.external_data.add(); e.key, e.value = key, value
        at += n
    put(tensors, "external", m.SerializeToString(), x, tensors["conv_asymmetric/output"])
    tensors["external/data"] = np.frombuffer(data, np.uint8)

if __name__ == "__main__":
    tensors = {}
    for name, g in CASES.items():
        data = model(g).SerializeToString()
        draw(f"{name}/input")
        x = RNG.standard_normal((g.batch if isinstance(g.batch, int) else 2, *g.shape)).astype(np.float32) * 2
        y = run(data, x)
        put(tensors, name, trained(model(g)).SerializeToString() if name.endswith("_training") else data, x, y)
    external(tensors)
    for name, (g, said) in REFUSED.items():
        tensors[f"{name}/file"] = np.frombuffer(model(g).SerializeToString(), np.uint8)
        tensors[f"{name}/refused"] = np.frombuffer(said.encode(), np.uint8)
    for name in ["mlp-dynamo", "mobilenet-v1-train"] if len(sys.argv) > 1 else []:
        data = open(os.path.join(sys.argv[1], f"{name}.onnx"), "rb").read()
        io = load_file(os.path.join(sys.argv[1], f"{name}.safetensors"))
        put(tensors, name, data, io["input"][:1], io["output"][:1])
    save_file(tensors, os.path.join(HERE, "cases.safetensors"))
    print(len(CASES), "cases,", len(REFUSED), "refused,", os.path.getsize(os.path.join(HERE, "cases.safetensors")), "bytes")
