"""Writes safetensors.json: three files of the same tensors, laid out by this script from the format's description, not by espalier."""
import base64, json, struct
import numpy, torch

torch.manual_seed(0)
values = torch.randn(3, 4)
tensors = {
    'half': ('F16', [3, 4], values.half().numpy().tobytes()),
    'weight': ('F32', [3, 4], values.numpy().tobytes()),
    'brain': ('BF16', [3, 4], values.bfloat16().view(torch.int16).numpy().tobytes()),
    'double': ('F64', [2], numpy.array([1 / 3, -0.0]).tobytes()),
    'scalar': ('I64', [], struct.pack('<q', -5)),
    'flags': ('BOOL', [3], bytes([1, 0, 1])),
    'empty': ('U16', [0, 7], b''),
    'na\u00efve "name"': ('I8', [2], bytes([255, 1])),
}
metadata = {'format': 'pt', 'note': 'line\nbreak \u00e9'}


def pack(order, ascii_only, pad, indent):
    header, data = {'__metadata__': metadata}, b''
    for name in order:
        dtype, shape, raw = tensors[name]
        header[name] = {'dtype': dtype, 'shape': shape, 'data_offsets': [len(data), len(data) + len(raw)]}
        data += raw
    header = dict(sorted(header.items(), reverse=indent is not None))
    text = json.dumps(header, ensure_ascii=ascii_only, indent=indent).encode()
    if pad:
        text += b' ' * (-len(text) % 8)
    return base64.b64encode(struct.pack('<Q', len(text)) + text + data).decode()


names = list(tensors)
json.dump({
    'files': [pack(names, True, True, None), pack(names[::-1], False, False, None), pack(sorted(names), False, True, 1)],
    'tensors': {name: {'dtype': dtype, 'shape': shape, 'hex': raw.hex()} for name, (dtype, shape, raw) in tensors.items()},
    'metadata': metadata,
    'float32': {name: struct.unpack('<12f', getattr(values, name)().float().numpy().tobytes()) for name in ('half', 'bfloat16', 'float')},
}, open(__file__.replace('.py', '.json'), 'w'), indent=1)
