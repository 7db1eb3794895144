/** Pages in a headless Chromium, without a driver: a server gives them, and they post their results back to it. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';

/** Headers that make a page cross-origin isolated, which shared memory needs. */
export const ISOLATED = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };

export interface Page {
  readonly headers: Readonly<Record<string, string>>;
  /**
   * Its program, bundled, which is also served as `page.js` for workers that it starts. It must post one result to
   * `result`, as JSON.
   */
  readonly script: string;
  /** What the program finds in `location.hash`. */
  readonly hash: string;
  /** What else it may fetch, by name. */
  readonly files?: Readonly<Record<string, Uint8Array>>;
}

/**
 * The browser that `CHROMIUM` names, else one in a usual place, else undefined.
 * @throws {Error} if `CHROMIUM` names none
 */
export function findChromium(): string | undefined {
  const given = process.env['CHROMIUM'];
  if (given && !existsSync(given))
    throw new Error(
      `CHROMIUM is ${JSON.stringify(given)}, but there is no such file: correct it, or unset it to look in the usual places`,
    );
  return (
    given ||
    ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => existsSync(path))
  );
}

/** A program as one file for a browser. */
export async function bundlePage(entry: string): Promise<string> {
  const {
    outputFiles: [{ text }],
  } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    logLevel: 'warning',
  });
  return text;
}

/**
 * Opens the pages one after another and gives their results.
 * @param limit - milliseconds for each
 * @throws {Error} if a page posts nothing within its time, or the browser ends
 */
export async function visitPages(chromium: string, pages: readonly Page[], limit = 60_000): Promise<unknown[]> {
  const results: unknown[] = [];
  const profile = mkdtempSync(join(tmpdir(), 'espalier-browser-'));
  const address = (i: number): string => (i < pages.length ? `/${i}/${pages[i].hash}` : 'about:blank');
  let settle: { resolve(): void; reject(error: Error): void } | undefined;
  const server = createServer((request, response) => {
    const [, number, name] = (request.url ?? '').split('/');
    const page = pages[Number(number)] as Page | undefined;
    for (const [header, value] of Object.entries(page?.headers ?? {})) response.setHeader(header, value);
    const send = (type: string, text: string | Uint8Array): void => {
      response.setHeader('Content-Type', type).end(text);
    };
    if (page && name === '') return send('text/html', '<!doctype html><script type="module" src="page.js"></script>');
    if (page && name === 'page.js') return send('text/javascript', page.script);
    if (page?.files && Object.hasOwn(page.files, name))
      return send(name.endsWith('.js') ? 'text/javascript' : 'application/octet-stream', page.files[name]);
    if (!page || name !== 'result') return void response.writeHead(404).end();
    let body = '';
    request
      .on('data', (chunk) => {
        body += String(chunk);
      })
      .on('end', () => {
        results.push(JSON.parse(body));
        // The next page, for this one to go to.
        send('text/plain', address(results.length));
        settle?.resolve();
      });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const browser = spawn(
    chromium,
    [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      `--user-data-dir=${profile}`,
      `http://127.0.0.1:${port}${address(0)}`,
    ],
    { stdio: 'ignore' },
  );
  const ended = new Promise<void>((resolve) =>
    browser.once('close', () => {
      settle?.reject(new Error('the browser ended'));
      resolve();
    }),
  );
  browser.once('error', (error) => settle?.reject(error));
  try {
    while (results.length < pages.length) {
      const number = results.length;
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve, reject) => {
        settle = { resolve, reject };
        timer = setTimeout(
          () => reject(new Error(`page ${number} (${pages[number].hash}) has posted nothing within ${limit / 1000} s`)),
          limit,
        );
      }).finally(() => clearTimeout(timer));
    }
    return results;
  } finally {
    settle = undefined;
    browser.kill();
    await ended;
    server.closeAllConnections();
    server.close();
    // Its helper processes may write for a moment longer: rmSync fails on a folder that fills again, rm tries it anew.
    await rm(profile, { recursive: true, force: true, maxRetries: 20 });
  }
}
