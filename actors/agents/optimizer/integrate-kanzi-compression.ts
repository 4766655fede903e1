/**
 * OPTIMIZER.integrate_kanzi_compression: chooses a codec by measuring, then compresses every body.
 *
 * @module
 */

import { z } from "zod";
import { AgentError } from "../../../machines/error-code.ts";
import { compressionTotals, compressPendingBodies } from "../../archive/body-compression.ts";
import { type BodySamples, sampleBodies } from "../../archive/body-sample.ts";
import { openCodec } from "../../archive/codec.ts";
import {
  type CodecPick,
  type CodecTrial,
  pickCodec,
  tryCodecs,
  type UnavailableCodec,
} from "../../archive/codec-trial.ts";
import { applyCompressionDdl } from "../../archive/compression-schema.ts";
import { loadDictionary, saveDictionary } from "../../archive/dictionary-store.ts";
import { trainDictionary } from "../../archive/dictionary-trainer.ts";
import { capability } from "../../define-agent.ts";
import type { AgentContext } from "../../ports.ts";

/** What is measured. Slower levels of brotli and zstd gain less than 1 % on mail for 10 times the time. */
const candidateCodecs = [
  "zstd:1",
  "zstd:3",
  "zstd:6",
  "zstd:9",
  "brotli:5",
  "gzip:6",
  "deflate:6",
  "xz:6",
  "kanzi:5",
] as const;

const trialLimits = { bodies: 128, bytes: 1_000_000, bytesPerBody: 1_000_000 };
const trainingLimits = { bodies: 2_400, bytes: 8_000_000, bytesPerBody: 64_000 };

const trialSchema = z.object({
  codec: z.string(),
  dictionary: z.boolean(),
  external: z.boolean(),
  bodies: z.number(),
  rawBytes: z.number(),
  storedBytes: z.number(),
  spaceSaved: z.number(),
  compressMbPerS: z.number(),
  expandMbPerS: z.number(),
});

const input = z.object({
  /** Share of the raw bytes to save. */
  targetSpaceSaved: z.number().min(0).max(1).default(0.65),
  /** Raw MB (1,000,000 bytes) that one thread should compress in a second at least. */
  targetMbPerS: z.number().positive().default(10),
});

const output = z.object({
  codec: z.string(),
  dictionaryId: z.number().nullable(),
  dictionaryBytes: z.number(),
  /** The chosen codec's space saved on the trial sample with the dictionary, minus without. */
  dictionaryGain: z.number().nullable(),
  reasons: z.array(z.string()),
  trials: z.array(trialSchema),
  unavailable: z.array(z.object({ codec: z.string(), reason: z.string() })),
  bodies: z.number(),
  compressedByThisAttempt: z.number(),
  rawBytes: z.number(),
  storedBytes: z.number(),
  spaceSaved: z.number(),
  trainMs: z.number(),
  compressMs: z.number(),
  compressMbPerS: z.number().nullable(),
  durationMs: z.number(),
});

/** What `archive.codec_choices.reasons` holds: all that a resumed attempt needs to report. */
interface ChoiceRecord {
  readonly reasons: readonly string[];
  readonly trials: readonly CodecTrial[];
  readonly unavailable: readonly UnavailableCodec[];
  readonly trainMs: number;
}

interface Choice extends ChoiceRecord {
  readonly codec: string;
  readonly dictionaryId: number | null;
}

async function storedChoice(ctx: AgentContext): Promise<Choice | undefined> {
  const rows = await ctx.sql<
    { codec: string; dictionary_id: number | null; reasons: ChoiceRecord }[]
  >`
    select codec, dictionary_id, reasons from archive.codec_choices
    where task = ${ctx.idempotencyKey}`;
  const [row] = rows;
  return row === undefined
    ? undefined
    : { ...row.reasons, codec: row.codec, dictionaryId: row.dictionary_id };
}

/** Compared with the same codec without the dictionary; null where it was not tried both ways. */
function dictionaryGain(trials: readonly CodecTrial[], codec: string): number | null {
  const of = (dictionary: boolean): number | undefined =>
    trials.find((trial) => trial.codec === codec && trial.dictionary === dictionary)?.spaceSaved;
  const [with_, without] = [of(true), of(false)];
  return with_ === undefined || without === undefined ? null : with_ - without;
}

async function keepChoice(
  ctx: AgentContext,
  pick: CodecPick,
  dictionary: Uint8Array,
  record: ChoiceRecord,
): Promise<Choice> {
  const { codec } = pick.trial;
  const dictionaryId = pick.trial.dictionary
    ? await saveDictionary(ctx.sql, codec, dictionary)
    : null;
  await ctx.sql`
    insert into archive.codec_choices (task, codec, dictionary_id, sample_space_saved, reasons)
    values (${ctx.idempotencyKey}, ${codec}, ${dictionaryId}, ${pick.trial.spaceSaved},
      ${ctx.sql.json(record as never)})
    on conflict (task) do nothing`;
  return { ...record, codec, dictionaryId };
}

async function choose(
  ctx: AgentContext,
  samples: BodySamples,
  goal: z.output<typeof input>,
): Promise<Choice> {
  const startedMs = ctx.clock.monotonicMs();
  const dictionary = trainDictionary(samples.training, {
    onProgress: () => {
      ctx.signal.throwIfAborted();
      ctx.heartbeat({ message: "training the dictionary" });
    },
  });
  const trainMs = ctx.clock.monotonicMs() - startedMs;
  const { trials, unavailable } = await tryCodecs({
    codecs: candidateCodecs,
    sample: samples.trial,
    dictionary: dictionary.byteLength === 0 ? undefined : dictionary,
    monotonicMs: () => ctx.clock.monotonicMs(),
    beforeEach: (codec) => {
      ctx.signal.throwIfAborted();
      ctx.heartbeat({ message: `measuring ${codec}` });
    },
  });
  const pick = pickCodec(trials, {
    spaceSaved: goal.targetSpaceSaved,
    compressMbPerS: goal.targetMbPerS,
    totalBytes: samples.totalBytes,
  });
  return await keepChoice(ctx, pick, dictionary, {
    reasons: pick.reasons,
    trials,
    unavailable,
    trainMs,
  });
}

async function run(ctx: AgentContext, goal: z.output<typeof input>) {
  const startedMs = ctx.clock.monotonicMs();
  await applyCompressionDdl(ctx.sql);
  let choice = await storedChoice(ctx);
  if (choice === undefined) {
    const samples = await sampleBodies(ctx.sql, { trial: trialLimits, training: trainingLimits });
    if (samples.trial.length === 0) {
      throw new AgentError(
        "ARCHIVE_EMPTY",
        "Cannot choose a codec: archive.bodies is empty, run the migration first",
      );
    }
    choice = await choose(ctx, samples, goal);
  }
  const codec = await openCodec(choice.codec);
  const dictionary =
    choice.dictionaryId === null ? undefined : await loadDictionary(ctx.sql, choice.dictionaryId);
  const before = await compressionTotals(ctx.sql);
  const total = before.bodies + before.pending;
  let done = before.bodies;
  const compressed = await compressPendingBodies(ctx.sql, {
    codec,
    dictionary,
    dictionaryId: choice.dictionaryId,
    signal: ctx.signal,
    onBatch: async (batch) => {
      done += batch.bodies;
      ctx.heartbeat({ done, total, message: `compressing with ${choice.codec}` });
      await ctx.checkpoint({ lastId: batch.lastId, done, total });
    },
  });
  const totals = await compressionTotals(ctx.sql);
  return {
    codec: choice.codec,
    dictionaryId: choice.dictionaryId,
    dictionaryBytes: totals.dictionaryBytes,
    dictionaryGain: dictionaryGain(choice.trials, choice.codec),
    reasons: [...choice.reasons],
    trials: [...choice.trials],
    unavailable: [...choice.unavailable],
    bodies: totals.bodies,
    compressedByThisAttempt: compressed.bodies,
    rawBytes: totals.rawBytes,
    storedBytes: totals.storedBytes,
    spaceSaved: totals.spaceSaved,
    trainMs: choice.trainMs,
    compressMs: compressed.compressMs,
    compressMbPerS:
      compressed.compressMs === 0 ? null : compressed.rawBytes / 1_000 / compressed.compressMs,
    durationMs: ctx.clock.monotonicMs() - startedMs,
  };
}

/** Removes the compressed form of every body whose raw bytes still stand, and what only it needed. */
async function compensate(ctx: AgentContext): Promise<void> {
  await applyCompressionDdl(ctx.sql);
  await ctx.sql.begin(async (sql) => {
    await sql`
      delete from archive.compressed_bodies c using archive.bodies b
      where b.message_id = c.message_id`;
    await sql`delete from archive.codec_choices where task = ${ctx.idempotencyKey}`;
    await sql`
      delete from archive.dictionaries d
      where not exists (select from archive.compressed_bodies c where c.dictionary_id = d.id)
        and not exists (select from archive.codec_choices k where k.dictionary_id = d.id)`;
  });
}

export const integrateKanziCompression = capability({
  description:
    "Measures codecs on a sample, trains a dictionary, picks by goal and compresses every body.",
  input,
  output,
  run,
  compensate,
});
