/**
 * What a value is, whatever realm made it: another window's arrays, those of a `node:vm` context or of a test runner's
 * sandbox are as good as our own, and `instanceof` would refuse them. What is asked here cannot be faked by a name.
 */

/** 'Float32Array', 'Uint8Array', ...: also of subclasses (a Buffer is a Uint8Array); undefined of anything else. */
export function arrayName(value: unknown): string | undefined {
  const tag = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag)?.get;
  return tag?.call(value) as string | undefined;
}

/**
 * A Float32Array of this realm and no subclass over the same memory: the value itself where it is one. Undefined of
 * anything else.
 */
export function asFloat32(value: unknown): Float32Array | undefined {
  return arrayName(value) === 'Float32Array' ? ownView(Float32Array, value as Float32Array) : undefined;
}

/** The same for bytes: of a Buffer a view without its `slice`, which does not copy. */
export function asBytes(value: unknown): Uint8Array | undefined {
  return arrayName(value) === 'Uint8Array' ? ownView(Uint8Array, value as Uint8Array) : undefined;
}

interface ViewConstructor<A> {
  readonly prototype: A;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): A;
  new (length: number): A;
}

function ownView<A extends Float32Array | Uint8Array>(View: ViewConstructor<A>, value: A): A {
  if (Object.getPrototypeOf(value) === View.prototype) return value;
  // A detached buffer has no view any more; it is as empty as the value.
  return value.length === 0 ? new View(0) : new View(value.buffer, value.byteOffset, value.length);
}

/** Of any realm, and of classes that extend it. */
export function isError(value: unknown): value is Error {
  return value instanceof Error || Object.prototype.toString.call(value) === '[object Error]';
}

/** Of any realm, and of classes that extend it. */
export function isMap(value: unknown): value is ReadonlyMap<unknown, unknown> {
  const size = Object.getOwnPropertyDescriptor(Map.prototype, 'size')?.get;
  try {
    size?.call(value);
    return true;
  } catch {
    return false;
  }
}

/**
 * Whether an object has a field, its own or its class's: what a host put on `Object.prototype` for everybody is nobody's.
 */
export function hasField<K extends string>(value: object, name: K): value is Record<K, unknown> {
  for (let at: object | null = value; at !== null;) {
    const above = Object.getPrototypeOf(at) as object | null;
    if (Object.hasOwn(at, name)) return at === value || above !== null;
    at = above;
  }
  return false;
}

/** A copy with nothing but its own fields: no option or optional part comes from `Object.prototype`. */
export function own<T extends object>(fields: T): T {
  return { __proto__: null, ...fields } as unknown as T;
}
