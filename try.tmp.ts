import { readOnnx } from '/work/wt-hostile/src/onnx/index.ts';
import { readNetwork, writeNetwork, NO_LIMITS } from '/work/wt-hostile/src/network/index.ts';
import { readFileSync } from 'node:fs';
const b = readFileSync('out/fuzz/onnx-0');
for (let i = 0; i < 3; i++) {
const t = performance.now();
try { const m = readOnnx(b); console.log(m.network.nodes.map((n) => n.kind + JSON.stringify(n.attributes).slice(0,200)), m.network.inputs, performance.now() - t);
 const w = writeNetwork(m.network); console.log(w.length, performance.now() - t); readNetwork(w, { limits: NO_LIMITS }); } catch (e) { console.log((e as Error).message.slice(0, 500)); }
console.log(performance.now() - t);
}
