"""Uniform levels by PyTorch, for test/encodings/kinds/scalar.test.ts: `python3 test/vectors/scalar.py > test/vectors/scalar.json`."""
import json
import torch

torch.manual_seed(1)
def flat(t): return [float('%.9g' % v) for v in t.flatten().tolist()]

x = torch.randn(5, 7) * 0.3
# Halves of a step: ties, with a scale that is a power of two.
ties = ((torch.arange(35) - 17).reshape(5, 7) + 0.5) * 2 ** -6
cases = []
def case(name, x, scales, zeros, bits, dtype):
    scales, zeros = torch.tensor(scales), torch.tensor(zeros)
    if len(scales) == 1:
        q = torch.quantize_per_tensor(x, scales[0].item(), zeros[0].item(), dtype)
    else:
        q = torch.quantize_per_channel(x, scales.double(), zeros, 0, dtype)
    symmetric = dtype == torch.qint8
    cases.append({
        'name': name, 'bits': bits, 'weights': flat(x), 'scales': flat(scales), 'zeros': None if symmetric else zeros.tolist(),
        # Offset binary: a signed level of -128 is stored as 0.
        'levels': [v + (128 if symmetric else 0) for v in q.int_repr().flatten().tolist()], 'decoded': flat(q.dequantize()),
    })

case('per tensor, symmetric', x, [0.005], [0], 8, torch.qint8)
case('per tensor, clipped', x, [0.001], [0], 8, torch.qint8)
case('per tensor, zero point', x.abs(), [0.004], [3], 8, torch.quint8)
case('per channel, symmetric', x, [0.005, 0.002, 0.01, 0.0075, 0.003], [0] * 5, 8, torch.qint8)
case('per channel, zero points', x, [0.005, 0.002, 0.01, 0.0075, 0.003], [128, 10, 250, 0, 77], 8, torch.quint8)
case('ties to even', ties, [2 ** -6], [0], 8, torch.qint8)
print(json.dumps({'shape': [5, 7], 'cases': cases}, separators=(',', ':')))
