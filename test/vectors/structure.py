"""Outputs and gradients of operators that move and resize by PyTorch and NumPy, for test/operators/structure.test.ts:
`python3 test/vectors/structure.py > test/vectors/structure.json`. Resizing beyond what PyTorch has by ONNX's own reference."""
import json
import numpy as np
import torch
import torch.nn.functional as F
from onnx.backend.test.case.node.resize import cubic_coeffs, interpolate_nd, linear_coeffs, nearest_coeffs

torch.manual_seed(3)
def numbers(*shape): return (torch.rand(*shape) * 64 - 32).round() / 16
def flat(t): return [float('%.9g' % v) for v in t.flatten().tolist()]

cases = []
def case(kind, attributes, shape, function, **parameters):
    x = numbers(2, *shape).requires_grad_()
    y = function(x)
    dy = numbers(*y.shape)
    y.backward(dy)
    cases.append({'kind': kind, 'attributes': attributes, 'input': list(shape), 'output': list(y.shape[1:]), 'x': flat(x), 'y': flat(y), 'dy': flat(dy), 'dx': flat(x.grad), 'parameters': {k: flat(v) for k, v in parameters.items()}})

def indexed(function):
    """A function of NumPy that moves elements, as one of PyTorch that has a gradient."""
    def apply(x):
        places = np.arange(x[0].numel()).reshape(x.shape[1:])
        moved = torch.tensor(np.ascontiguousarray(function(places)))
        return x.flatten(1)[:, moved.flatten()].reshape(x.shape[0], *moved.shape)
    return apply

case('reshape', {'shape': [2, 30]}, (3, 4, 5), lambda x: x.reshape(2, 2, 30))
case('permute', {'order': [1, 2, 0]}, (3, 4, 5), lambda x: x.permute(0, 2, 3, 1))
case('permute', {'order': [2, 0, 3, 1]}, (3, 4, 5, 2), lambda x: x.permute(0, 3, 1, 4, 2))
case('slice', {'starts': [1, 0, 4], 'counts': [2, 2, 3], 'steps': [1, 3, -2]}, (3, 4, 5), indexed(lambda x: x[1:3, ::3, ::-2]))
for mode in ('reflect', 'edge', 'wrap'):
    case('pad', {'before': [0, 2, 3], 'after': [1, 3, 4], 'mode': mode, 'value': 0.5}, (3, 4, 5), indexed(lambda x: np.pad(x, ((0, 1), (2, 3), (3, 4)), mode)))
case('pad', {'before': [0, 9, 3], 'after': [0, 8, 2], 'mode': 'reflect', 'value': 0}, (2, 3, 1), indexed(lambda x: np.pad(x, ((0, 0), (9, 8), (3, 2)), 'reflect')))
case('pad', {'before': [0, 1, 2], 'after': [2, 0, 1], 'mode': 'constant', 'value': 0.5}, (3, 4, 5), lambda x: F.pad(x, (2, 1, 1, 0, 0, 2), value=0.5))
case('gather', {'axis': 1, 'indices': [3, 0, 3, 1, 3]}, (3, 4, 5), lambda x: x[:, :, [3, 0, 3, 1, 3]])
case('expand', {'shape': [3, 4, 5]}, (3, 1, 5), lambda x: x.expand(2, 3, 4, 5))
case('expand', {'shape': [3, 2, 7]}, (1, 2, 1), lambda x: x.expand(2, 3, 2, 7))
case('softmax', {'axis': 0}, (3, 4, 5), lambda x: x.softmax(1))
case('softmax', {'axis': 1}, (3, 4, 5), lambda x: x.softmax(2))
case('softmax', {}, (3, 4, 5), lambda x: x.softmax(3))
w, b = numbers(6, 5), numbers(6)
case('dense', {}, (3, 4, 5), lambda x: F.linear(x, w, b), weight=w, bias=b)
case('maxPool', {'size': [2, 3], 'stride': [2, 1], 'padding': [1, 1, 1, 1], 'dilation': [3, 2]}, (3, 7, 9), lambda x: F.max_pool2d(x, (2, 3), (2, 1), (1, 1), (3, 2)))

def resize(sizes, shape, function, **attributes):
    axes = [len(shape) - len(sizes) + i for i in range(len(sizes))]
    given = {'axes': axes, 'sizes': sizes, 'scales': [size / shape[axis] for size, axis in zip(sizes, axes)], 'mode': 'linear', 'coordinates': 'halfPixel', 'rounding': 'roundPreferFloor', 'cubicCoefficient': -0.75, 'excludeOutside': False, 'antialias': False, 'extrapolation': 0, 'region': []}
    case('resize', {**given, **attributes}, shape, function)

def torches(sizes, mode, **options): return lambda x: F.interpolate(x, tuple(sizes), mode=mode, **options)
for sizes in ([8, 10], [7, 3], [2, 13]):
    resize(sizes, (2, 4, 5), torches(sizes, 'nearest'), mode='nearest', coordinates='asymmetric', rounding='floor')
    resize(sizes, (2, 4, 5), torches(sizes, 'bilinear'))
    resize(sizes, (2, 4, 5), torches(sizes, 'bilinear', align_corners=True), coordinates='alignCorners')
    resize(sizes, (2, 4, 5), torches(sizes, 'bicubic'), mode='cubic')
    resize(sizes, (2, 4, 5), torches(sizes, 'bicubic', align_corners=True), mode='cubic', coordinates='alignCorners')
resize([2, 3], (2, 7, 8), torches([2, 3], 'bilinear', antialias=True), antialias=True, excludeOutside=True)
resize([2, 3], (2, 7, 8), torches([2, 3], 'bicubic', antialias=True), mode='cubic', antialias=True, excludeOutside=True, cubicCoefficient=-0.5)

def onnxs(coeffs, scales, **options):
    """Linear in its input, so that its matrix is what it makes of units."""
    def apply(x):
        side = x.shape[1:]
        units = np.eye(x[0].numel()).reshape(-1, *side)
        rows = np.stack([interpolate_nd(unit, coeffs, scale_factors=[1, *scales], **options) for unit in units])
        matrix = torch.tensor(rows.reshape(rows.shape[0], -1), dtype=torch.float32)
        return (x.flatten(1) @ matrix).reshape(x.shape[0], *rows.shape[1:])
    return apply
names = {'half_pixel': 'halfPixel', 'pytorch_half_pixel': 'pytorchHalfPixel', 'align_corners': 'alignCorners', 'asymmetric': 'asymmetric'}
roundings = {'round_prefer_floor': 'roundPreferFloor', 'round_prefer_ceil': 'roundPreferCeil', 'floor': 'floor', 'ceil': 'ceil'}
for scales in ([0.6, 0.6], [1.5, 0.3]):
    sizes = [int(4 * scales[0]), int(5 * scales[1])]
    for onnx, coordinates in names.items():
        options = {'coordinate_transformation_mode': onnx}
        for rounding, ours in roundings.items():
            resize(sizes, (2, 4, 5), onnxs(lambda ratio, scale=None: nearest_coeffs(ratio, rounding), scales, **options), mode='nearest', rounding=ours, coordinates=coordinates, scales=scales)
        resize(sizes, (2, 4, 5), onnxs(linear_coeffs, scales, **options), coordinates=coordinates, scales=scales)
        resize(sizes, (2, 4, 5), onnxs(lambda ratio, scale=None: cubic_coeffs(ratio, A=-0.5), scales, **options, exclude_outside=True), mode='cubic', cubicCoefficient=-0.5, excludeOutside=True, coordinates=coordinates, scales=scales)
crop = {'coordinate_transformation_mode': 'tf_crop_and_resize', 'roi': np.array([0, 0.4, 0.6, 1, 0.9, 1.2])}
for mode, coeffs in (('linear', linear_coeffs), ('cubic', lambda ratio, scale=None: cubic_coeffs(ratio))):
    resize([3, 6], (2, 4, 5), onnxs(coeffs, [3 / 4, 6 / 5], **crop, extrapolation_value=0), mode=mode, coordinates='tfCropAndResize', region=[0.4, 0.6, 0.9, 1.2])

x = numbers(2, 3, 4, 5)
parts = [x[:, :, :1], x[:, :, 1:]]
print(json.dumps({'cases': cases, 'concat': {'axis': 1, 'sizes': [1, 3], 'shape': [3, 4, 5], 'whole': flat(x), 'parts': [flat(part) for part in parts]}}, separators=(',', ':')))
