/**
 * Convolution and its gradients in WebAssembly SIMD. AssemblyScript; see ../specification/kernels.ts. Packed weights: per group (and,
 * backward, per phase of the input) and block of k, pairs of rows [rows / 2][k][2]; otherwise where winograd.ts,
 * convolution-across.ts or convolution-direct*.ts say so.
 */
import { slopeOf } from './activation';
import { TILE_COLUMNS } from './blocking';
import { layOutAcross } from './convolution-across';
import { direct, isDirect } from './convolution-direct';
import { directInput, isInterleaved } from './convolution-direct-input';
import { Plan, byWinograd, geometryAt, packedRows, planBackward, planForward, reaches } from './convolution-plan';
import { product } from './convolution-product';
import { layOut } from './convolution-work';
import { packColumns, packRows } from './matmul';
import { blockLength } from './tile';
import { packWinograd, winograd } from './winograd';
import { at } from './words';

export { convolutionBackwardWeights } from './convolution-weights';

const TAPS: i32 = 9;

/** `transposed` where the gradient may go by convolution-direct-input.ts, which knows no bias. */
const BY_ROWS: i32 = 1;

export function convolutionPack(scratch: i32, geometry: i32, weights: i32, packed: i32, transposed: i32): void {
  const g = geometryAt(geometry),
    kernel = g.kernelHeight * g.kernelWidth;
  const work = layOut(scratch, kernel),
    plan = changetype<Plan>(work.plan),
    taps = work.tapTable,
    exchanged = transposed > BY_ROWS;
  let to = at(packed);
  if (byWinograd(g)) {
    const inputs = g.channelsIn / g.groups,
      outputs = g.channelsOut / g.groups;
    for (let group = 0; group < g.groups; group++) {
      const from = at(weights) + at(group * outputs * inputs * TAPS);
      to = transposed
        ? packWinograd(
            work.stage,
            to,
            from + at(TAPS - 1),
            inputs,
            outputs,
            exchanged ? outputs * TAPS : TAPS,
            exchanged ? TAPS : inputs * TAPS,
            -1,
          )
        : packWinograd(work.stage, to, from, outputs, inputs, inputs * TAPS, TAPS, 1);
    }
    return;
  }
  if (!transposed) {
    planForward(g, plan, taps);
    if (isDirect(plan.channels, plan.rows, kernel)) {
      memory.copy(to, at(weights), at(g.channelsOut * kernel));
      return;
    }
    const length = plan.channels * kernel;
    for (let group = 0; group < g.groups; group++)
      to = packBlocks(to, at(weights) + at(group * plan.rows * length), plan, length);
    return;
  }
  if (transposed == BY_ROWS && isInterleaved(g)) {
    memory.copy(to, at(weights), at(g.channelsOut * kernel));
    return;
  }
  for (let phaseY = 0; phaseY < g.strideY; phaseY++) {
    for (let phaseX = 0; phaseX < g.strideX; phaseX++) {
      planBackward(g, plan, taps, phaseY, phaseX);
      if (plan.taps == 0) continue;
      let entry = taps;
      for (let ky = g.kernelHeight - 1; ky >= 0; ky--) {
        if (!reaches(phaseY, ky, g.paddingTop, g.dilationY, g.strideY)) continue;
        for (let kx = g.kernelWidth - 1; kx >= 0; kx--) {
          if (!reaches(phaseX, kx, g.paddingLeft, g.dilationX, g.strideX)) continue;
          store<i32>(entry, ky * g.kernelWidth + kx);
          entry += 4;
        }
      }
      const width = isDirect(plan.channels, plan.rows, plan.taps) ? 1 : plan.across ? TILE_COLUMNS : 2;
      for (let group = 0; group < g.groups; group++) {
        to = packTransposed(
          to,
          at(weights) + at(group * plan.channels * plan.rows * kernel),
          plan,
          kernel,
          taps,
          width,
          exchanged,
        );
      }
    }
  }
}

/**
 * Rows of `length` contiguous words to blocks of pairs or panels; a missing row is zero. Returns the address after
 * them.
 */
function packBlocks(to: usize, from: usize, plan: Plan, length: i32): usize {
  const block = blockLength(length),
    rows = packedRows(plan);
  for (let k0 = 0; k0 < length; k0 += block) {
    const count = min(block, length - k0);
    if (plan.across) packColumns(to, from + at(k0), 4, at(length), plan.rows, count);
    else packRows(to, from + at(k0), at(length), 4, plan.rows, count);
    to += at(rows * count);
  }
  return to;
}

/**
 * The same with rows = input channels and k = (output channel, tap of the list), `width` rows side by side: weights
 * [output][input][kernel], or `exchanged`.
 */
function packTransposed(
  to: usize,
  from: usize,
  plan: Plan,
  kernel: i32,
  taps: usize,
  width: i32,
  exchanged: bool,
): usize {
  const rows = plan.rows,
    nextRow = exchanged ? plan.channels * kernel : kernel,
    nextChannel = exchanged ? kernel : rows * kernel,
    count = plan.taps,
    length = plan.channels * count,
    block = blockLength(length);
  for (let k0 = 0; k0 < length; k0 += block) {
    const end = min(k0 + block, length);
    for (let r = 0; r < rows; r += width) {
      const present = min(width, rows - r);
      let channel = k0 / count,
        tap = k0 % count;
      for (let k = k0; k < end; k++) {
        let word = from + at(channel * nextChannel + r * nextRow + load<i32>(taps + at(tap)));
        for (let lane = 0; lane < width; lane++) {
          store<f32>(to, lane < present ? load<f32>(word) : 0);
          to += 4;
          word += at(nextRow);
        }
        if (++tap == count) {
          tap = 0;
          channel++;
        }
      }
    }
  }
  return to;
}

export function convolutionForward(
  scratch: i32,
  geometry: i32,
  x: i32,
  packed: i32,
  bias: i32,
  y: i32,
  sample: i32,
  samples: i32,
  position: i32,
  positions: i32,
  activation: i32,
  parameters: i32,
): void {
  const g = geometryAt(geometry);
  const work = layOut(scratch, g.kernelHeight * g.kernelWidth),
    plan = changetype<Plan>(work.plan);
  work.activation = activation;
  work.leak = slopeOf(activation, parameters);
  planForward(g, plan, work.tapTable);
  const source = at(x) + <usize>sample * plan.sourceSample,
    out = at(y) + <usize>sample * plan.outSample;
  if (byWinograd(g))
    return winograd(work, g.groups, source, at(packed), bias < 0 ? 0 : at(bias), out, samples, position, positions);
  if (isDirect(plan.channels, plan.rows, plan.taps))
    return direct(work, g.groups, source, at(packed), bias < 0 ? 0 : at(bias), out, samples, position, positions);
  if (plan.across) layOutAcross(work, plan, work.stage);
  const sourceGroup = at(plan.channels * g.heightIn * g.widthIn),
    outGroup = at(plan.rows * plan.outPlane);
  const weightGroup = at(packedRows(plan) * plan.channels * plan.taps);
  for (let group: usize = 0; group < <usize>g.groups; group++) {
    const biases: usize = bias < 0 ? 0 : at(bias) + group * at(plan.rows);
    product(
      work,
      source + group * sourceGroup,
      at(packed) + group * weightGroup,
      biases,
      out + group * outGroup,
      samples,
      position,
      positions,
    );
  }
}

export function convolutionBackwardInput(
  scratch: i32,
  geometry: i32,
  dy: i32,
  packed: i32,
  dx: i32,
  sample: i32,
  samples: i32,
): void {
  const g = geometryAt(geometry);
  if (!isInterleaved(g)) return transposedForward(scratch, geometry, dy, packed, -1, dx, sample, samples, 0, 0);
  const work = layOut(scratch, g.kernelHeight * g.kernelWidth);
  const from = at(dy) + at(sample * g.channelsOut * g.heightOut * g.widthOut),
    to = at(dx) + at(sample * g.channelsIn * g.heightIn * g.widthIn);
  directInput(work, g, from, at(packed), to, samples);
}

export function transposedForward(
  scratch: i32,
  geometry: i32,
  x: i32,
  packed: i32,
  bias: i32,
  y: i32,
  sample: i32,
  samples: i32,
  activation: i32,
  parameters: i32,
): void {
  const g = geometryAt(geometry);
  const work = layOut(scratch, g.kernelHeight * g.kernelWidth),
    plan = changetype<Plan>(work.plan);
  work.activation = activation;
  work.leak = slopeOf(activation, parameters);
  const stage = work.stage,
    biases: usize = bias < 0 ? 0 : at(bias);
  let weights = at(packed);
  for (let phaseY = 0; phaseY < g.strideY; phaseY++) {
    for (let phaseX = 0; phaseX < g.strideX; phaseX++) {
      planBackward(g, plan, work.tapTable, phaseY, phaseX);
      work.stage = stage;
      const source = at(x) + <usize>sample * plan.sourceSample,
        out = at(y) + <usize>sample * plan.outSample;
      if (byWinograd(g))
        return winograd(work, g.groups, source, weights, biases, out, samples, 0, plan.gridHeight * plan.gridWidth);
      if (isDirect(plan.channels, plan.rows, plan.taps) && plan.taps > 0) {
        direct(work, g.groups, source, weights, biases, out, samples, 0, plan.gridHeight * plan.gridWidth);
        weights += at(g.channelsIn * plan.taps);
        continue;
      }
      if (plan.across) layOutAcross(work, plan, stage);
      const sourceGroup = at(plan.channels * g.heightOut * g.widthOut),
        outGroup = at(plan.rows * plan.outPlane);
      const weightGroup = at(packedRows(plan) * plan.channels * plan.taps);
      for (let group: usize = 0; group < <usize>g.groups; group++) {
        product(
          work,
          source + group * sourceGroup,
          weights,
          biases ? biases + group * at(plan.rows) : 0,
          out + group * outGroup,
          samples,
          0,
          plan.gridHeight * plan.gridWidth,
        );
        weights += weightGroup;
      }
    }
  }
}
