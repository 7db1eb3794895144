"""Writes halves.json: float32 bit patterns and the halves that numpy rounds them to. Ties, subnormals, overflow, and random ones."""
import json
import numpy as np

random = np.random.default_rng(1)
half = np.arange(0, 0x7C00, 97, dtype=np.uint16).view(np.float16).astype(np.float64)
above = np.nextafter(half.astype(np.float16), np.float16(np.inf)).astype(np.float64)
middle = (half + np.where(np.isfinite(above), above, half)) / 2
floats = np.concatenate([
    middle.astype(np.float32), np.nextafter(middle.astype(np.float32), np.float32(np.inf)), -np.nextafter(middle.astype(np.float32), np.float32(-np.inf)),
    np.float32([0.0, -0.0, 65504, 65519.996, 65520, -65520, 1e38, np.inf, -np.inf, 2 ** -24, 2 ** -25, 2 ** -25 * 1.0001, 2 ** -26, 1e-45]),
    (random.standard_normal(300) * 10.0 ** random.integers(-9, 5, 300)).astype(np.float32),
]).astype(np.float32)
with np.errstate(over='ignore'):
    halves = floats.astype(np.float16)
json.dump({'floatBits': floats.view(np.int32).tolist(), 'halves': halves.view(np.uint16).tolist()}, open('halves.json', 'w'), separators=(',', ':'))
