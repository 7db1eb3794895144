"""Writes binaries.json: what PyTorch (1.13) makes of functions of two tensors with broadcasting, in double precision. Run: python3 test/vectors/binaries.py"""
import json, pathlib
import torch

torch.manual_seed(11)
torch.set_default_dtype(torch.float64)
OPERATIONS = dict(add=torch.add, subtract=torch.subtract, multiply=torch.multiply, divide=torch.divide, minimum=torch.minimum, maximum=torch.maximum, power=torch.pow,
                  prelu=lambda a, slope: torch.where(a > 0, a, slope * a))
SHAPES = [
    ([2, 3, 2, 3], [2, 3, 2, 3]), ([2, 3, 2, 3], [3, 1, 1]), ([2, 3, 2, 3], [2, 3, 1, 1]), ([2, 3, 2, 3], [3]), ([2, 1, 4, 1], [1, 3, 1, 2]),
    ([7], [1]), ([3, 9], [3, 1]), ([1, 9], [3, 9]), ([1, 1, 2, 1, 2, 1, 2, 3], [1, 2, 1, 2, 1, 2, 1, 3]),
]


def flat(tensor):
    return [float(f'{value:.9g}') for value in tensor.detach().flatten().tolist()]


def rounded(shape, away):
    """Three decimals, as they are used; `away`: a fourth, so that there are no ties, and not near zero, for divisors."""
    values = torch.round(torch.randn(*shape) * 1000) / 1000
    return torch.where(values.abs() < 0.2, values + 0.5, values) + 0.0005 if away else values


cases = []
for name, operation in OPERATIONS.items():
    for left, right in SHAPES:
        a, b = rounded(left, False).requires_grad_(), rounded(right, True).requires_grad_()
        if name == 'power':
            a = (a.detach().abs() + 0.25).requires_grad_()
        y = operation(a, b)
        dy = torch.round(torch.randn(*y.shape) * 1000) / 1000
        y.backward(dy)
        cases.append(dict(operation=name, left=left, right=right, sides=list(y.shape), a=flat(a), b=flat(b), y=flat(y), dy=flat(dy), da=flat(a.grad), db=flat(b.grad)))
pathlib.Path(__file__).with_name('binaries.json').write_text(json.dumps(cases))
