/**
 * Reads what the operating system says about processor, caches and memory. Linux says most; elsewhere
 * the facts that are not there are null.
 *
 * @module
 */

import { readdir, readFile, statfs } from "node:fs/promises";
import { arch, cpus, platform, release, totalmem } from "node:os";

export interface CpuFlags {
  readonly sse42: boolean;
  readonly avx: boolean;
  readonly avx2: boolean;
  readonly avx512: string[];
  readonly aes: boolean;
  readonly neon: boolean;
}

export interface CpuCache {
  readonly level: number;
  readonly kind: string;
  readonly sizeBytes: number;
}

/** From the text of /proc/cpuinfo: `flags` on x86, `Features` on ARM. Null when neither line is there. */
export function parseCpuFlags(cpuinfo: string): CpuFlags | null {
  const line = /^(?:flags|Features)\s*:\s*(.+)$/m.exec(cpuinfo)?.[1];
  if (line === undefined) return null;
  const flags = new Set(line.split(/\s+/));
  return {
    sse42: flags.has("sse4_2"),
    avx: flags.has("avx"),
    avx2: flags.has("avx2"),
    avx512: [...flags].filter((flag) => flag.startsWith("avx512")).sort(),
    aes: flags.has("aes"),
    neon: flags.has("asimd") || flags.has("neon"),
  };
}

/** `32K`, `2M` as bytes; undefined for anything else. */
export function parseCacheSize(text: string): number | undefined {
  const match = /^(\d+)([KMG]?)$/.exec(text.trim());
  if (match === null) return undefined;
  const unit = { "": 1, K: 1_024, M: 1_024 ** 2, G: 1_024 ** 3 }[match[2] ?? ""] ?? 1;
  return Number(match[1]) * unit;
}

/** The file's text, or undefined where the system has no such file. */
async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && isAbsence(error.code)) return undefined;
    throw error;
  }
}

/** Containers hide parts of /proc and /sys as absent or as forbidden. */
function isAbsence(code: unknown): boolean {
  return code === "ENOENT" || code === "ENOTDIR" || code === "EACCES" || code === "EPERM";
}

/** Caches that the first processor uses; null where the system does not tell. */
async function readCaches(): Promise<readonly CpuCache[] | null> {
  const folder = "/sys/devices/system/cpu/cpu0/cache";
  let entries: string[];
  try {
    entries = await readdir(folder);
  } catch (error) {
    if (error instanceof Error && "code" in error && isAbsence(error.code)) return null;
    throw error;
  }
  const caches: CpuCache[] = [];
  for (const entry of entries.filter((name) => /^index\d+$/.test(name)).sort()) {
    const [level, kind, size] = await Promise.all(
      ["level", "type", "size"].map((name) => readIfThere(`${folder}/${entry}/${name}`)),
    );
    const sizeBytes = parseCacheSize(size ?? "");
    if (level === undefined || sizeBytes === undefined) continue;
    caches.push({ level: Number(level), kind: (kind ?? "").trim().toLowerCase(), sizeBytes });
  }
  return caches;
}

/** The limit of the control group (v2), null without one. */
async function readMemoryLimit(): Promise<number | null> {
  const text = (await readIfThere("/sys/fs/cgroup/memory.max"))?.trim();
  return text === undefined || text === "max" || !/^\d+$/.test(text) ? null : Number(text);
}

/** `MemAvailable` of /proc/meminfo in bytes, null where there is none. */
export function parseAvailableMemory(meminfo: string): number | null {
  const match = /^MemAvailable:\s+(\d+) kB$/m.exec(meminfo);
  return match === null ? null : Number(match[1]) * 1_024;
}

export async function readMachineFacts(diskPath: string) {
  const processors = cpus();
  const [cpuinfo, meminfo, caches, memoryLimitBytes, disk] = await Promise.all([
    readIfThere("/proc/cpuinfo"),
    readIfThere("/proc/meminfo"),
    readCaches(),
    readMemoryLimit(),
    statfs(diskPath),
  ]);
  return {
    platform: `${platform()} ${release()} ${arch()}`,
    cpuModel: processors[0]?.model.trim() ?? null,
    cores: processors.length,
    flags: cpuinfo === undefined ? null : parseCpuFlags(cpuinfo),
    caches: caches === null ? null : [...caches],
    memoryBytes: totalmem(),
    memoryAvailableBytes: meminfo === undefined ? null : parseAvailableMemory(meminfo),
    memoryLimitBytes,
    diskFreeBytes: disk.bavail * disk.bsize,
    diskTotalBytes: disk.blocks * disk.bsize,
  };
}
