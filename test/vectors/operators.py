"""Outputs of whole operators by PyTorch, for test/operators/operators.test.ts: `python3 test/vectors/operators.py > test/vectors/operators.json`."""
import json
import torch
import torch.nn.functional as F

torch.manual_seed(1)
def numbers(*shape): return (torch.rand(*shape) * 64 - 32).round() / 16
def flat(t): return [float('%.9g' % v) for v in t.flatten().tolist()]

x = numbers(2, 4, 5, 6)
cases = []
def case(name, y, **parameters):
    cases.append({'name': name, 'shape': list(y.shape[1:]), 'output': flat(y), 'parameters': {k: flat(v) for k, v in parameters.items()}})

w, b = numbers(6, 2, 3, 2), numbers(6)
case('conv', F.conv2d(x, w, b, stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2), weight=w, bias=b)
w, b = numbers(4, 1, 3, 3), numbers(4)
case('depthwise', F.conv2d(x, w, b, padding=1, groups=4), weight=w, bias=b)
w, b = numbers(3, 120), numbers(3)
case('dense', F.linear(x.flatten(1), w, b), weight=w, bias=b)
case('maxPool', F.max_pool2d(x, (2, 3), stride=(2, 1), padding=(1, 1)))
case('averagePool', F.avg_pool2d(x, (2, 3), stride=(2, 1), padding=(1, 1), count_include_pad=False))
case('averagePool counting padding', F.avg_pool2d(x, (2, 3), stride=(2, 1), padding=(1, 1), count_include_pad=True))
case('globalAveragePool', x.mean((2, 3)))
case('leakyRelu', F.leaky_relu(x, 0.2))
case('sigmoid', x.sigmoid())
case('tanh', x.tanh())
case('softmax', x.softmax(-1))
scale, shift, mean, variance = numbers(4), numbers(4), numbers(4), numbers(4).abs() + 0.5
case('batchNorm', F.batch_norm(x, mean, variance, scale, shift, eps=1e-3), scale=scale, shift=shift, mean=mean, variance=variance)
case('concat', torch.cat([x, x.relu(), x], 1))
case('add', x + x)
# Split, of which the second value leads nowhere: its part of the gradient is zero.
wanted = x.clone().requires_grad_()
first, second, third = wanted.split([1, 2, 1], 1)
dfirst, dthird = numbers(*first.shape), numbers(*third.shape)
torch.autograd.backward([first, third], [dfirst, dthird])
split = {'sizes': [1, 2, 1], 'outputs': [flat(t) for t in (first, second, third)], 'gradients': [flat(dfirst), flat(dthird)], 'inputGradient': flat(wanted.grad)}
print(json.dumps({'input': flat(x), 'cases': cases, 'split': split}, separators=(',', ':')))
