"""Proximal steps of the group lasso by NumPy: test/pruning/sparsity.test.ts. Weights are given by a formula that the test repeats.

    /usr/bin/python3 test/vectors/group_lasso.py > test/vectors/group_lasso.json
"""
import json
import numpy as np


def values(seed, *shape):
    k = np.arange(np.prod(shape))
    return np.float32((((k * 37 + seed * 11) % 23) - 11) / 16).reshape(shape)


rate, strength = 0.25, 0.5
# Convolution (3, 2, 2, 2) with bias and batch norm behind it: a channel is its filter, bias, scale and shift.
parameters = [values(1, 3, 2, 2, 2), values(2, 3), values(3, 3), values(4, 3)]
parameters[0][1] /= 8
for p in parameters[1:]:
    p[1] /= 8
stepped = [p.astype(float).copy() for p in parameters]
penalty, length = 0.0, 8 + 3
for c in range(3):
    norm = np.sqrt(sum((p[c].astype(float) ** 2).sum() for p in parameters))
    penalty += strength * np.sqrt(length) * norm
    for s in stepped:
        s[c] *= max(0.0, 1 - rate * strength * np.sqrt(length) / norm)
print(
    json.dumps(
        {
            "rate": rate,
            "strength": strength,
            "penalty": penalty,
            "before": [p.ravel().tolist() for p in parameters],
            "after": [s.ravel().tolist() for s in stepped],
        }
    )
)
