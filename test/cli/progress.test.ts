import { expect, it } from 'vitest';
import { createProgress, duration } from '../../src/cli/progress.ts';
import type { RunEvent } from '../../src/index.ts';

/** A progress with a clock that the test sets. */
function watched(isTTY: boolean, { quiet = false, columns = 200 } = {}) {
  const clock = { now: 0 };
  const written: string[] = [];
  const progress = createProgress(
    { write: (text: string) => written.push(text), isTTY, columns },
    { quiet, color: false, now: () => clock.now },
  );
  return { clock, written, progress };
}

const batch = (step: number, steps: number, epochs: number): RunEvent => ({
  kind: 'batch',
  epoch: Math.floor(step / (steps / epochs)),
  epochs,
  step,
  steps,
  loss: 0.5,
  learningRate: 0.1,
  gradientNorm: 1,
});

it('at equal speed the time left is right after every step from the second on', () => {
  const { clock, written, progress } = watched(true);
  for (let step = 0; step < 99; step++) {
    clock.now += 1000;
    progress.onEvent(batch(step, 100, 10));
    expect(written.at(-1)).toContain(
      `step ${step + 1}/100, loss 0.5000${step === 0 ? '' : `, ${duration(99 - step)} left`}`,
    );
  }
});

it('a resumed run counts only its own steps', () => {
  const { clock, written, progress } = watched(true);
  for (let step = 60; step < 80; step++) {
    clock.now += 1000;
    progress.onEvent(batch(step, 100, 10));
  }
  expect(written.at(-1)).toContain('step 80/100');
  expect(written.at(-1)).toContain('20 s left');
});

it('a schedule at equal speed is told right at the end of every stage, whatever pruning says of its groups', () => {
  const { clock, written, progress } = watched(true);
  progress.expect({ pruned: 1, quantized: 1, final: 4 });
  const kinds = [...Array.from({ length: 3 }, () => ['prune', 'retrain', 'quantize', 'retrain']).flat(), 'final'];
  let left = 3 * 2 + 4;
  kinds.forEach((name, index) => {
    progress.onEvent({ kind: 'stage', name, index, count: kinds.length, detail: 'dense1' });
    if (name === 'prune') progress.onEvent({ kind: 'stage', name: 'prune', index: 0, count: 2, detail: 'a group' });
    const epochs = name === 'final' ? 4 : name === 'retrain' ? 1 : 0;
    for (let step = 0; step < epochs * 10; step++) {
      clock.now += 1000;
      progress.onEvent(batch(step, epochs * 10, epochs));
      if ((step + 1) % 10 === 0) progress.onEvent({ kind: 'epoch', epoch: step / 10, epochs, loss: 0.5, seconds: 10 });
    }
    left -= epochs;
    if (name !== 'retrain' || left === 0) return;
    expect(written.at(-1)).toContain(`stage ${index + 1}/${kinds.length}: retrain dense1`);
    // Half a step is planned behind the first retraining of a step and half before: at most one epoch off.
    const [, minutes = '0', seconds] = /(?:(\d+) min )?(\d+) s left/.exec(written.at(-1) ?? '') ?? [];
    expect(Math.abs(Number(minutes) * 60 + Number(seconds) - left * 10)).toBeLessThanOrEqual(10);
  });
  expect(left).toBe(0);
});

it('a terminal gets one line, redrawn at most ten times a second, never wider than it is', () => {
  const { clock, written, progress } = watched(true, { columns: 30 });
  for (let step = 0; step < 100; step++) {
    clock.now += 10;
    progress.onEvent(batch(step, 1000, 10));
  }
  expect(written.length).toBe(10);
  for (const text of written) {
    expect([text.startsWith('\r'), text.includes('\n'), text.endsWith('\x1b[K')]).toEqual([true, false, true]);
    expect(text.length - '\r\x1b[K'.length).toBeLessThan(30);
  }
  progress.end();
  expect(written.at(-1)).toBe('\r\x1b[K');
});

it('elsewhere there is a line every few seconds, and every note', () => {
  const { clock, written, progress } = watched(false);
  for (let step = 0; step < 100; step++) {
    clock.now += 200;
    progress.onEvent(batch(step, 1000, 10));
  }
  progress.onEvent({ kind: 'note', text: 'a checkpoint was damaged' });
  expect(written.length).toBe(6);
  expect(written.every((text) => /^[\x20-\x7e]+\n$/.test(text))).toBe(true);
  progress.end();
  expect(written.length).toBe(6);
});

it('quiet is silent', () => {
  const { clock, written, progress } = watched(true, { quiet: true });
  clock.now = 1e6;
  progress.onEvent(batch(3, 10, 1));
  progress.note('note');
  progress.count('samples', 1, 2);
  progress.end();
  expect(written).toEqual([]);
});

it.each([
  [0, '0 s'],
  [59.4, '59 s'],
  [59.6, '1 min 00 s'],
  [200, '3 min 20 s'],
  [3599.9, '1 h 00 min'],
  [3900, '1 h 05 min'],
  [-1, '0 s'],
])('%d s is written %s', (seconds, expected) => {
  expect(duration(seconds)).toBe(expected);
});
