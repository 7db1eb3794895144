"""Vectors for test/data, by NumPy and PyTorch. Run: /usr/bin/python3 data.py   (writes data.json beside it)"""
import base64, io, json, os
import numpy as np, torch, torch.nn.functional as F

rng = np.random.default_rng(2016)
numbers = lambda a: [float(v) for v in np.asarray(a, np.float64).ravel()]
encode = lambda b: base64.b64encode(b).decode()

# Resizing: (height, width) -> (height, width).
resize = []
for source, target in [((12, 9), (8, 6)), ((12, 9), (4, 3)), ((7, 5), (3, 4)), ((4, 5), (9, 7)), ((5, 6), (5, 6)), ((1, 96), (1, 64))]:
    image = rng.integers(0, 256, source).astype(np.float32)
    x = torch.tensor(image)[None, None]
    resize.append(dict(source=source, target=target, image=numbers(image), area=numbers(F.interpolate(x, size=target, mode='area')),
                       bilinear=numbers(F.interpolate(x, size=target, mode='bilinear', antialias=True, align_corners=False))))

# The recipe's preprocessing: area filter, /255, per image minus mean over (deviation with n - 1, plus epsilon).
image = rng.integers(0, 256, (12, 9)).astype(np.uint8)
x = F.interpolate(torch.tensor(image[None, None].astype(np.float32) / 255), size=(8, 6), mode='area')
x = (x - x.mean((1, 2, 3), keepdim=True)) / (x.std((1, 2, 3), keepdim=True) + 1e-3)
preprocess = dict(source=(12, 9), target=(8, 6), epsilon=1e-3, image=numbers(image), input=numbers(x))

# Warping: affine maps from output to source, and points by the inverse.
image = rng.standard_normal((2, 7, 9)).astype(np.float32)
points = rng.random((5, 2)).astype(np.float32)
warps = []
for matrix in [[1, 0, 0, 0, 1, 0], [0.9, -0.3, 0.1, 0.3, 0.9, -0.05], [-1, 0, 0, 0, 1, 0], [1.6, 0.8, -0.7, -0.5, 1.9, 0.6]]:
    A = torch.tensor(matrix, dtype=torch.float32).view(1, 2, 3)
    x = torch.tensor(image)[None]
    warped = F.grid_sample(x, F.affine_grid(A, x.shape, align_corners=False), align_corners=False, padding_mode='border')
    p = torch.tensor(points)[None] * 2 - 1
    p = torch.einsum('nij,nkj->nki', torch.inverse(A[:, :, :2]), p - A[:, None, :, 2])
    warps.append(dict(matrix=matrix, image=numbers(warped), points=numbers((p + 1) / 2)))
warp = dict(shape=image.shape, image=numbers(image), points=numbers(points), warps=warps)

# Metrics of 9 faces with 5 points, normalized by the distance of points 1 and 4.
t = rng.random((9, 5, 2)).astype(np.float32)
p = (t + rng.standard_normal(t.shape) * 0.04).astype(np.float32)
t64, p64 = t.astype(np.float64), p.astype(np.float64)
errors = np.linalg.norm(p64 - t64, axis=2).mean(1) / np.linalg.norm(t64[:, 1] - t64[:, 4], axis=1)
fine = np.linspace(0, 0.1, 2_000_001)
metrics = dict(points=5, normalizeBy=(1, 4), predictions=numbers(p), targets=numbers(t), rmse=float(np.sqrt(((p64 - t64) ** 2).mean())), nme=float(errors.mean()),
               nmeMedian=float(np.median(errors)), failureRate=float((errors > 0.1).mean()), errors=numbers(errors),
               curve=[float((errors <= v).mean()) for v in np.linspace(0, 0.2, 11)],
               area=float(np.searchsorted(np.sort(errors), fine, side='right').mean() / len(errors)))

# .npy files as NumPy writes them.
def save(array, version=None):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=version)
    return encode(file.getvalue())

base = np.arange(-3, 9).reshape(3, 4)
arrays = [base.astype(order + kind) for kind in ('f2', 'f4', 'f8', 'i2', 'i4', 'i8') for order in '<>']
arrays += [np.abs(base).astype(order + kind) for kind in ('u2', 'u4', 'u8') for order in '<>']
arrays += [base.astype('i1'), np.abs(base).astype('u1'), base % 2 == 0, np.asfortranarray(base.astype('f4')), np.asfortranarray(np.arange(24).reshape(2, 3, 4).astype('>i4')),
           np.float64(3.25).reshape(()), np.zeros((0, 3), 'f4'), np.arange(3).astype('f4'), np.array([2 ** 53 - 1, -(2 ** 53 - 1)], 'i8'),
           np.array([65504, 6e-8, -0.0, np.inf, -np.inf, np.nan, 6.1e-5], 'f2')]
npy = [dict(file=save(a), shape=a.shape, type=a.dtype.kind + str(a.dtype.itemsize), values=[str(float(v)) for v in a.ravel()]) for a in arrays]
npy += [dict(file=save(base.astype('f4'), version), shape=base.shape, type='f4', values=[str(float(v)) for v in base.ravel()]) for version in ((2, 0), (3, 0))]
refused = [save(a) for a in (np.array(['a', 'bc']), np.array([b'a']), np.zeros(2, 'c8'), np.zeros(2, [('x', 'f4'), ('y', 'i4')]), np.zeros(2, 'datetime64[s]'))]
file = io.BytesIO(); np.save(file, np.array([{}, None], object), allow_pickle=True); refused.append(encode(file.getvalue()))

out = dict(resize=resize, preprocess=preprocess, warp=warp, metrics=metrics, npy=npy, refused=refused, beyond=save(np.array([1, 2 ** 53 + 1], 'i8')))
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'data.json'), 'w') as f: json.dump(out, f, separators=(',', ':'))
