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

H = covariance + 0.01 * covariance.diagonal().mean() * np.eye(columns)
factor = np.linalg.inv(np.linalg.cholesky(np.linalg.inv(H)).T).T.T
assert np.allclose(factor @ factor.T, H) and np.allclose(factor, np.triu(factor))

flat = lambda a: [float(f'{v:.15g}') for v in np.asarray(a).ravel()]
with open(os.path.join(os.path.dirname(__file__), 'least_squares.json'), 'w') as file:
    json.dump({'channels': CHANNELS, 'taps': TAPS, 'outputs': OUTPUTS, 'columns': columns, 'observations': OBSERVATIONS, 'ridge': RIDGE,
               'mean': flat(mean), 'covariance': flat(covariance), 'responseMean': flat(responseMean), 'cross': flat(cross), 'weights': flat(weights),
               'refitted': flat(refitted), 'bias': flat(responseMean - refitted @ mean), 'factor': flat(factor.T)}, file)
