/**
 * Who made a file that must not outlive its maker: a mark in the names of locks and of unfinished files (Node). It says
 * machine, process and when that process started, so that a number given anew to another process is no life; no clock
 * is asked.
 */
import { nodeModule, requireNode } from '../base/platform.ts';
import { crc32 } from './checksum.ts';

/** machine-process-start-nonce; start is 00000000 where the system does not tell. */
const MARK = /^([0-9a-f]{8})-(\d{1,10})-([0-9a-f]{8})-[0-9a-f]{8}$/;
const NOT_TOLD = '00000000';

/** A mark of this process, another with every call. */
export function ownMark(who: string): string {
  const nonce = [...globalThis.crypto.getRandomValues(new Uint8Array(4))].map((byte) =>
    byte.toString(16).padStart(2, '0'),
  );
  return `${machine(who)}-${thisProcess().pid}-${startOf(thisProcess().pid) ?? NOT_TOLD}-${nonce.join('')}`;
}

/**
 * Whether the process of a mark still is; 'unknown' for a mark of another machine or container, and for what is no mark
 * of ours.
 */
export function ownerOf(who: string, mark: string): 'alive' | 'dead' | 'unknown' {
  const [, host, pid, start] = MARK.exec(mark) ?? [];
  if (host !== machine(who)) return 'unknown';
  try {
    thisProcess().kill(Number(pid), 0);
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ESRCH') return 'dead';
  }
  const found = startOf(Number(pid));
  return found === undefined || start === NOT_TOLD || found === start ? 'alive' : 'dead';
}

function thisProcess(): { readonly pid: number; kill(pid: number, signal: 0): void } {
  return (globalThis as unknown as { process: ReturnType<typeof thisProcess> }).process;
}

/** Name of the machine and, on Linux, of the space that its process numbers are of: containers have their own. */
function machine(who: string): string {
  const { hostname } = requireNode(who, 'node:os');
  let space = '';
  try {
    space = requireNode(who, 'node:fs').readlinkSync('/proc/self/ns/pid');
  } catch {
    // Not Linux: numbers of processes are the machine's.
  }
  return hash(`${hostname()}\n${space}`);
}

/** A word for the moment that a process started at; undefined: the system does not tell. A zombie is over. */
function startOf(pid: number): string | undefined {
  const fs = nodeModule('node:fs');
  try {
    const line = fs!.readFileSync(`/proc/${pid}/stat`, 'latin1');
    // Behind the program's name, which may hold anything: the state first, the start 19 fields on.
    const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return 'over';
    return hash(`${fs!.readFileSync('/proc/sys/kernel/random/boot_id', 'latin1')}\n${fields[19]}`);
  } catch {
    return undefined;
  }
}

function hash(text: string): string {
  return crc32(new TextEncoder().encode(text)).toString(16).padStart(8, '0');
}
