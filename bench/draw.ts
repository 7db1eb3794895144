/** docs/benchmarks.md and its charts, from the results alone: one section per processor. */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { escapeHtml } from 'espalier/compression';
import { charts } from './charts.ts';
import type { Chart } from './charts.ts';
import { readResults } from './results.ts';
import type { Result } from './results.ts';
import * as tables from './tables.ts';

/** Writes `benchmarks.md` and `benchmarks/*.svg` into `document` from every CSV in `results`. */
export function draw(results: string, document: string): void {
  const files = readdirSync(results)
    .filter((name) => name.endsWith('.csv'))
    .sort();
  mkdirSync(join(document, 'benchmarks'), { recursive: true });
  const processors = files.map((file) => readResults(join(results, file)));
  const sections = processors.map((rows, i) => {
    const file = files[i];
    const slug = file.slice(0, -'.csv'.length);
    const drawn = charts(rows);
    for (const chart of drawn)
      writeFileSync(join(document, 'benchmarks', `${slug}-${chart.name}.svg`), standalone(chart));
    const picture = (name: string): string =>
      drawn
        .filter((chart) => chart.name === name)
        .map(({ title }) => `![${title}](benchmarks/${slug}-${name}.svg)\n`)
        .join('\n');
    return section(rows, picture);
  });
  writeFileSync(join(document, 'benchmarks.md'), `${INTRODUCTION}\n${overview(processors)}\n${sections.join('\n')}`);
  console.log(`\ndrawn: ${join(document, 'benchmarks.md')}`);
}

const INTRODUCTION = `# Benchmarks

<!-- Written by \`npm run bench\` (or \`npm run bench -- draw\`) from bench/results/*.csv: edit bench/draw.ts instead. -->

\`npm run bench\` measures all of this in one run and verifies each result before it is timed: kernels and outputs against the portable TypeScript kernels,
peers' outputs against the same. Contenders take turns, one call each per round, those that run whole networks or k-means each in a process of its own; tables and charts give the least time over the rounds,
the CSV files in \`bench/results\` the median as well. Everything runs on one thread unless it says otherwise. GFLOP/s count a multiplication and an addition as two.

The peers are installed with \`npm ci --prefix bench/peers\` (750 MB; \`--omit=optional\` leaves out onnxruntime-node, 290 MB). PyTorch, faiss and scikit-learn are Debian's
\`python3-torch\`, \`python3-faiss\` and \`python3-sklearn\`. onnxruntime-web, tfjs and jax-js are WebAssembly like espalier, 128 bits wide; onnxruntime-node, PyTorch, faiss and scikit-learn
are native code that may use whatever the processor has. What is not installed is left out, and said so.
`;

function overview(processors: readonly (readonly Result[])[]): string {
  return `## Processors side by side

${tables.sideBySide(processors)}

A time ratio below 1 says that espalier is faster; one thread unless it says otherwise. A processor comes in by a run of \`npm run bench\` on it, whose CSV is committed.
`;
}

function section(rows: readonly Result[], picture: (name: string) => string): string {
  const newest = rows.reduce((last, row) => (row.date > last.date ? row : last), rows[0]);
  const parts: readonly (readonly [group: string, title: string, text: string])[] = [
    [
      'kernels',
      'Kernels against peak',
      `${tables.peak(rows)}

${picture('products')}
${tables.products(rows)}

A product with one row or column, as of a dense layer and a batch of 1, waits for the matrix to come from memory.

${picture('convolutions')}
Convolutions of a batch of 16. The bars of 3x3 convolutions of stride 1 count the operations of the direct algorithm and so are *effective* rates: by Winograd's algorithm the forward
pass and both gradients do with fewer multiplications, and may pass 100 %. Depthwise convolutions multiply each value that they read by
nine weights at most: loads and stores, not multiplications, are what they cost.
`,
    ],
    [
      'forward',
      'Inference',
      `${picture('forward')}
${tables.forward(rows)}

Milliseconds per call. *Ratio*: espalier's time over that of the fastest peer in WebAssembly. Each peer as well as it can do: onnxruntime with all graph optimizations,
tfjs with batch normalization folded, bias and ReLU fused, its own layout and its input resident;
jax-js compiled by its \`jit\`, convolutions as products of matrices, which it multiplies sixteen times as fast as it convolves; tfjs cpu is its plain JavaScript, timed once. Those two are not in the chart.
The ResNet-18 has stages of 96, 160, 256 and 448 channels, the MobileNet v1 width 1. Weights are random.
`,
    ],
    [
      'models',
      'Models by others',
      `${tables.models(rows)}

Both run the very file: detectors and landmark networks as their authors or PyTorch export them (\`readOnnx\`, \`simplify\`, \`foldNormalization\`, an executor), and our VGG with product codes, our own file on our side
and what \`writeOnnx\` makes of it on the other. Milliseconds per call, inputs and outputs copied in and out. *Opening*: from the bytes to what can run, kernels compiled, in a process that has the library's
JavaScript loaded; *first run*: before engines have compiled anything a second time. Both are single times.
`,
    ],
    [
      'operators',
      'Operators',
      `${tables.operators(rows)}

Models of one operator, written by \`writeOnnx\`, one sample, as above: what a call costs beside the operator itself is in both figures.
`,
    ],
    [
      'training',
      'Training',
      `${picture('training')}
${tables.training(rows)}

One step: forward, mean squared error, backward, SGD with momentum. jax-js is WebAssembly like espalier, its step compiled by its \`jit\`, on one thread (in Node it has no other), and not in the chart.
onnxruntime-web cannot train, and tfjs has no WebAssembly kernel for the weight gradient of a convolution.
`,
    ],
    [
      'threads',
      'Threads',
      `${picture('threads')}
${tables.threads(rows)}

The outputs are the same bits for any number of threads, which is verified first; in the page (headless Chromium, cross-origin isolated) the same as in Node.
`,
    ],
    [
      'halved',
      'Half of the neurons',
      `${tables.halved(rows)}
`,
    ],
    [
      'sweep',
      'Cost against width, side and batch',
      `Every width from 1 to 70, as pruning leaves them, through the executor that runs a model:

${['width-convolution', 'width-dense', 'side', 'batch'].map(picture).join('\n')}`,
    ],
    [
      'kmeans',
      'k-means',
      `${picture('kmeans')}
${tables.kmeans(rows)}

The same points from N(0, 1), the same first codewords, all points used. *Objective*: the sum of squared distances to the nearest codeword, computed alike for all, over espalier's.
What takes more than five seconds is timed once; the chart leaves out what takes more than ten times as long as espalier.
`,
    ],
    [
      'startup',
      'Start and memory',
      `${tables.startup(rows)}
`,
    ],
  ];
  const versions = [
    ...new Map(
      rows
        .filter(({ version }) => version !== '')
        .map(({ who, version }) => [who.replace(/, .*/, '').replace(/^(tfjs|scikit-learn) .*/, '$1'), version]),
    ),
  ].map(([who, version]) => `${who} ${version}`);
  return `## ${newest.machine}\n\nNode ${newest.node}, ${newest.date}; ${versions.join(', ')}.\n\n${parts
    .filter(([group]) => rows.some((row) => row.group === group))
    .map(([, title, text]) => `### ${title}\n\n${text}`)
    .join('\n')}`;
}

/** A file of its own: with a title, a legend and a light ground that stands on dark pages too. */
function standalone({ title, legend, svg }: Chart): string {
  const [, width, height] = (/viewBox="0 0 (\d+(?:\.\d+)?) (\d+(?:\.\d+)?)"/.exec(svg) ?? []).map(Number);
  const top = legend.length > 0 ? 62 : 40;
  let at = 0;
  const names = legend.map(({ name, color }) => {
    const entry = `<rect x="${at}" y="${-top + 40}" width="12" height="12" rx="2" fill="${color}"/><text x="${at + 18}" y="${-top + 50}">${escapeHtml(name)}</text>`;
    at += 40 + 6.8 * name.length;
    return entry;
  });
  const inner = svg.replace(/^<svg[^>]*>/, '').replace(/<\/svg>$/, '');
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-16 ${-top} ${width + 32} ${height + top + 14}" role="img" aria-label="${escapeHtml(title)}">
<style>svg { --line: #d7dbe2; font: 12px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; } text { fill: #3a4452; } .title { font-size: 15px; font-weight: 600; fill: #1c2430; }</style>
<rect x="-16" y="${-top}" width="${width + 32}" height="${height + top + 14}" fill="#fff"/>
<text class="title" x="0" y="${-top + 26}">${escapeHtml(title)}</text>
${names.join('')}
${inner}
</svg>
`;
}
