"""Outside oracle for the criterion taylor: PyTorch in double. Writes taylor.json beside itself."""
import json
import pathlib

import numpy as np
import torch

rng = np.random.default_rng(12)
functional = torch.nn.functional
shapes = {'conv1.weight': (4, 1, 3, 3), 'conv1.bias': (4,), 'conv2.weight': (3, 4, 3, 3), 'conv2.bias': (3,), 'dense1.weight': (2, 48), 'dense1.bias': (2,)}
parameters = {name: (rng.normal(size=shape) * 0.5).round(3) for name, shape in shapes.items()}
samples, batch = 6, 6
inputs = rng.normal(size=(samples, 1, 4, 4)).round(2)
targets = rng.normal(size=(samples, 2)).round(2)

p = {name: torch.tensor(value, requires_grad=True) for name, value in parameters.items()}
x = functional.relu(functional.conv2d(torch.tensor(inputs), p['conv1.weight'], p['conv1.bias'], padding=1))
x = functional.relu(functional.conv2d(x, p['conv2.weight'], p['conv2.bias'], padding=1))
out = functional.linear(x.flatten(1), p['dense1.weight'], p['dense1.bias'])
functional.mse_loss(out, torch.tensor(targets)).backward()
scores = {name: ((p[f'{name}.weight'].grad * p[f'{name}.weight']) ** 2).sum(dim=(1, 2, 3)).tolist() for name in ('conv1', 'conv2')}
pathlib.Path(__file__).with_suffix('.json').write_text(json.dumps({
    'inputs': inputs.ravel().tolist(), 'targets': targets.ravel().tolist(),
    'parameters': {name: value.ravel().tolist() for name, value in parameters.items()}, 'scores': scores,
}) + '\n')
