"""Reductions and their gradients by PyTorch (1.13) in double precision, places of the largest by NumPy, for test/operators/reductions.test.ts:
`python3 test/vectors/reductions.py > test/vectors/reductions.json`. Shapes have the batch in front, axes are those of a sample."""
import json
import numpy
import torch

torch.manual_seed(5)
REDUCTIONS = {'reduceSum': torch.sum, 'reduceMean': torch.mean, 'reduceMax': torch.amax, 'reduceMin': torch.amin}
CASES = [
    ([2, 3, 4, 5], [1, 2], False), ([2, 3, 4, 5], [1, 2], True), ([2, 3, 4, 5], [0], False), ([2, 3, 4, 5], [1], True),
    ([2, 3, 4, 5], [0, 2], False), ([2, 3, 4, 5], [0, 1, 2], False), ([3, 2, 19], [1], False), ([3, 17], [0], True),
    ([1, 2, 3, 2, 3, 2], [0, 2, 4], False), ([1, 2, 3, 2, 3, 2], [1, 3], True), ([2, 1, 6, 1], [0, 2], False), ([5, 6, 2], [1], False),
]
PLACES = [([2, 3, 4, 5], 0, False), ([2, 3, 4, 5], 1, True), ([2, 3, 4, 5], 2, False), ([7, 10], 0, False), ([1, 3, 1], 1, False)]


def flat(values):
    return [float('%.12g' % value) for value in values.flatten().tolist()]


rows = []
for kind, function in REDUCTIONS.items():
    for shape, axes, keep in CASES:
        # Whole multiples of 1/64, exact in float32; each once, so that no two are the largest.
        count = int(numpy.prod(shape))
        x = ((torch.randperm(count).double() - count / 2) / 64).reshape(shape).requires_grad_()
        y = function(x, dim=[axis + 1 for axis in axes], keepdim=keep)
        dy = (torch.randn(y.shape).double() * 64).round() / 64
        y.backward(dy)
        rows.append(dict(kind=kind, shape=shape, axes=axes, keep=keep, x=flat(x.detach()), output=list(y.shape), y=flat(y.detach()), dy=flat(dy), dx=flat(x.grad)))

# Ties, infinities and, as strings, NaN.
places = []
random = numpy.random.RandomState(3)
for shape, axis, keep in PLACES:
    for odd in (False, True):
        x = random.randint(-3, 3, shape).astype(float)
        if odd:
            x[random.rand(*shape) < 0.2] = numpy.nan
            x[random.rand(*shape) < 0.2] = numpy.inf
            x[random.rand(*shape) < 0.2] = -numpy.inf
        y = numpy.expand_dims(x.argmax(axis + 1), axis + 1) if keep else x.argmax(axis + 1)
        places.append(dict(shape=shape, axis=axis, keep=keep, x=[str(value) for value in x.flatten().tolist()], output=list(y.shape), y=y.flatten().tolist()))


def lines(name, all):
    return '"' + name + '":[\n' + ',\n'.join('  ' + json.dumps(row, separators=(',', ':')) for row in all) + '\n]'


print('{' + lines('reductions', rows) + ',\n' + lines('places', places) + '}')
