"""Ridge regression on block means by scikit-learn, the outside oracle of examples/faces/ridge.ts: writes ridge.json.

Pictures and landmarks come from the formulas below, which the test repeats. usage: /usr/bin/python3 ridge.py (scikit-learn 1.2.1)
"""
import json, os
import numpy as np
from sklearn.linear_model import Ridge

COUNT, FIT, SIDE, BLOCKS, LAMBDA = 15, 12, 12, 4, 2.5
n, y, x = np.meshgrid(np.arange(COUNT), np.arange(SIDE), np.arange(SIDE), indexing='ij')
images = (n * n * 31 + y * (n + 3) * 7 + x * x * (n + 1) * 5 + x * y * 3) % 251
k = np.arange(136)
landmarks = np.float32(((np.arange(COUNT)[:, None] * 17 + k * 29 + np.arange(COUNT)[:, None] ** 2 * k) % 101) / 101)

width = SIDE // BLOCKS
features = images.reshape(COUNT, BLOCKS, width, BLOCKS, width).mean((2, 4)).reshape(COUNT, -1)
features = (features - features.mean(1, keepdims=True)) / features.std(1, keepdims=True)
model = Ridge(alpha=LAMBDA, fit_intercept=True, solver='cholesky').fit(features[:FIT], landmarks[:FIT].astype(float))
predicted = model.predict(features[FIT:])
with open(os.path.join(os.path.dirname(__file__), 'ridge.json'), 'w') as file:
    json.dump({'count': COUNT, 'fit': FIT, 'side': SIDE, 'blocks': BLOCKS, 'lambda': LAMBDA, 'predicted': [[round(v, 9) for v in row] for row in predicted.tolist()]}, file)
