"""Outside oracle for the criterion cop: numpy. Writes cop.json beside itself."""
import json
import pathlib

import numpy as np

rng = np.random.default_rng(7)
# What reads six channels: eight filters of 3x3. The last channel is read as the first is, but for a factor.
weight = (rng.normal(size=(8, 6, 3, 3)) * 0.5).round(3)
weight[:, 5] = -2 * weight[:, 0]
taps = weight.transpose(2, 3, 1, 0).reshape(9, 6, 8)
alike = np.mean([np.abs(np.corrcoef(tap)) for tap in taps], axis=0)
np.fill_diagonal(alike, 0)
alike /= alike.max()
scores = [float(1 - np.sort(row)[-3:].mean()) for row in alike]
nearest = [float(1 - row.max()) for row in alike]
out = {'weight': weight.ravel().tolist(), 'scores': scores, 'nearest': nearest}
pathlib.Path(__file__).with_suffix('.json').write_text(json.dumps(out) + '\n')
