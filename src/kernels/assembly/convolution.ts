/**
 * Convolution and its gradients in WebAssembly SIMD. AssemblyScript; see ../types.ts. Packed weights: per group (and, backward, per phase of
 * the input) and block of k, pairs of rows [rows / 2][k][2]; where the convolution is direct, as convolution-direct.ts says.
 */
import { Plan, geometryAt, pairs, planBackward, planForward, reaches } from './convolution-plan';
import { direct, isDirect } from './convolution-direct';
import { layOut, product } from './convolution-product';
import { blockLength } from './tile';
import { at } from './words';

export { convolutionBackwardWeights } from './convolution-weights';

const LEAKY_RELU: i32 = 2;

export function convolutionPack(scratch: i32, geometry: i32, weights: i32, packed: i32, backward: i32): void {
  const g = geometryAt(geometry);
  const kernel = g.kernelHeight * g.kernelWidth, inputs = g.channelsIn / g.groups, outputs = g.channelsOut / g.groups;
  let to = at(packed);
  if (!backward) {
    if (isDirect(inputs, outputs, kernel)) {
      memory.copy(to, at(weights), at(g.channelsOut * kernel));
      return;
    }
    for (let group = 0; group < g.groups; group++) to = packBlocks(to, at(weights) + at(group * outputs * inputs * kernel), outputs, inputs * kernel);
    return;
  }
  const taps = layOut(scratch, kernel).tapTable;
  for (let phaseY = 0; phaseY < g.strideY; phaseY++) {
    for (let phaseX = 0; phaseX < g.strideX; phaseX++) {
      let count = 0;
      for (let ky = g.kernelHeight - 1; ky >= 0; ky--) {
        if (!reaches(phaseY, ky, g.paddingTop, g.dilationY, g.strideY)) continue;
        for (let kx = g.kernelWidth - 1; kx >= 0; kx--) {
          if (reaches(phaseX, kx, g.paddingLeft, g.dilationX, g.strideX)) store<i32>(taps + at(count++), ky * g.kernelWidth + kx);
        }
      }
      if (count == 0) continue;
      if (isDirect(outputs, inputs, count)) {
        for (let row = 0; row < g.channelsIn; row++) {
          for (let tap = 0; tap < count; tap++) {
            store<f32>(to, load<f32>(at(weights) + at(row * kernel + load<i32>(taps + at(tap)))));
            to += 4;
          }
        }
        continue;
      }
      for (let group = 0; group < g.groups; group++) {
        to = packTransposed(to, at(weights) + at(group * outputs * inputs * kernel), inputs, outputs, kernel, taps, count);
      }
    }
  }
}

/** Rows of `length` contiguous words to blocks of pairs; a missing row is zero. Returns the address after them. */
function packBlocks(to: usize, from: usize, rows: i32, length: i32): usize {
  const block = blockLength(length);
  for (let k0 = 0; k0 < length; k0 += block) {
    const count = min(block, length - k0);
    for (let r = 0; r < rows; r += 2) {
      let first = from + at(r * length + k0);
      const end = first + at(count), next = at(length);
      if (r + 1 == rows) {
        for (; first < end; first += 4) {
          store<f32>(to, load<f32>(first));
          store<f32>(to, 0, 4);
          to += 8;
        }
      } else {
        for (; first < end; first += 4) {
          store<f32>(to, load<f32>(first));
          store<f32>(to, load<f32>(first + next), 4);
          to += 8;
        }
      }
    }
  }
  return to;
}

/** The same with rows = input channels and k = (output channel, tap of the list): weights [output][input][kernel]. */
function packTransposed(to: usize, from: usize, rows: i32, channels: i32, kernel: i32, taps: usize, count: i32): usize {
  const length = channels * count, block = blockLength(length);
  for (let k0 = 0; k0 < length; k0 += block) {
    const end = min(k0 + block, length);
    for (let r = 0; r < rows; r += 2) {
      const both = r + 1 < rows;
      let channel = k0 / count, tap = k0 % count;
      for (let k = k0; k < end; k++) {
        const word = from + at((channel * rows + r) * kernel + load<i32>(taps + at(tap)));
        store<f32>(to, load<f32>(word));
        store<f32>(to, both ? load<f32>(word + at(kernel)) : 0, 4);
        to += 8;
        if (++tap == count) {
          tap = 0;
          channel++;
        }
      }
    }
  }
  return to;
}

export function convolutionForward(scratch: i32, geometry: i32, x: i32, packed: i32, bias: i32, y: i32,
  sample: i32, samples: i32, position: i32, positions: i32, activation: i32, slope: i32): void {
  const g = geometryAt(geometry);
  const work = layOut(scratch, g.kernelHeight * g.kernelWidth), plan = changetype<Plan>(work.plan);
  work.activation = activation;
  work.leak = activation == LEAKY_RELU ? load<f32>(at(slope)) : 0;
  planForward(g, plan, work.tapTable);
  const source = at(x) + <usize>sample * plan.sourceSample, out = at(y) + <usize>sample * plan.outSample;
  if (isDirect(plan.channels, plan.rows, plan.taps)) return direct(work, g.groups, source, at(packed), bias < 0 ? 0 : at(bias), out, samples, position, positions);
  const sourceGroup = at(plan.channels * g.heightIn * g.widthIn), outGroup = at(plan.rows * plan.outPlane);
  const weightGroup = at(pairs(plan.rows) * plan.channels * plan.taps);
  for (let group: usize = 0; group < <usize>g.groups; group++) {
    const biases: usize = bias < 0 ? 0 : at(bias) + group * at(plan.rows);
    product(work, source + group * sourceGroup, at(packed) + group * weightGroup, biases, out + group * outGroup, samples, position, positions);
  }
}

export function convolutionBackwardInput(scratch: i32, geometry: i32, dy: i32, packed: i32, dx: i32, sample: i32, samples: i32): void {
  const g = geometryAt(geometry);
  const work = layOut(scratch, g.kernelHeight * g.kernelWidth), plan = changetype<Plan>(work.plan);
  let weights = at(packed);
  for (let phaseY = 0; phaseY < g.strideY; phaseY++) {
    for (let phaseX = 0; phaseX < g.strideX; phaseX++) {
      planBackward(g, plan, work.tapTable, phaseY, phaseX);
      const source = at(dy) + <usize>sample * plan.sourceSample, out = at(dx) + <usize>sample * plan.outSample;
      if (isDirect(plan.channels, plan.rows, plan.taps) && plan.taps > 0) {
        direct(work, g.groups, source, weights, 0, out, samples, 0, plan.gridHeight * plan.gridWidth);
        weights += at(g.channelsIn * plan.taps);
        continue;
      }
      const sourceGroup = at(plan.channels * g.heightOut * g.widthOut), outGroup = at(plan.rows * plan.outPlane);
      const weightGroup = at(pairs(plan.rows) * plan.channels * plan.taps);
      for (let group: usize = 0; group < <usize>g.groups; group++) {
        product(work, source + group * sourceGroup, weights, 0, out + group * outGroup, samples, 0, plan.gridHeight * plan.gridWidth);
        weights += weightGroup;
      }
    }
  }
}
