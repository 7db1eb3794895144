/** What a layer's config or an operation's attributes say, read by type; errors name the field. */
import { show } from '../base/errors.ts';
import type { ErrorCode } from '../base/errors.ts';
import type { Json } from '../container/json.ts';
import { isIntegers, isObject } from './json.ts';
import type { JsonObject } from './json.ts';

export interface Settings {
  /** Neither absent nor null. */
  has(name: string): boolean;
  raw(name: string): Json | undefined;
  integer(name: string, fallback?: number): number;
  /** As many whole numbers; a single one stands for all of them. */
  integers(name: string, count: number, fallback?: number): number[];
  /** Whole numbers, however many. */
  list(name: string): number[] | undefined;
  float(name: string, fallback?: number): number;
  flag(name: string, fallback: boolean): boolean;
  /** A word out of those that are known; `channelsLast` is `channels_last`. */
  word<const T extends string>(name: string, known: readonly T[], fallback?: T): T;
  /** Any word. */
  text(name: string): string | undefined;
}

/** 'hardSigmoid' as Keras spells it. */
export const snake = (name: string): string =>
  name.replace(/(?<=[a-z0-9])[A-Z]/g, (letter) => `_${letter}`).toLowerCase();

export function settingsOf(values: JsonObject, fail: (code: ErrorCode, text: string) => never): Settings {
  const found = (name: string): Json | undefined => values.get(name) ?? undefined;
  const wrong = (name: string, expected: string): never =>
    fail('ATTRIBUTE', `${name}: expected ${expected}, got ${shown(values.get(name))}`);
  const text = (name: string): string | undefined => {
    const value = found(name);
    return value === undefined || typeof value === 'string' ? value : wrong(name, 'a text');
  };
  return {
    has: (name) => found(name) !== undefined,
    raw: found,
    integer(name, fallback) {
      const value = found(name) ?? fallback;
      return Number.isSafeInteger(value) ? (value as number) : wrong(name, 'a whole number');
    },
    integers(name, count, fallback) {
      const value = found(name) ?? fallback;
      const list = typeof value === 'number' ? new Array<number>(count).fill(value) : value;
      return isIntegers(list) && list.length === count ? list : wrong(name, `${count} whole numbers, or one for all`);
    },
    list(name) {
      const value = found(name);
      if (value === undefined || isIntegers(value)) return value;
      return wrong(name, 'a list of whole numbers');
    },
    float(name, fallback) {
      const value = found(name) ?? fallback;
      return typeof value === 'number' ? value : wrong(name, 'a number');
    },
    flag(name, fallback) {
      const value = found(name) ?? fallback;
      return typeof value === 'boolean' ? value : wrong(name, 'true or false');
    },
    word(name, known, fallback) {
      const value = text(name) ?? fallback;
      const match = known.find((one) => one === value || (value !== undefined && one === snake(value)));
      return match ?? fail('UNSUPPORTED', `${name}: expected ${known.join(', ')}, got ${shown(values.get(name))}`);
    },
    text,
  };
}

const shown = (value: Json | undefined): string => show(isObject(value) ? Object.fromEntries(value) : value);
