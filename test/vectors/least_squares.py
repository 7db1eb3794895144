"""Full least-squares repair and the factor of error feedback by NumPy: writes least_squares.json.

usage: /usr/bin/python3 least_squares.py (NumPy 1.24.2)
"""
import json, os
import numpy as np

random = np.random.default_rng(7)
CHANNELS, TAPS, OUTPUTS, OBSERVATIONS, RIDGE = 4, 3, 5, 200, 0.02
columns = CHANNELS * TAPS
x = random.normal(size=(OBSERVATIONS, columns)) @ random.normal(size=(columns, columns)) + 3
y = x @ random.normal(size=(columns, OUTPUTS)) + random.normal(size=(OBSERVATIONS, OUTPUTS)) + 1
weights = random.normal(size=(OUTPUTS, columns))
mean, responseMean = x.mean(0), y.mean(0)
centred = x - mean
covariance = centred.T @ centred / OBSERVATIONS
cross = (y - responseMean).T @ centred / OBSERVATIONS

# How much of what each output hears is read through each channel, spread over its taps.
heard = (weights ** 2) @ covariance.diagonal()
squares = np.repeat(((weights ** 2) / heard[:, None]).sum(0).reshape(CHANNELS, TAPS).sum(1) / TAPS, TAPS)
m = (squares * covariance.diagonal()).mean()
damping = np.diag(RIDGE * m / squares)
refitted = np.linalg.solve(covariance + damping, (cross + weights @ damping).T).T

# A depthwise convolution: each channel by itself, taps x taps, one output.
GROUPS, AREA = 3, 9
depthwise = {k: [] for k in ('mean', 'covariance', 'responseMean', 'cross', 'weights', 'refitted', 'bias')}
for _ in range(GROUPS):
    a = random.normal(size=(OBSERVATIONS, AREA)) @ random.normal(size=(AREA, AREA)) + 2
    b = a @ random.normal(size=AREA) + random.normal(size=OBSERVATIONS)
    w = random.normal(size=AREA)
    c = a - a.mean(0)
    C = c.T @ c / OBSERVATIONS
    k = (b - b.mean()) @ c / OBSERVATIONS
    s2 = (w ** 2).sum() / ((w ** 2) @ C.diagonal()) / AREA
    d = RIDGE * (s2 * C.diagonal()).mean() / s2
    # Ridge regression towards w as one least-squares problem: the observations, and below them the ridge.
    r = np.linalg.lstsq(np.vstack([c / OBSERVATIONS ** 0.5, d ** 0.5 * np.eye(AREA)]),
                        np.concatenate([(b - b.mean()) / OBSERVATIONS ** 0.5, d ** 0.5 * w]), rcond=None)[0]
    for name, value in zip(depthwise, (a.mean(0), C, [b.mean()], k, w, r, [b.mean() - r @ a.mean(0)])): depthwise[name] += list(np.ravel(value))

H = covariance + 0.01 * covariance.diagonal().mean() * np.eye(columns)
factor = np.linalg.inv(np.linalg.cholesky(np.linalg.inv(H)).T).T.T
assert np.allclose(factor @ factor.T, H) and np.allclose(factor, np.triu(factor))

flat = lambda a: [float(f'{v:.15g}') for v in np.asarray(a).ravel()]
with open(os.path.join(os.path.dirname(__file__), 'least_squares.json'), 'w') as file:
    json.dump({'channels': CHANNELS, 'taps': TAPS, 'outputs': OUTPUTS, 'columns': columns, 'observations': OBSERVATIONS, 'ridge': RIDGE,
               'mean': flat(mean), 'covariance': flat(covariance), 'responseMean': flat(responseMean), 'cross': flat(cross), 'weights': flat(weights),
               'refitted': flat(refitted), 'bias': flat(responseMean - refitted @ mean), 'factor': flat(factor.T), 'depthwise': {'groups': GROUPS, 'taps': AREA, **{k: flat(v) for k, v in depthwise.items()}}}, file)
