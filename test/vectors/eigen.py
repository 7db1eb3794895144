"""Eigenvalues of symmetric matrices by NumPy, and the projector on the leading eigenvectors: test/base/eigen.test.ts.

    /usr/bin/python3 test/vectors/eigen.py > test/vectors/eigen.json
"""
import json
import numpy as np

random = np.random.default_rng(1)


def case(name, a, leading):
    values, vectors = np.linalg.eigh(a)
    top = vectors[:, ::-1][:, :leading]
    return {
        "name": name,
        "n": len(a),
        "a": a.ravel().tolist(),
        "values": values[::-1].tolist(),
        "leading": leading,
        "projector": (top @ top.T).ravel().tolist(),
    }


x = random.standard_normal((40, 12))
low = random.standard_normal((9, 3))
s = random.standard_normal((7, 7))
print(
    json.dumps(
        [
            case("a covariance", x.T @ x / 40, 4),
            case("of rank 3 of 9", low @ low.T, 3),
            case("indefinite", s + s.T, 2),
            case("of very different sizes", np.diag(10.0 ** np.arange(-8, 8, 2)) + 1e-9, 2),
            case("one number", np.array([[3.0]]), 1),
        ]
    )
)
