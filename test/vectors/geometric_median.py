"""Outside oracle for the criterion geometricMedian: numpy. Writes geometric_median.json beside itself."""
import json
import pathlib

import numpy as np

rng = np.random.default_rng(11)
# Seven filters of two 3x3 channels; the last copies the first, the fifth lies far off.
weight = (rng.normal(size=(7, 2, 3, 3)) * 0.5).round(3)
weight[6] = weight[0]
weight[4] += 3
rows = weight.reshape(7, -1)
scores = np.linalg.norm(rows[:, None] - rows[None], axis=2).sum(axis=1)
out = {'weight': weight.ravel().tolist(), 'scores': scores.tolist()}
pathlib.Path(__file__).with_suffix('.json').write_text(json.dumps(out) + '\n')
