/** Activations. A NaN goes through every one of them, so that a run which diverges is noticed. */
import { ACTIVATION, type Heap, type Kernels } from '../types.ts';

/** activation(x); `code` is an ACTIVATION code, `slope` the value of the leaky slope. */
export function activate(x: number, code: number, slope: number): number {
  switch (code) {
    case ACTIVATION.relu:
      return Math.max(x, 0);
    case ACTIVATION.leakyRelu:
      return x < 0 ? slope * x : x;
    case ACTIVATION.sigmoid:
      return 1 / (1 + Math.exp(-x));
    case ACTIVATION.tanh:
      return Math.tanh(x);
    default:
      return x;
  }
}

/** activation'(x) from y = activation(x). Where there is a kink the slope of its left side holds. */
function derivative(y: number, code: number, slope: number): number {
  switch (code) {
    case ACTIVATION.relu:
      return y > 0 ? 1 : 0;
    case ACTIVATION.leakyRelu:
      return y > 0 ? 1 : slope;
    case ACTIVATION.sigmoid:
      return y * (1 - y);
    case ACTIVATION.tanh:
      return 1 - y * y;
    default:
      return 1;
  }
}

export function activationForward({ float }: Heap): Kernels['activationForward'] {
  return (_scratch, x, y, count, code, slope) => {
    const leak = code === ACTIVATION.leakyRelu ? float[slope] : 0;
    for (let i = 0; i < count; i++) float[y + i] = activate(float[x + i], code, leak);
  };
}

export function activationBackward({ float }: Heap): Kernels['activationBackward'] {
  return (_scratch, y, dy, dx, count, code, slope) => {
    const leak = code === ACTIVATION.leakyRelu ? float[slope] : 0;
    for (let i = 0; i < count; i++) float[dx + i] = float[dy + i] * derivative(float[y + i], code, leak);
  };
}
