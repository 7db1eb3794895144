"""Writes kernels.json: what PyTorch (1.13) makes of small inputs, in double precision. Run: python3 test/vectors/kernels.py"""
import json, pathlib
import torch
import torch.nn.functional as F

torch.manual_seed(1)
torch.set_default_dtype(torch.float64)


def rounded(*shape):
    """Numbers with three decimals, so that the file holds them exactly as they were used."""
    return torch.round(torch.randn(*shape) * 1000) / 1000


def flat(tensor):
    return [float(f'{value:.9g}') for value in tensor.detach().flatten().tolist()]


def convolution(channels_in, height, width, channels_out, kernel, stride, padding, dilation, groups):
    """padding: top, left, bottom, right."""
    x, w, b = rounded(2, channels_in, height, width).requires_grad_(), rounded(channels_out, channels_in // groups, *kernel).requires_grad_(), rounded(channels_out)
    top, left, bottom, right = padding
    y = F.conv2d(F.pad(x, (left, right, top, bottom)), w, b, stride, 0, dilation, groups)
    dy = rounded(*y.shape)
    y.backward(dy)
    return dict(geometry=dict(channelsIn=channels_in, heightIn=height, widthIn=width, channelsOut=channels_out, heightOut=y.shape[2], widthOut=y.shape[3], kernelHeight=kernel[0], kernelWidth=kernel[1],
                              strideY=stride[0], strideX=stride[1], paddingTop=top, paddingLeft=left, dilationY=dilation[0], dilationX=dilation[1], groups=groups),
                x=flat(x), w=flat(w), b=flat(b), y=flat(y), dy=flat(dy), dx=flat(x.grad), dw=flat(w.grad))


def pool(kind, height, width, kernel, stride, padding, dilation=(1, 1), count_padding=True):
    x = rounded(3, height, width).requires_grad_()
    if kind == 'max':
        y, indices = F.max_pool2d(x, kernel, stride, padding, dilation, return_indices=True)
    else:
        y = F.avg_pool2d(x, kernel, stride, padding, count_include_pad=count_padding)
    dy = rounded(*y.shape)
    y.backward(dy)
    case = dict(kind=kind, countPadding=int(count_padding), geometry=dict(channelsIn=1, heightIn=height, widthIn=width, channelsOut=1, heightOut=y.shape[1], widthOut=y.shape[2], kernelHeight=kernel[0], kernelWidth=kernel[1],
                strideY=stride[0], strideX=stride[1], paddingTop=padding[0], paddingLeft=padding[1], dilationY=dilation[0], dilationX=dilation[1], groups=1), x=flat(x), y=flat(y), dy=flat(dy), dx=flat(x.grad))
    if kind == 'max':
        case['argmax'] = indices.flatten().tolist()
    return case


def batch_norm():
    x, dy = (rounded(3, 2, 4) * 2 + 1).requires_grad_(), rounded(3, 2, 4)
    layer = torch.nn.BatchNorm1d(2, eps=1e-3, momentum=0.2)
    with torch.no_grad():
        layer.weight.copy_(rounded(2))
        layer.bias.copy_(rounded(2))
        layer.running_mean.copy_(rounded(2))
        layer.running_var.copy_(rounded(2).abs() + 0.5)
    case = dict(epsilon=1e-3, momentum=0.2, samples=3, channels=2, positions=4, x=flat(x), dy=flat(dy), scale=flat(layer.weight), shift=flat(layer.bias), mean=flat(layer.running_mean), variance=flat(layer.running_var))
    y = layer(x)
    y.backward(dy)
    case.update(y=flat(y), dx=flat(x.grad), dscale=flat(layer.weight.grad), dshift=flat(layer.bias.grad), meanAfter=flat(layer.running_mean), varianceAfter=flat(layer.running_var))
    layer.eval()
    case.update(inference=flat(layer(x)))
    return case


def optimizer(name, make, hyper, steps=4):
    w = rounded(7).requires_grad_()
    update = make([w])
    case = dict(name=name, hyper=hyper, w=flat(w), gradients=[], weights=[])
    for _ in range(steps):
        w.grad = rounded(7)
        case['gradients'].append(flat(w.grad))
        update.step()
        case['weights'].append(flat(w))
    return case


def clipping(limit):
    g = rounded(9).requires_grad_()
    g.grad = rounded(9)
    before = flat(g.grad)
    norm = torch.nn.utils.clip_grad_norm_([g], limit)
    return dict(limit=limit, gradient=before, norm=float(norm), clipped=flat(g.grad))


def softmax():
    x, dy = (rounded(3, 5) * 4).requires_grad_(), rounded(3, 5)
    y = F.softmax(x, 1)
    y.backward(dy)
    return dict(rows=3, columns=5, x=flat(x), y=flat(y), dy=flat(dy), dx=flat(x.grad))


sgd = lambda rate, momentum, decay, nesterov: (lambda w: torch.optim.SGD(w, lr=rate, momentum=momentum, weight_decay=decay, nesterov=nesterov), dict(kind='sgd', rate=rate, momentum=momentum, weightDecay=decay, nesterov=int(nesterov)))
adam = lambda kind, rate, decay: (lambda w: (torch.optim.AdamW if kind == 'AdamW' else torch.optim.Adam)(w, lr=rate, betas=(0.8, 0.95), eps=1e-4, weight_decay=decay), dict(kind='adam', rate=rate, beta1=0.8, beta2=0.95, epsilon=1e-4, weightDecay=decay, decoupled=int(kind == 'AdamW')))
vectors = dict(
    convolution=[
        convolution(3, 5, 6, 4, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),
        convolution(2, 7, 6, 3, (3, 2), (2, 3), (0, 1, 2, 0), (1, 1), 1),
        convolution(4, 6, 5, 6, (3, 3), (1, 2), (2, 1, 1, 2), (2, 1), 2),
        convolution(3, 5, 5, 6, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 3),
        convolution(5, 3, 3, 2, (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1),
    ],
    pooling=[
        pool('max', 6, 7, (2, 2), (2, 2), (0, 0)),
        pool('max', 5, 6, (3, 3), (2, 1), (1, 1)),
        pool('max', 7, 7, (2, 3), (1, 2), (1, 1), (2, 2)),
        pool('average', 6, 6, (2, 2), (2, 2), (0, 0)),
        pool('average', 5, 6, (3, 3), (2, 1), (1, 1), count_padding=True),
        pool('average', 5, 6, (3, 3), (2, 1), (1, 1), count_padding=False),
    ],
    batchNorm=batch_norm(),
    softmax=softmax(),
    optimizers=[
        optimizer('SGD', *sgd(0.1, 0, 0, False)),
        optimizer('SGD with momentum and weight decay', *sgd(0.1, 0.9, 0.05, False)),
        optimizer('SGD with Nesterov momentum and weight decay', *sgd(0.1, 0.9, 0.05, True)),
        optimizer('Adam', *adam('Adam', 0.1, 0)),
        optimizer('Adam with weight decay', *adam('Adam', 0.1, 0.1)),
        optimizer('AdamW', *adam('AdamW', 0.1, 0.1)),
    ],
    clipping=[clipping(0.5), clipping(100)],
)
pathlib.Path(__file__).with_suffix('.json').write_text(json.dumps(vectors, separators=(',', ':')) + '\n')
