"""Outputs and gradients of operators by PyTorch in double precision, for test/operators/layers.test.ts:
`python3 test/vectors/layers.py > test/vectors/layers.json`. A case: the operator as espalier names it, what it reads (the batch, of 2, in
front of values, not of constants), its parameters, the output, its gradient, and what comes back to all that is read or trained."""
import json
import torch
import torch.nn.functional as F

torch.manual_seed(1)
torch.set_default_dtype(torch.float64)
def numbers(*shape): return (torch.rand(*shape) * 64 - 32).round() / 16
def flat(t): return [float('%.9g' % v) for v in t.detach().flatten().tolist()]

cases = []
def case(kind, attributes, function, inputs, parameters={}, constants=()):
    values = [t.clone().requires_grad_(i not in constants) for i, t in enumerate(inputs)]
    trained = {role: t.clone().requires_grad_() for role, t in parameters.items()}
    y = function(*values, **trained)
    dy = numbers(*y.shape)
    y.backward(dy)
    cases.append({
        'kind': kind, 'attributes': attributes,
        'inputs': [{'shape': list(t.shape if i in constants else t.shape[1:]), 'data': flat(t), 'isConstant': i in constants,
                    **({} if i in constants else {'gradient': flat(t.grad)})} for i, t in enumerate(values)],
        'parameters': {role: {'shape': list(t.shape), 'data': flat(t), 'gradient': flat(t.grad)} for role, t in trained.items()},
        'shape': list(y.shape[1:]), 'output': flat(y), 'outputGradient': flat(dy),
    })

x = numbers(2, 4, 3, 5)
norm = lambda shape: lambda x, scale=None, shift=None: F.layer_norm(x, shape, scale, shift, 1e-3)
case('layerNorm', {'axis': 2, 'epsilon': 1e-3}, norm([5]), [x], {'scale': numbers(5), 'shift': numbers(5)})
case('layerNorm', {'axis': 1, 'epsilon': 1e-3}, norm([3, 5]), [x], {'scale': numbers(3, 5)})
case('layerNorm', {'axis': 0, 'epsilon': 1e-3}, norm([4, 3, 5]), [x])
for groups in (1, 2, 4):
    case('groupNorm', {'groups': groups, 'epsilon': 1e-3}, lambda x, scale, shift: F.group_norm(x, groups, scale, shift, 1e-3), [x], {'scale': numbers(4), 'shift': numbers(4)})
case('groupNorm', {'groups': 4, 'epsilon': 1e-3}, lambda x: F.instance_norm(x, eps=1e-3), [x])

case('matMul', {}, torch.matmul, [x, numbers(2, 4, 5, 2)])
case('matMul', {}, torch.matmul, [x, numbers(2, 1, 5, 2)])
case('matMul', {}, torch.matmul, [numbers(2, 1, 3, 5), numbers(2, 4, 5, 2)])
case('matMul', {}, torch.matmul, [numbers(2, 4, 3), numbers(2, 3, 6)])
case('matMul', {}, torch.matmul, [x, numbers(5, 7)], constants=[1])
case('matMul', {}, torch.matmul, [x, numbers(4, 5, 7)], constants=[1])
case('matMul', {}, torch.matmul, [numbers(2, 3), x], constants=[0])
case('matMul', {}, torch.matmul, [numbers(2, 9), numbers(9, 4)], constants=[1])

def transposed(stride, padding, dilation, groups, extra):
    """PyTorch's weight is [in, out / groups, ...]; its padding is the same on both sides, so that a cut is made afterwards."""
    top, left, bottom, right = padding
    def run(x, weight, bias=None):
        outputs, inputs, *size = weight.shape
        own = weight.reshape(groups, outputs // groups, inputs, *size).transpose(1, 2).reshape(groups * inputs, outputs // groups, *size)
        y = F.conv_transpose2d(x, own, bias, stride, 0, extra, groups, dilation)
        return y[:, :, top:y.shape[2] - bottom, left:y.shape[3] - right]
    attributes = {'stride': stride, 'padding': padding, 'dilation': dilation, 'groups': groups, 'outputPadding': extra}
    return 'convTranspose', attributes, run
case(*transposed([2, 2], [0, 0, 0, 0], [1, 1], 1, [0, 0]), [x], {'weight': numbers(3, 4, 2, 2), 'bias': numbers(3)})
case(*transposed([2, 2], [1, 1, 1, 1], [1, 1], 1, [1, 1]), [x], {'weight': numbers(3, 4, 3, 3)})
case(*transposed([2, 2], [1, 1, 0, 0], [1, 1], 4, [0, 0]), [x], {'weight': numbers(4, 1, 3, 3), 'bias': numbers(4)})
case(*transposed([2, 3], [1, 2, 0, 1], [1, 2], 2, [1, 0]), [x], {'weight': numbers(6, 2, 3, 2), 'bias': numbers(6)})
case(*transposed([1, 1], [1, 1, 1, 1], [1, 1], 1, [0, 0]), [numbers(2, 8, 6, 7)], {'weight': numbers(8, 8, 3, 3), 'bias': numbers(8)})

def volume(stride, padding, dilation, groups):
    front, top, left, back, bottom, right = padding
    def run(x, weight, bias=None):
        return F.conv3d(F.pad(x, (left, right, top, bottom, front, back)), weight, bias, stride, 0, dilation, groups)
    return 'conv3d', {'stride': stride, 'padding': padding, 'dilation': dilation, 'groups': groups}, run
case(*volume([1, 1, 1], [0] * 6, [1, 1, 1], 1), [numbers(2, 3, 3, 4, 4)], {'weight': numbers(2, 3, 2, 2, 2), 'bias': numbers(2)})
case(*volume([2, 1, 1], [1] * 6, [1, 1, 1], 4), [numbers(2, 4, 5, 3, 2)], {'weight': numbers(4, 1, 3, 1, 2)})
case(*volume([1, 2, 1], [1, 2, 0, 2, 1, 1], [3, 1, 1], 2), [numbers(2, 4, 4, 3, 2)], {'weight': numbers(6, 2, 2, 3, 1), 'bias': numbers(6)})
print('[\n' + ',\n'.join(json.dumps(one, separators=(',', ':')) for one in cases) + '\n]')
