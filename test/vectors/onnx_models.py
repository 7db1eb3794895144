"""Models with features that users of other importers reported as broken, each with the outputs that PyTorch or NumPy give.

    /usr/bin/python3 test/vectors/onnx_models.py > test/vectors/onnx_models.json     (Debian's python3-onnx, python3-torch)
"""
import base64
import json

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper

random = np.random.default_rng(7)
cases = []


def values(*shape):
    return random.normal(size=shape).astype(np.float32)


def save(name, nodes, inputs, outputs, initializers=None, opset=13, shapes=None, edit=None, functions=None, more_opsets=()):
    """inputs, outputs: name -> array; shapes: declared shapes of inputs where they are not those of the arrays."""
    shapes = shapes or {}
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, shapes.get(n, a.shape)) for n, a in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs],
        [v if isinstance(v, TensorProto) else numpy_helper.from_array(v, k) for k, v in (initializers or {}).items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset), *(helper.make_opsetid(d, v) for d, v in more_opsets)]
    )
    model.ir_version = 7
    data = edit(model) if edit else model.SerializeToString()
    cases.append(
        dict(
            name=name,
            model=base64.b64encode(data).decode(),
            inputs={n: dict(shape=list(a.shape), data=[float(x) for x in a.ravel()]) for n, a in inputs.items()},
            outputs={n: dict(shape=list(a.shape), data=[float(np.float32(x)) for x in np.asarray(a).ravel()]) for n, a in outputs.items()},
        )
    )


def t(a):
    return torch.from_numpy(np.asarray(a))


N = helper.make_node

# Gemm
x, b = values(3, 4), values(4, 5)
for title, c in dict(scalar=values(), one=values(1), row=values(1, 5), vector=values(5)).items():
    save(f"gemm transB 0, alpha 0.5, beta 2, bias {title}", [N("Gemm", ["x", "b", "c"], ["y"], alpha=0.5, beta=2.0)],
         dict(x=x), dict(y=0.5 * x @ b + 2 * c), dict(b=b, c=c), shapes=dict(x=("n", 4)))
save("gemm transB 1 without bias", [N("Gemm", ["x", "b"], ["y"], transB=1)], dict(x=x), dict(y=x @ b), dict(b=b.T.copy()), shapes=dict(x=("n", 4)))
save("parallel gemms", [N("Gemm", ["x", "b"], ["p"]), N("Gemm", ["x", "c"], ["q"]), N("Add", ["p", "q"], ["y"])],
     dict(x=x), dict(y=x @ b + x @ (b * 2)), dict(b=b, c=b * 2), shapes=dict(x=("n", 4)))
save("matmul and add", [N("MatMul", ["x", "b"], ["p"]), N("Add", ["c", "p"], ["y"])], dict(x=x), dict(y=x @ b + b[0]), dict(b=b, c=b[0].copy()), shapes=dict(x=("n", 4)))

# Windows
x, w = values(2, 3, 7, 6), values(4, 3, 3, 4)
for mode in ("SAME_UPPER", "SAME_LOWER"):
    sides = []
    for side, k in ((7, 3), (6, 4)):
        total = max(0, (-(-side // 2) - 1) * 2 + k - side)
        less = total // 2
        sides.append((less, total - less) if mode == "SAME_UPPER" else (total - less, less))
    (top, bottom), (left, right) = sides
    y = F.conv2d(F.pad(t(x), (left, right, top, bottom)), t(w), stride=2)
    save(f"conv auto_pad {mode}", [N("Conv", ["x", "w"], ["y"], auto_pad=mode, strides=[2, 2])], dict(x=x), dict(y=y.numpy()), dict(w=w), shapes=dict(x=("n", 3, 7, 6)))
y = F.conv2d(F.pad(t(x), (2, 1, 0, 3)), t(w), stride=(1, 2))
save("conv asymmetric pads", [N("Conv", ["x", "w"], ["y"], pads=[0, 2, 3, 1], strides=[1, 2])], dict(x=x), dict(y=y.numpy()), dict(w=w))
y = F.max_pool2d(t(x), 3, stride=2, padding=1, ceil_mode=True)
save("max pool rounded up", [N("MaxPool", ["x"], ["y"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1)], dict(x=x), dict(y=y.numpy()))
for count in (0, 1):
    y = F.avg_pool2d(t(x), 3, stride=2, padding=1, ceil_mode=True, count_include_pad=bool(count))
    save(f"average pool rounded up, count_include_pad {count}", [N("AveragePool", ["x"], ["y"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1, count_include_pad=count)], dict(x=x), dict(y=y.numpy()))
x1 = values(2, 3, 9)
w1 = values(4, 3, 3)
save("conv over one axis", [N("Conv", ["x", "w"], ["y"], pads=[1, 1], strides=[2])], dict(x=x1), dict(y=F.conv1d(t(x1), t(w1), padding=1, stride=2).numpy()), dict(w=w1), shapes=dict(x=("n", 3, 9)))
x3, w3 = values(2, 3, 5, 6, 4), values(4, 3, 3, 2, 3)
save("conv over three axes", [N("Conv", ["x", "w"], ["y"], pads=[1, 0, 1, 1, 0, 1])], dict(x=x3), dict(y=F.conv3d(t(x3), t(w3), padding=(1, 0, 1)).numpy()), dict(w=w3), shapes=dict(x=("n", 3, 5, 6, 4)))
save("max pool over three axes", [N("MaxPool", ["x"], ["y"], kernel_shape=[2, 3, 2], strides=[1, 2, 2], pads=[0, 1, 0, 0, 1, 0])], dict(x=x3), dict(y=F.max_pool3d(t(x3), (2, 3, 2), (1, 2, 2), (0, 1, 0)).numpy()))
wt = values(3, 2, 3, 3)
save("transposed conv, groups 1", [N("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1])], dict(x=x), dict(y=F.conv_transpose2d(t(x), t(wt), stride=2, padding=1, output_padding=1).numpy()), dict(w=wt), shapes=dict(x=("n", 3, 7, 6)))

# Normalizations
scale, shift, mean, variance = values(3), values(3), values(3), np.abs(values(3)) + 0.5
bn = dict(s=scale, b=shift, m=mean, v=variance)
save("batch norm behind a conv without bias", [N("Conv", ["x", "w"], ["c"]), N("BatchNormalization", ["c", "s", "b", "m", "v"], ["y"])],
     dict(x=x), dict(y=F.batch_norm(F.conv2d(t(x), t(w[:3])), t(mean), t(variance), t(scale), t(shift)).numpy()), dict(w=w[:3].copy(), **bn), shapes=dict(x=("n", 3, 7, 6)))
xv = values(4, 3)
save("batch norm of vectors", [N("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"], epsilon=1e-3)], dict(x=xv),
     dict(y=F.batch_norm(t(xv), t(mean), t(variance), t(scale), t(shift), eps=1e-3).numpy()), bn, shapes=dict(x=("n", 3)))
save("instance norm", [N("InstanceNormalization", ["x", "s", "b"], ["y"])], dict(x=x), dict(y=F.instance_norm(t(x), weight=t(scale), bias=t(shift)).numpy()), dict(s=scale, b=shift))
ls, lb = values(6), values(6)
save("layer norm", [N("LayerNormalization", ["x", "s", "b"], ["y"])], dict(x=x), dict(y=F.layer_norm(t(x), (6,), t(ls), t(lb)).numpy()), dict(s=ls, b=lb), opset=17)
m = "axes"
two = np.float32(2)
ln = [N("ReduceMean", ["x"], ["mean"], axes=[-1]), N("Sub", ["x", "mean"], ["d"]), N("Pow", ["d", "two"], ["sq"]), N("ReduceMean", ["sq"], ["var"], axes=[-1]),
      N("Add", ["var", "eps"], ["ve"]), N("Sqrt", ["ve"], ["sd"]), N("Div", ["d", "sd"], ["z"]), N("Mul", ["z", "s"], ["zs"]), N("Add", ["zs", "b"], ["y"])]
save("layer norm spelled out", ln, dict(x=x), dict(y=F.layer_norm(t(x), (6,), t(ls), t(lb)).numpy()), dict(two=two, eps=np.float32(1e-5), s=ls, b=lb), shapes=dict(x=("n", 3, 7, 6)))
for opset in (11, 13):
    y = F.softmax(t(x).reshape(2, -1), 1).reshape(2, 3, 7, 6) if opset < 13 else F.softmax(t(x), 1)
    save(f"softmax over axis 1, operator set {opset}", [N("Softmax", ["x"], ["y"], axis=1)], dict(x=x), dict(y=y.numpy()), opset=opset, shapes=dict(x=("n", 3, 7, 6)))
save("log softmax of large numbers", [N("LogSoftmax", ["x"], ["y"], axis=-1)], dict(x=xv * 100), dict(y=F.log_softmax(t(xv * 100), 1).numpy()), shapes=dict(x=("n", 3)))

# Reductions, shapes
save("reduce mean, axes as attribute", [N("ReduceMean", ["x"], ["y"], axes=[2, 3], keepdims=0)], dict(x=x), dict(y=x.mean((2, 3))), shapes=dict(x=("n", 3, 7, 6)))
save("reduce mean, axes as input", [N("ReduceMean", ["x", "a"], ["y"], keepdims=0)], dict(x=x), dict(y=x.mean((2, 3))), dict(a=np.array([2, 3], np.int64)), opset=18, shapes=dict(x=("n", 3, 7, 6)))
x1n = values(1, 3, 2, 2)
save("reshape to 1, -1 under an open batch", [N("Reshape", ["x", "s"], ["y"])], dict(x=x1n), dict(y=x1n.reshape(1, -1)), dict(s=np.array([1, -1], np.int64)), shapes=dict(x=("n", 3, 2, 2)))
save("scalar initializers", [N("Mul", ["x", "a"], ["m"]), N("Sub", ["a", "m"], ["y"])], dict(x=x), dict(y=np.float32(3) - x * np.float32(3)), dict(a=np.float32(3)), shapes=dict(x=("n", 3, 7, 6)))
ws = values(3, 3, 3, 3)
save("one initializer used by two nodes", [N("Conv", ["x", "w"], ["a"], pads=[1] * 4), N("Conv", ["a", "w"], ["y"], pads=[1] * 4)],
     dict(x=x), dict(y=F.conv2d(F.conv2d(t(x), t(ws), padding=1), t(ws), padding=1).numpy()), dict(w=ws), shapes=dict(x=("n", 3, 7, 6)))
for opset in (7, 9):
    scales = np.array([1, 1, 2, 3], np.float32)
    node = N("Upsample", ["x"], ["y"], scales=[1.0, 1.0, 2.0, 3.0]) if opset == 7 else N("Upsample", ["x", "s"], ["y"])
    save(f"upsample, operator set {opset}", [node], dict(x=x), dict(y=x.repeat(2, 2).repeat(3, 3)), {} if opset == 7 else dict(s=scales), opset=opset, shapes=dict(x=("n", 3, 7, 6)))
xh = values(2, 6, 5, 3)
nhwc = [N("Transpose", ["x"], ["a"], perm=[0, 3, 1, 2]), N("Conv", ["a", "w"], ["b"], pads=[1] * 4), N("Transpose", ["b"], ["c"], perm=[0, 2, 3, 1]), N("Relu", ["c"], ["d"]),
        N("Transpose", ["d"], ["e"], perm=[0, 3, 1, 2]), N("MaxPool", ["e"], ["f"], kernel_shape=[2, 2], strides=[2, 2]), N("Transpose", ["f"], ["g"], perm=[0, 2, 3, 1]),
        N("Reshape", ["g", "s"], ["h"]), N("MatMul", ["h", "m"], ["i"]), N("Add", ["i", "bias"], ["y"])]
dense = values(3 * 2 * 3, 4)
inner = F.max_pool2d(F.relu(F.conv2d(t(xh).permute(0, 3, 1, 2), t(ws), padding=1)), 2).permute(0, 2, 3, 1).reshape(2, -1)
bias = values(4)
save("NHWC as tf2onnx writes it, dims named unk__", nhwc, dict(x=xh), dict(y=(inner @ t(dense) + t(bias)).numpy()), dict(w=ws, s=np.array([-1, 18], np.int64), m=dense, bias=bias), shapes=dict(x=("unk__12", 6, 5, 3)))
gathered = [N("Shape", ["x"], ["s"]), N("Gather", ["s", "zero"], ["n"], axis=0), N("Unsqueeze", ["n"], ["n1"], axes=[0]), N("Constant", [], ["rest"], value=numpy_helper.from_array(np.array([-1], np.int64))),
            N("Concat", ["n1", "rest"], ["sides"], axis=0), N("Reshape", ["x", "sides"], ["y"])]
save("flatten spelled as shape, gather, concat, reshape", gathered, dict(x=x), dict(y=x.reshape(2, -1)), dict(zero=np.array(0, np.int64)), opset=11, shapes=dict(x=("n", 3, 7, 6)))
stretch = [N("Shape", ["x"], ["s"]), N("Slice", ["s", "from", "to"], ["head"]), N("Concat", ["head", "sides"], ["shape"], axis=0), N("ConstantOfShape", ["shape"], ["zeros"], value=numpy_helper.from_array(np.array([0], np.int64))),
           N("Add", ["shape", "one"], ["more"]), N("Sub", ["more", "one"], ["same"]), N("Expand", ["x", "same"], ["y"])]
xe = values(2, 3, 1)
save("expand to a computed shape", stretch[:3] + stretch[4:], dict(x=xe), dict(y=np.broadcast_to(xe, (2, 3, 4))), dict(**{"from": np.array([0], np.int64)}, to=np.array([1], np.int64), sides=np.array([3, 4], np.int64), one=np.array(1, np.int64)), shapes=dict(x=("n", 3, 1)))

# Functions spelled out
half, one, root = np.float32(0.5), np.float32(1), np.float32(np.sqrt(2))
gelu = F.gelu(t(x)).numpy()
save("gelu by erf, as PyTorch writes it", [N("Div", ["x", "r"], ["a"]), N("Erf", ["a"], ["e"]), N("Add", ["e", "one"], ["p"]), N("Mul", ["x", "p"], ["q"]), N("Mul", ["q", "half"], ["y"])], dict(x=x), dict(y=gelu), dict(r=root, one=one, half=half), shapes=dict(x=("n", 3, 7, 6)))
save("gelu by erf, the half first", [N("Mul", ["half", "x"], ["h"]), N("Mul", ["x", "r"], ["a"]), N("Erf", ["a"], ["e"]), N("Add", ["one", "e"], ["p"]), N("Mul", ["h", "p"], ["y"])], dict(x=x), dict(y=gelu), dict(r=np.float32(np.sqrt(0.5)), one=one, half=half), shapes=dict(x=("n", 3, 7, 6)))
hs = F.hardswish(t(x * 3)).numpy()
save("hard swish as PaddlePaddle writes it", [N("Add", ["x", "three"], ["a"]), N("Clip", ["a", "zero", "six"], ["c"]), N("Mul", ["x", "c"], ["m"]), N("Div", ["m", "six"], ["y"])], dict(x=x * 3), dict(y=hs), dict(three=np.float32(3), zero=np.float32(0), six=np.float32(6)), shapes=dict(x=("n", 3, 7, 6)))
save("hard swish by hard sigmoid", [N("HardSigmoid", ["x"], ["a"], alpha=1 / 6, beta=0.5), N("Mul", ["x", "a"], ["y"])], dict(x=x * 3), dict(y=hs), shapes=dict(x=("n", 3, 7, 6)))
save("silu", [N("Sigmoid", ["x"], ["a"]), N("Mul", ["x", "a"], ["y"])], dict(x=x), dict(y=F.silu(t(x)).numpy()), shapes=dict(x=("n", 3, 7, 6)))
for title, slope in dict(channels=values(3, 1, 1), one=values(1), elements=values(7, 6)).items():
    save(f"prelu, slope of {title}", [N("PRelu", ["x", "s"], ["y"])], dict(x=x), dict(y=np.where(x < 0, x * slope, x)), dict(s=slope), shapes=dict(x=("n", 3, 7, 6)))
save("powers", [N("Pow", ["x", "a"], ["p"]), N("Abs", ["p"], ["q"]), N("Add", ["q", "one"], ["r"]), N("Pow", ["r", "b"], ["s"]), N("Pow", ["s", "c"], ["y"])], dict(x=x), dict(y=np.power(np.power(np.abs(x**3) + 1, 0.5), np.float32(1.7))), dict(a=np.float32(3), one=one, b=np.float32(0.5), c=np.float32(1.7)), shapes=dict(x=("n", 3, 7, 6)))
save("clip by attributes and without a bound", [N("Clip", ["x"], ["a"], min=-0.5), N("Clip", ["a"], ["y"], max=0.25)], dict(x=x), dict(y=np.clip(x, -0.5, 0.25)), opset=6 + 1, shapes=dict(x=("n", 3, 7, 6)))
r = 2
xd = values(2, 8, 3, 2)
save("depth to space, both orders", [N("DepthToSpace", ["x"], ["a"], blocksize=2, mode="CRD"), N("DepthToSpace", ["x"], ["b"], blocksize=2), N("Concat", ["a", "b"], ["y"], axis=1)], dict(x=xd),
     dict(y=np.concatenate([F.pixel_shuffle(t(xd), 2).numpy(), xd.reshape(2, 2, 2, 2, 3, 2).transpose(0, 3, 4, 1, 5, 2).reshape(2, 2, 6, 4)], 1)), shapes=dict(x=("n", 8, 3, 2)))

# Attention: products of values
q, dim = values(2, 5, 4), np.float32(0.5)
wq, wk, wv = values(4, 4), values(4, 4), values(4, 4)
att = F.softmax(t(q @ wq) @ t(q @ wk).transpose(1, 2) * 0.5, -1) @ t(q @ wv)
save("attention", [N("MatMul", ["x", "wq"], ["q"]), N("MatMul", ["x", "wk"], ["k"]), N("MatMul", ["x", "wv"], ["v"]), N("Transpose", ["k"], ["kt"], perm=[0, 2, 1]), N("MatMul", ["q", "kt"], ["s"]), N("Mul", ["s", "dim"], ["sd"]), N("Softmax", ["sd"], ["p"], axis=-1), N("MatMul", ["p", "v"], ["y"])], dict(x=q), dict(y=att.numpy()), dict(wq=wq, wk=wk, wv=wv, dim=dim), shapes=dict(x=("n", 5, 4)))

# Inputs
a, c = values(2, 3), values(2, 5)
save("two inputs", [N("Concat", ["a", "c"], ["j"], axis=1), N("Gemm", ["j", "w"], ["y"])], dict(a=a, c=c), dict(y=np.concatenate([a, c], 1) @ np.ones((8, 2), np.float32)), dict(w=np.ones((8, 2), np.float32)), shapes=dict(a=("n", 3), c=("n", 5)))
# x has no batch of its own: axis 0 is moved
xw = values(3, 4)
save("a model that turns its first axis", [N("Transpose", ["x"], ["a"], perm=[1, 0]), N("MatMul", ["a", "w"], ["y"])], dict(x=xw), dict(y=xw.T @ np.eye(3, dtype=np.float32) * 1), dict(w=np.eye(3, dtype=np.float32)))

# Quantized
def quantized(title, weight_scale, axis):
    wq = np.clip(np.round(ws / weight_scale.reshape((-1, 1, 1, 1) if axis else ())), -127, 127).astype(np.int8)
    xs, xz, ys, yz = np.float32(0.05), np.uint8(120), np.float32(0.1), np.int8(-3)
    rounded = lambda v, s, z, lo, hi: (np.clip(np.rint(v / s) + z, lo, hi) - z).astype(np.float32) * s
    decoded = wq.astype(np.float32) * weight_scale.reshape((-1, 1, 1, 1) if axis else ())
    inner = F.conv2d(t(rounded(x, xs, 120, 0, 255)), t(decoded.astype(np.float32)), padding=1).numpy()
    y = rounded(inner, ys, -3, -128, 127)
    wz = np.zeros(weight_scale.shape, np.int8)
    qdq = [N("QuantizeLinear", ["x", "xs", "xz"], ["xq"]), N("DequantizeLinear", ["xq", "xs", "xz"], ["xd"]), N("DequantizeLinear", ["wq", "wsc", "wz"], ["wd"], axis=0), N("Conv", ["xd", "wd"], ["c"], pads=[1] * 4),
           N("QuantizeLinear", ["c", "ys", "yz"], ["cq"]), N("DequantizeLinear", ["cq", "ys", "yz"], ["y"])]
    init = dict(xs=xs, xz=np.array(xz), wq=wq, wsc=weight_scale, wz=wz, ys=ys, yz=np.array(yz))
    save(f"QDQ {title}", qdq, dict(x=x), dict(y=y), init, shapes=dict(x=("n", 3, 7, 6)))
    ql = [N("QuantizeLinear", ["x", "xs", "xz"], ["xq"]), N("QLinearConv", ["xq", "xs", "xz", "wq", "wsc", "wz", "ys", "yz"], ["cq"], pads=[1] * 4), N("DequantizeLinear", ["cq", "ys", "yz"], ["y"])]
    save(f"QLinearConv {title}", ql, dict(x=x), dict(y=y), init, opset=10, shapes=dict(x=("n", 3, 7, 6)))


quantized("per tensor", np.float32(0.02), False)
quantized("per channel", np.array([0.02, 0.03, 0.025], np.float32), True)

# Storage
def untyped(model):
    for node in model.graph.node:
        for attribute in node.attribute:
            attribute.ClearField("type")
    return model.SerializeToString()


def graph_first(model):
    rest = onnx.ModelProto()
    rest.CopyFrom(model)
    rest.ClearField("graph")
    only = onnx.ModelProto()
    only.graph.CopyFrom(model.graph)
    return only.SerializeToString() + rest.SerializeToString()


def as_inputs(model):
    for initializer in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(initializer.name, initializer.data_type, initializer.dims))
    return model.SerializeToString()


conv = [N("Conv", ["x", "w"], ["y"], pads=[1] * 4, strides=[2, 2])]
y = F.conv2d(t(x), t(ws), padding=1, stride=2).numpy()
for title, edit in {"attribute types left unset": untyped, "the graph as first field": graph_first, "initializers that are inputs too": as_inputs}.items():
    save(title, conv, dict(x=x), dict(y=y), dict(w=ws), shapes=dict(x=("n", 3, 7, 6)), edit=edit)
save("weights in a Constant node", [N("Constant", [], ["w"], value=numpy_helper.from_array(ws)), *conv], dict(x=x), dict(y=y), shapes=dict(x=("n", 3, 7, 6)))
save("double weights", [N("Cast", ["wd"], ["w"], to=TensorProto.FLOAT), *conv], dict(x=x), dict(y=y), dict(wd=ws.astype(np.float64)), shapes=dict(x=("n", 3, 7, 6)))
w16 = ws.astype(np.float16)
save("half weights", conv, dict(x=x), dict(y=F.conv2d(t(x), t(w16.astype(np.float32)), padding=1, stride=2).numpy()), dict(w=w16), shapes=dict(x=("n", 3, 7, 6)))
bits = (ws.view(np.uint32) >> 16).astype(np.uint16)
wb = (bits.astype(np.uint32) << 16).view(np.float32)
save("bfloat16 weights", conv, dict(x=x), dict(y=F.conv2d(t(x), t(wb), padding=1, stride=2).numpy()), dict(w=helper.make_tensor("w", TensorProto.BFLOAT16, ws.shape, bits.tobytes(), raw=True)), shapes=dict(x=("n", 3, 7, 6)))
save("weights in float_data", conv, dict(x=x), dict(y=y), dict(w=helper.make_tensor("w", TensorProto.FLOAT, ws.shape, ws.ravel().tolist())), shapes=dict(x=("n", 3, 7, 6)))
fused = helper.make_node("FusedConv", ["x", "w"], ["y"], domain="com.microsoft", activation="Relu", pads=[1] * 4, strides=[2, 2])
save("com.microsoft FusedConv", [fused], dict(x=x), dict(y=np.maximum(y, 0)), dict(w=ws), shapes=dict(x=("n", 3, 7, 6)), more_opsets=[("com.microsoft", 1)])
xg, bg = values(3, 4), values(4, 5)
fg = helper.make_node("FusedGemm", ["x", "b"], ["y"], domain="com.microsoft", activation="LeakyRelu", activation_alpha=0.1)
save("com.microsoft FusedGemm", [fg], dict(x=xg), dict(y=np.where(xg @ bg < 0, 0.1 * (xg @ bg), xg @ bg)), dict(b=bg), shapes=dict(x=("n", 4)), more_opsets=[("com.microsoft", 1)])

print(json.dumps(cases, separators=(",", ":")))
