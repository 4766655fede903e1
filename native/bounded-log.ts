/**
 * A log file that another process writes and we keep from growing without end.
 *
 * @module
 */

import { copyFile, type FileHandle, open } from "node:fs/promises";

/** One file of this size and one older one. */
const MAX_SIZE_BYTES = 10 * 1024 * 1024;
const CHECK_INTERVAL_MS = 60_000;

export interface BoundedLog {
  readonly path: string;
  /** For a child's stdout and stderr. Opened for appending, so the child never leaves holes. */
  readonly fd: number;
  /** What was written since `openBoundedLog`, the last 16 kB of it. */
  tail(): Promise<string>;
  close(): Promise<void>;
}

const TAIL_BYTES = 16_384;

/** Opens `path`; when it is too large it is copied to `<path>.1` and emptied, now and then again. */
export async function openBoundedLog(
  path: string,
  onError: (error: unknown) => void,
): Promise<BoundedLog> {
  const file = await open(path, "a+", 0o600);
  await rotate(path, file);
  let startBytes = (await file.stat()).size;
  const timer = setInterval(() => {
    rotate(path, file).then((rotated) => {
      if (rotated) startBytes = 0;
    }, onError);
  }, CHECK_INTERVAL_MS);
  timer.unref();
  let closed = false;
  return {
    path,
    fd: file.fd,
    tail: () => tailOf(path, startBytes),
    close: async () => {
      if (closed) return;
      closed = true;
      clearInterval(timer);
      await file.close();
    },
  };
}

async function rotate(path: string, file: FileHandle): Promise<boolean> {
  const { size } = await file.stat();
  if (size <= MAX_SIZE_BYTES) return false;
  await copyFile(path, `${path}.1`);
  await file.truncate(0);
  return true;
}

async function tailOf(path: string, startBytes: number): Promise<string> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    const from = Math.max(startBytes, size - TAIL_BYTES);
    const buffer = Buffer.alloc(Math.max(0, size - from));
    await file.read(buffer, 0, buffer.length, from);
    return buffer.toString();
  } finally {
    await file.close();
  }
}
