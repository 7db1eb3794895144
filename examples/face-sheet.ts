/**
 * Writes out/face-sheet.png: 64 synthetic faces, 8 x 8, each at twice its size, with their landmarks.
 * Usage: npx tsx examples/face-sheet.ts [seed] [plain]
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { encode } from 'fast-png';
import { LANDMARK_COUNT, syntheticFaces } from './faces/index.ts';

const seed = Number(process.argv[2] ?? 1);
const plain = process.argv[3] === 'plain';
const [columns, side, zoom] = [8, 96, 2];
const started = performance.now();
const { images, landmarks } = syntheticFaces({ count: columns * columns, seed });
const perFace = (performance.now() - started) / (columns * columns);

const width = columns * side * zoom;
const data = new Uint8Array(width * width * 3);
for (let face = 0; face < columns * columns; face++) {
  const left = (face % columns) * side * zoom,
    top = Math.floor(face / columns) * side * zoom;
  for (let y = 0; y < side * zoom; y++) {
    for (let x = 0; x < side * zoom; x++) {
      const grey = images[(face * side + Math.floor(y / zoom)) * side + Math.floor(x / zoom)];
      data.fill(grey, 3 * ((top + y) * width + left + x), 3 * ((top + y) * width + left + x) + 3);
    }
  }
  if (plain) continue;
  for (let k = 0; k < LANDMARK_COUNT; k++) {
    const at = 2 * (face * LANDMARK_COUNT + k);
    const x = left + Math.floor(landmarks[at] * side * zoom),
      y = top + Math.floor(landmarks[at + 1] * side * zoom);
    const colour = k < 17 ? [255, 60, 60] : k < 36 ? [60, 255, 60] : [80, 200, 255];
    for (const [dx, dy] of [
      [0, 0],
      [1, 0],
      [0, 1],
      [1, 1],
    ])
      data.set(colour, 3 * ((y + dy) * width + x + dx));
  }
}
mkdirSync('out', { recursive: true });
writeFileSync('out/face-sheet.png', encode({ width, height: width, data, channels: 3 }));
console.log(`out/face-sheet.png: ${columns * columns} faces of seed ${seed}, ${perFace.toFixed(1)} ms each`);
