"""Functions of one number and their derivatives by PyTorch in double precision, for test/operators/functions.test.ts:
`python3 test/vectors/functions.py > test/vectors/functions.json`. A row: the function, and its parameters as espalier names them."""
import json
import torch
import torch.nn.functional as F

# Exact in float32, and away from kinks at multiples of a half.
x = torch.cat([torch.linspace(-4.9375, 4.9375, 80), torch.tensor([-60., -20.25, -8.75, 8.75, 20.25, 60.])]).double()
x = (x * 64).round() / 64 + 1 / 128

FUNCTIONS = {
    'relu': (F.relu, {}),
    'leakyRelu': (lambda x: F.leaky_relu(x, 0.2), {'slope': 0.2}),
    'sigmoid': (torch.sigmoid, {}),
    'tanh': (torch.tanh, {}),
    'hardSwish': (F.hardswish, {}),
    'hardSigmoid': (F.hardsigmoid, {'alpha': 1 / 6, 'beta': 0.5}),
    'silu': (F.silu, {}),
    'gelu': (F.gelu, {}),
    'elu': (lambda x: F.elu(x, 0.7), {'alpha': 0.7}),
    'clip': (lambda x: F.hardtanh(x, -1.25, 2.75), {'minimum': -1.25, 'maximum': 2.75}),
    'exp': (torch.exp, {}),
    'log': (torch.log, {}),
    'sqrt': (torch.sqrt, {}),
    'softplus': (lambda x: F.softplus(x, threshold=1000), {}),
    'erf': (torch.erf, {}),
    'absolute': (torch.abs, {}),
    'negate': (torch.neg, {}),
    'reciprocal': (torch.reciprocal, {}),
    'round': (torch.round, {}),
    # For which PyTorch takes 32 bits only.
    'fakeQuantize': (lambda x: torch.fake_quantize_per_tensor_affine(x.float(), 0.25, 3, -8, 7).double(), {'scale': 0.25, 'zero': 3, 'lowest': -8, 'highest': 7}),
}

# JSON has no NaN: what lies outside of a function's domain is null.
def flat(t): return [None if v != v else float('%.12g' % v) for v in t.tolist()]

rows = []
for kind, (function, parameters) in FUNCTIONS.items():
    inputs = x.clone().requires_grad_()
    outputs = function(inputs)
    outputs.sum().backward()
    rows.append('  ' + json.dumps({'kind': kind, 'parameters': parameters, 'outputs': flat(outputs.detach()), 'derivatives': flat(inputs.grad)}, separators=(',', ':')))
print('{"inputs":' + json.dumps(flat(x), separators=(',', ':')) + ',"functions":[\n' + ',\n'.join(rows) + '\n]}')
