"""Outside oracle for the criterion zeroFraction: PyTorch. Writes zero_fraction.json beside itself."""
import json
import pathlib

import numpy as np
import torch

rng = np.random.default_rng(13)
functional = torch.nn.functional
shapes = {'conv1.weight': (5, 1, 3, 3), 'conv1.bias': (5,), 'dense1.weight': (4, 20), 'dense1.bias': (4,), 'dense2.weight': (2, 4), 'dense2.bias': (2,)}
parameters = {name: (rng.normal(size=shape) * 0.5).round(3) for name, shape in shapes.items()}
# A channel that never fires, and one that always does.
parameters['conv1.bias'][1] = -20
parameters['conv1.bias'][3] = 20
inputs = rng.normal(size=(9, 1, 4, 4)).round(2)
p = {name: torch.tensor(value) for name, value in parameters.items()}
x1 = functional.relu(functional.conv2d(torch.tensor(inputs), p['conv1.weight'], p['conv1.bias'], padding=1))
x2 = functional.relu(functional.linear(functional.max_pool2d(x1, 2).flatten(1), p['dense1.weight'], p['dense1.bias']))
scores = {'conv1': (1 - (x1 == 0).double().mean(dim=(0, 2, 3))).tolist(), 'dense1': (1 - (x2 == 0).double().mean(dim=0)).tolist()}
pathlib.Path(__file__).with_suffix('.json').write_text(json.dumps({
    'inputs': inputs.ravel().tolist(), 'parameters': {name: value.ravel().tolist() for name, value in parameters.items()}, 'scores': scores,
}) + '\n')
