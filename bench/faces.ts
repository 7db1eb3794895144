import type { Preprocessing } from 'espalier';

/** How faces become the inputs of the landmark network, as it was trained. */
export const preprocessing: Preprocessing = {
  width: 64,
  height: 64,
  channels: 1,
  filter: 'area',
  scale: 1 / 255,
  standardize: { kind: 'image', epsilon: 1e-3 },
};
