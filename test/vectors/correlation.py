"""Outside oracle for src/importance and src/pruning/repair.ts: numpy and PyTorch. Writes correlation.json beside itself."""
import json
import pathlib

import numpy as np
import torch

rng = np.random.default_rng(7)


def numbers(array, digits=None):
    array = np.asarray(array, dtype=np.float64)
    return [round(float(v), digits) if digits else float(v) for v in array.ravel()]


def pearson(x, y):
    return 0.0 if x.std() == 0 or y.std() == 0 else float(np.corrcoef(x, y)[0, 1])


# Correlation and covariance of rows; row 2 is constant, row 4 is row 0 negated and shifted, row 5 has a mean that swamps its deviation.
x = rng.normal(size=(6, 9)).round(3)
x[2] = 1.5
x[4] = 2 - x[0]
x[5] = 1000 + x[5] / 8
matrix = {'rows': 6, 'columns': 9, 'x': numbers(x), 'correlation': [pearson(a, b) for a in x for b in x], 'covariance': numbers(np.cov(x, bias=True))}

# Ridge regression of removed on kept channels, ridge a share of the kept channels' mean variance.
data = rng.normal(size=(5, 40)) + rng.normal(size=(1, 40))
covariance = np.cov(data, bias=True)
kept, removed, ridge = [0, 2, 4], [1, 3], 0.05
ckk = covariance[np.ix_(kept, kept)]
b = np.linalg.solve(ckk + ridge * np.diag(ckk).mean() * np.eye(len(kept)), covariance[np.ix_(kept, removed)]).T
repair = {'channels': 5, 'covariance': numbers(covariance), 'kept': kept, 'removed': removed, 'ridge': ridge, 'coefficients': numbers(b)}

# conv1 (3 filters) - relu - conv2 (4, stride 2) - relu - flatten - dense (5); mean |r| over all connections of a channel, position by position.
shapes = {'conv1.weight': (3, 1, 3, 3), 'conv1.bias': (3,), 'conv2.weight': (4, 3, 3, 3), 'conv2.bias': (4,), 'dense1.weight': (5, 36), 'dense1.bias': (5,)}
parameters = {name: (rng.normal(size=shape) * 0.5).round(3) for name, shape in shapes.items()}
samples = 10
inputs = rng.normal(size=(samples, 1, 6, 6)).round(2)
t = {name: torch.tensor(value) for name, value in parameters.items()}
functional = torch.nn.functional
h1 = functional.relu(functional.conv2d(torch.tensor(inputs), t['conv1.weight'], t['conv1.bias'], padding=1))
h2 = functional.relu(functional.conv2d(h1, t['conv2.weight'], t['conv2.bias'], stride=2, padding=1))
out = functional.linear(h2.flatten(1), t['dense1.weight'], t['dense1.bias'])
h1, h2, out = h1.numpy(), h2.numpy(), out.numpy()

conv1 = []
for c in range(3):
    found = []
    for o in range(4):
        for oy in range(3):
            for ox in range(3):
                for ky in range(3):
                    for kx in range(3):
                        iy, ix = 2 * oy + ky - 1, 2 * ox + kx - 1
                        if 0 <= iy < 6 and 0 <= ix < 6:
                            found.append(abs(pearson(h1[:, c, iy, ix], h2[:, o, oy, ox])))
    conv1.append(np.mean(found))
conv2 = [np.mean([abs(pearson(h2[:, c, y, x], out[:, o])) for y in range(3) for x in range(3) for o in range(5)]) for c in range(4)]
network = {
    'samples': samples, 'inputs': numbers(inputs), 'parameters': {name: numbers(value) for name, value in parameters.items()},
    'scores': {'conv1': numbers(conv1), 'conv2': numbers(conv2)},
    'mean': {'conv1': numbers(h1.mean(axis=(0, 2, 3))), 'conv2': numbers(h2.mean(axis=0))},
}
pathlib.Path(__file__).with_suffix('.json').write_text(json.dumps({'matrix': matrix, 'repair': repair, 'network': network}) + '\n')
