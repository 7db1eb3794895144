"""Writes training.json beside it: losses and their gradients, and 20 steps of SGD, Nesterov, Adam, AdamW on a tiny network, by PyTorch.

usage: /usr/bin/python3 make.py     (needs torch and numpy; made with PyTorch 1.13.1)
"""
import json, os
import torch, torch.nn.functional as F

torch.manual_seed(7)
numbers = lambda t: [float(f'{v:.9g}') for v in t.detach().flatten().tolist()]

def loss_case(kind, options, function, prediction, target):
    p = prediction.clone().double().requires_grad_()
    value = function(p, target.double() if target.dtype.is_floating_point else target)
    value.backward()
    return {'options': {'kind': kind, **options}, 'count': prediction.shape[0], 'size': prediction.shape[1], 'prediction': prediction.double().flatten().tolist(),
            'target': target.double().flatten().tolist(), 'value': value.item(), 'gradient': p.grad.flatten().tolist()}

def wing(p, t, w, epsilon):
    x = (p - t).abs()
    c = w - w * torch.log(torch.tensor(1 + w / epsilon).double())
    return torch.where(x < w, w * torch.log(1 + x / epsilon), x - c).mean()

p, t = (torch.randn(5, 7) * 0.3), (torch.randn(5, 7) * 0.3)
logits = torch.randn(6, 4) * 3
losses = [
    loss_case('l2', {}, F.mse_loss, p, t),
    loss_case('l2', {'scale': 0.25}, lambda a, b: F.mse_loss(a / 0.25, b / 0.25), p, t),
    loss_case('smoothL1', {}, lambda a, b: F.smooth_l1_loss(a, b), p * 5, t),
    loss_case('smoothL1', {'beta': 0.1, 'scale': 0.1}, lambda a, b: F.smooth_l1_loss(a / 0.1, b / 0.1, beta=0.1), p, t),
    loss_case('wing', {'w': 2.0, 'epsilon': 0.5, 'scale': 0.1}, lambda a, b: wing(a / 0.1, b / 0.1, 2.0, 0.5), p, t),
    loss_case('crossEntropy', {}, F.cross_entropy, logits, torch.tensor([0, 3, 1, 2, 2, 0])),
    loss_case('crossEntropy', {}, F.cross_entropy, logits, torch.softmax(torch.randn(6, 4), 1)),
]

# dense 3 -> 5, tanh, dense 5 -> 2, in double; the same eight samples at every step; mean squared error.
first = (torch.randn(5, 3) * 0.6).float().double(), (torch.randn(5) * 0.1).float().double()
second = (torch.randn(2, 5) * 0.6).float().double(), (torch.randn(2) * 0.1).float().double()
x, y = torch.randn(8, 3).float().double(), torch.randn(8, 2).float().double()

def run(make, clip):
    w1, b1, w2, b2 = parameters = [v.clone().requires_grad_() for v in (*first, *second)]
    optimizer = make(parameters)
    history, norms = [], []
    for _ in range(20):
        loss = F.mse_loss(torch.tanh(x @ w1.T + b1) @ w2.T + b2, y)
        optimizer.zero_grad(); loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(parameters, clip if clip else 1e9)))
        optimizer.step(); history.append(loss.item())
    return {'losses': history, 'norms': norms, 'parameters': {n: numbers(v) for n, v in zip(('w1', 'b1', 'w2', 'b2'), parameters)}}

RATE = 0.05
runs = [
    {'optimizer': {'kind': 'sgd', 'momentum': 0.9, 'weightDecay': 1e-2}, 'rate': RATE, 'clip': 0, **run(lambda p: torch.optim.SGD(p, lr=RATE, momentum=0.9, weight_decay=1e-2), 0)},
    {'optimizer': {'kind': 'sgd', 'momentum': 0.9, 'weightDecay': 0}, 'rate': RATE, 'clip': 0.5, **run(lambda p: torch.optim.SGD(p, lr=RATE, momentum=0.9), 0.5)},
    {'optimizer': {'kind': 'sgd', 'momentum': 0.8, 'nesterov': True, 'weightDecay': 1e-3}, 'rate': RATE, 'clip': 0, **run(lambda p: torch.optim.SGD(p, lr=RATE, momentum=0.8, weight_decay=1e-3, nesterov=True), 0)},
    {'optimizer': {'kind': 'adam', 'decoupled': False, 'weightDecay': 1e-2}, 'rate': 0.01, 'clip': 0, **run(lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=1e-2), 0)},
    {'optimizer': {'kind': 'adam', 'decoupled': True, 'beta1': 0.8, 'beta2': 0.95, 'weightDecay': 1e-1}, 'rate': 0.01, 'clip': 0, **run(lambda p: torch.optim.AdamW(p, lr=0.01, betas=(0.8, 0.95), weight_decay=1e-1), 0)},
]
start = {n: numbers(v) for n, v in zip(('w1', 'b1', 'w2', 'b2'), (*first, *second))}
json.dump({'losses': losses, 'steps': {'start': start, 'x': numbers(x), 'y': numbers(y), 'runs': runs}}, open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'training.json'), 'w'))
