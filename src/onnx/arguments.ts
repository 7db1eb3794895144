/** Arguments of `readOnnx` and `evaluateOnnx`, checked before anything is done. */
import { show, showAll } from '../base/errors.ts';
import { arrayName, isMap } from '../base/realm.ts';
import { checkShape, sizeOf } from '../base/tensor.ts';
import { elements, isElementName } from './tensor.ts';
import type { ElementName } from './tensor.ts';

function checkObject(who: string, name: string, value: unknown): asserts value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new TypeError(`${who}: ${name}: expected an object, got ${show(value)}`);
}

/** A map or an object of side files; each is looked at when it is read. @throws {TypeError} */
export function checkFiles(who: string, files: unknown): void {
  if (files === undefined || isMap(files)) return;
  checkObject(who, 'files', files);
}

/** Sides by input: whole numbers from 1, `undefined` where one stays open. @throws {TypeError | RangeError} */
export function checkShapes(who: string, shapes: unknown): void {
  checkObject(who, 'shapes', shapes);
  for (const [name, sides] of Object.entries(shapes as Record<string, unknown>)) {
    const what = `shapes[${show(name)}]`;
    if (!Array.isArray(sides)) throw new TypeError(`${who}: ${what}: expected an array of sides, got ${show(sides)}`);
    for (const side of sides as unknown[]) {
      if (side === undefined) continue;
      if (typeof side !== 'number')
        throw new TypeError(`${who}: ${what}: expected whole numbers or undefined, got ${show(side)}`);
      if (!Number.isSafeInteger(side) || side < 1)
        throw new RangeError(`${who}: ${what}: expected whole numbers from 1, got ${side}`);
    }
  }
}

/** Tensors by input. @throws {TypeError | RangeError} */
export function checkConstants(who: string, constants: unknown): void {
  checkObject(who, 'constants', constants);
  for (const [name, tensor] of Object.entries(constants as Record<string, unknown>)) {
    const what = `constants[${show(name)}]`;
    checkObject(who, what, tensor);
    const { type, shape, data } = tensor as { type?: unknown; shape?: unknown; data?: unknown };
    if (!isElementName(type))
      throw new TypeError(`${who}: ${what}.type: expected the name of an element type, as 'float', got ${show(type)}`);
    checkShape(who, `${what}.shape`, shape);
    const expected = arrayName(elements(type satisfies ElementName, 0)) as string;
    if (arrayName(data) !== expected)
      throw new TypeError(`${who}: ${what}.data: expected a ${expected} for ${type}, got ${show(data)}`);
    const { length } = data as ArrayLike<unknown>;
    if (length !== sizeOf(shape))
      throw new RangeError(
        `${who}: ${what}: expected ${sizeOf(shape)} elements for [${shape.join(', ')}], got ${length}`,
      );
  }
}

/** @throws {RangeError} for a name that is no input of the model */
export function checkInputNames(who: string, given: readonly string[], inputs: readonly string[]): void {
  const known = new Set(inputs);
  for (const name of given)
    if (!known.has(name))
      throw new RangeError(`${who}: ${show(name)} is no input of the model; expected ${showAll(inputs)}`);
}
