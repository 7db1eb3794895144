"""Shares of squared singular values that are dropped at each rank, by NumPy: test/pruning/factorize.test.ts.

    /usr/bin/python3 test/vectors/low_rank.py > test/vectors/low_rank.json
"""
import json
import numpy as np

random = np.random.default_rng(1)


def case(name, weight, form, matrix):
    squares = np.linalg.svd(matrix, compute_uv=False) ** 2
    left = squares / squares.sum()
    return {
        "name": name,
        "shape": list(weight.shape),
        "form": form,
        "weight": weight.ravel().tolist(),
        "missing": [float(left[i + 1 :].sum()) for i in range(len(left))],
    }


dense = random.standard_normal((5, 8)).astype(np.float32)
conv = random.standard_normal((4, 3, 3, 2)).astype(np.float32)
print(
    json.dumps(
        [
            case("dense", dense, "channels", dense),
            case("channels of a convolution", conv, "channels", conv.reshape(4, -1)),
            # Rows (c, y), columns (o, x): Jaderberg et al., 2.2.
            case("vertical and horizontal", conv, "spatial", conv.transpose(1, 2, 0, 3).reshape(9, 8)),
        ]
    )
)
