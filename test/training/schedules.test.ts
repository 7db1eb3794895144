import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cosPi } from '../../src/base/elementary.ts';
import { constant, cosine, scheduleFromOptions, step } from '../../src/training/schedules.ts';
import type { ScheduleOptions } from '../../src/training/schedules.ts';

const run = fc
  .integer({ min: 1, max: 5000 })
  .chain((total) => fc.record({ total: fc.constant(total), now: fc.integer({ min: 0, max: total - 1 }) }));

describe('schedules', () => {
  test('cosine with warm-up 100 is the recipe: 0.5 (1 + cos(pi step / total)) min(1, (step + 1) / 100), to the bit', () => {
    fc.assert(
      fc.property(run, ({ now, total }) => {
        expect(cosine({ warmUp: 100 }).factor(now, total)).toBe(
          0.5 * (1 + cosPi(now / total)) * Math.min(1, (now + 1) / 100),
        );
      }),
    );
  });

  test('constant is 1 from the end of the warm-up on and linear before', () => {
    fc.assert(
      fc.property(run, fc.integer({ min: 0, max: 200 }), ({ now, total }, warmUp) => {
        expect(constant({ warmUp }).factor(now, total)).toBe(now + 1 >= warmUp ? 1 : (now + 1) / warmUp);
      }),
    );
  });

  test('step falls by its factor at each share of the run', () => {
    const schedule = step({ at: [0.25, 0.5], by: 0.1 });
    expect([0, 24, 25, 49, 50, 99].map((now) => schedule.factor(now, 100))).toEqual([
      ...[1, 1, 0.1, 0.1, 0.1 * 0.1, 0.1 * 0.1],
    ]);
  });

  test('every factor is in [0, 1] and, after the warm-up, never rises', () => {
    const schedules = fc.constantFrom(constant({ warmUp: 7 }), cosine({ warmUp: 7 }), step({ warmUp: 7 }));
    fc.assert(
      fc.property(schedules, fc.integer({ min: 1, max: 60 }), (schedule, total) => {
        const factors = Array.from({ length: total }, (_, now) => schedule.factor(now, total));
        expect(factors.every((factor) => factor >= 0 && factor <= 1)).toBe(true);
        expect(factors.every((factor, i) => i < 7 || factor <= factors[i - 1])).toBe(true);
      }),
    );
  });

  test('options describe the schedule', () => {
    for (const schedule of [constant(), cosine({ warmUp: 5 }), step({ at: [0.1, 0.9], by: 0.5 })]) {
      const again = scheduleFromOptions(JSON.parse(JSON.stringify(schedule.options)) as ScheduleOptions);
      expect(again.options).toEqual(schedule.options);
      expect(again.factor(95, 100)).toBe(schedule.factor(95, 100));
    }
  });

  test('wrong options are refused by name', () => {
    expect(() => cosine({ warmUp: -1 })).toThrow(
      new RangeError('cosine: warmUp: expected an integer of at least 0, got -1'),
    );
    expect(() => constant({ warmUp: '3' as unknown as number })).toThrow(TypeError);
    expect(() => step({ by: 0 })).toThrow(RangeError);
    expect(() => step({ at: [0.5, 0.5] })).toThrow('expected ascending shares');
    expect(() => step({ at: [1.5] })).toThrow(RangeError);
    expect(() => step({ at: 0.5 as unknown as number[] })).toThrow(TypeError);
    expect(() => scheduleFromOptions({ kind: 'linear' } as unknown as ScheduleOptions)).toThrow(RangeError);
    expect(() => scheduleFromOptions(undefined as unknown as ScheduleOptions)).toThrow(TypeError);
  });
});
