/**
 * Bench of the migration: messages per second on small bodies, and memory from 10,000 to 200,000.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import postgres from "postgres";
import { buildLargeArchive } from "../support/sample-archives.ts";
import { type Figure, median } from "./figure.ts";
import { startBenchServer } from "./server.ts";

const sizes = [10_000, 50_000, 200_000] as const;
const bodyBytes = 200;
/** So that the peak shows what is live, not what the collector left for later. */
const heapMb = 192;

interface Measured {
  readonly migrated: number;
  readonly durationMs: number;
  readonly peakRssMb: number;
}

export async function benchMigration(runs: number): Promise<Figure[]> {
  const folder = await mkdtemp(join(tmpdir(), "spectra-bench-archive-"));
  const rates: number[] = [];
  const peaks = new Map<number, number[]>(sizes.map((size) => [size, []]));
  const raw: number[] = [];
  for (const size of sizes) {
    const url = await buildLargeArchive(join(folder, `${size}.sqlite`), size, {
      maxBodyBytes: bodyBytes,
    });
    for (let run = 0; run < runs; run += 1) {
      await using server = await startBenchServer();
      const measured = await migrateInChild(server.url, url);
      if (measured.migrated !== size)
        throw new Error(`${measured.migrated} of ${size} were migrated`);
      peaks.get(size)?.push(measured.peakRssMb);
      if (size !== sizes[2]) continue;
      rates.push(measured.migrated / (measured.durationMs / 1_000));
      raw.push(await rawCopyRate(server.url, size));
    }
  }
  await rm(folder, { recursive: true, force: true });
  const memory = (size: number) => median(peaks.get(size) ?? []);
  const [small, middle, large] = sizes;
  return [
    {
      name: `migration from sqlite, ${count(large)} messages of up to ${bodyBytes} bytes, verified`,
      values: rates,
      unit: "messages/s",
      goal: { atLeast: 5_000 },
      raw: { name: "one plain COPY of the same rows", value: median(raw) },
    },
    ...sizes.map((size) => ({
      name: `peak memory of the migrating process (heap limit ${heapMb} MB), ${count(size)} messages`,
      values: peaks.get(size) ?? [],
      unit: "MB",
    })),
    {
      name: `memory, ${count(large)} against ${count(middle)} messages`,
      values: [memory(large) / memory(middle)],
      unit: "×",
      goal: { atMost: 1.2 },
    },
    {
      name: `memory, ${count(large)} against ${count(small)} messages`,
      values: [memory(large) / memory(small)],
      unit: "×",
      goal: { atMost: 1.2 },
      ifMissed: `${count(small)} messages are a single batch, more keep several batches in flight, each with its garbage; beyond that it does not grow (see the line above). Smaller batches would close it and cost speed.`,
    },
  ];
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}

async function migrateInChild(databaseUrl: string, archiveUrl: string): Promise<Measured> {
  const entry = fileURLToPath(new URL("./migration-child.js", import.meta.url));
  const child = spawn(
    process.execPath,
    [`--max-old-space-size=${heapMb}`, entry, databaseUrl, archiveUrl],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`The migrating process ended with ${code}`);
  return JSON.parse(text) as Measured;
}

/** What the server takes at best from one client: COPY of the same bytes into one plain table. */
async function rawCopyRate(databaseUrl: string, rows: number): Promise<number> {
  const sql = postgres(databaseUrl, { max: 1, onnotice: () => undefined });
  await sql`create table public.raw_copy (id bigint primary key, sent_at timestamptz, body bytea)`;
  const startMs = performance.now();
  const stream = await sql`copy public.raw_copy from stdin`.writable();
  const hex = Buffer.alloc(bodyBytes, "x").toString("hex");
  for (let from = 0; from < rows; from += 1_000) {
    const lines = Array.from(
      { length: 1_000 },
      (_, index) => `${from + index}\t2024-01-01\t\\\\x${hex}\n`,
    );
    if (!stream.write(lines.join(""))) await once(stream, "drain");
  }
  stream.end();
  await once(stream, "finish");
  const rate = rows / ((performance.now() - startMs) / 1_000);
  await sql.end();
  return rate;
}
