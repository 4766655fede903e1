/**
 * Measures codecs on real bodies and picks the one that fits the goal.
 *
 * @module
 */

import { AgentError } from "../../machines/error-code.ts";
import { type Codec, openCodec } from "./codec.ts";
import { packBody, unpackBody } from "./stored-body.ts";

/** One measured way to store bodies. Speeds count raw bytes; 1 MB is 1,000,000 bytes. */
export interface CodecTrial {
  readonly codec: string;
  readonly dictionary: boolean;
  readonly external: boolean;
  readonly bodies: number;
  readonly rawBytes: number;
  readonly storedBytes: number;
  /** 1 - stored / raw, without the dictionary itself. */
  readonly spaceSaved: number;
  readonly compressMbPerS: number;
  readonly expandMbPerS: number;
}

export interface UnavailableCodec {
  readonly codec: string;
  readonly reason: string;
}

/** A program is started per body, so fewer bodies do. */
const externalBodies = 12;
/** Compressed and expanded before the clock starts, so that the first codec does not pay for the compiler. */
const warmUpBodies = 12;

/**
 * Compresses and expands every body once and checks that it comes back equal.
 * @throws {AgentError} `BODY_MISMATCH` when a codec does not give back what it got.
 */
export function tryCodec(
  id: string,
  codec: Codec,
  sample: readonly Uint8Array[],
  dictionary: Uint8Array | undefined,
  monotonicMs: () => number,
): CodecTrial {
  const bodies = codec.external ? sample.slice(0, externalBodies) : sample;
  if (!codec.external) {
    for (const raw of sample.slice(0, warmUpBodies)) {
      unpackBody(codec, packBody(codec, raw, dictionary), raw.byteLength, dictionary);
    }
  }
  const startedMs = monotonicMs();
  const stored = bodies.map((raw) => packBody(codec, raw, dictionary));
  const compressedMs = monotonicMs();
  const expanded = stored.map((data, at) =>
    unpackBody(codec, data, bodies[at]?.byteLength ?? 0, dictionary),
  );
  const expandedMs = monotonicMs();
  for (const [at, raw] of bodies.entries()) {
    if (Buffer.compare(expanded[at] ?? new Uint8Array(0), raw) === 0) continue;
    throw new AgentError("BODY_MISMATCH", `Cannot use the codec ${id}: a body came back changed`);
  }
  const rawBytes = bodies.reduce((sum, raw) => sum + raw.byteLength, 0);
  const storedBytes = stored.reduce((sum, data) => sum + data.byteLength, 0);
  return {
    codec: id,
    dictionary: dictionary !== undefined,
    external: codec.external,
    bodies: bodies.length,
    rawBytes,
    storedBytes,
    spaceSaved: rawBytes === 0 ? 0 : 1 - storedBytes / rawBytes,
    compressMbPerS: megabytesPerSecond(rawBytes, compressedMs - startedMs),
    expandMbPerS: megabytesPerSecond(rawBytes, expandedMs - compressedMs),
  };
}

/** Bytes over milliseconds as MB/s, with the clock's resolution as the shortest time. */
export function megabytesPerSecond(bytes: number, durationMs: number): number {
  return bytes / 1_000 / Math.max(durationMs, 0.001);
}

export interface TrialPlan {
  readonly codecs: readonly string[];
  readonly sample: readonly Uint8Array[];
  /** Tried with the codecs that take one, besides without. */
  readonly dictionary: Uint8Array | undefined;
  readonly monotonicMs: () => number;
  /** Called before each codec; may throw to stop. */
  readonly beforeEach: (codec: string) => void;
}

/** Measures all. A codec whose program is missing is reported, never left out in silence. */
export async function tryCodecs(
  plan: TrialPlan,
): Promise<{ trials: readonly CodecTrial[]; unavailable: readonly UnavailableCodec[] }> {
  const trials: CodecTrial[] = [];
  const unavailable: UnavailableCodec[] = [];
  for (const id of plan.codecs) {
    plan.beforeEach(id);
    let codec: Codec;
    try {
      codec = await openCodec(id);
    } catch (error) {
      if (!(error instanceof AgentError) || error.code !== "CODEC_UNAVAILABLE") throw error;
      unavailable.push({ codec: id, reason: error.message });
      continue;
    }
    trials.push(tryCodec(id, codec, plan.sample, undefined, plan.monotonicMs));
    if (!codec.takesDictionary || plan.dictionary === undefined) continue;
    trials.push(tryCodec(id, codec, plan.sample, plan.dictionary, plan.monotonicMs));
  }
  return { trials, unavailable };
}

export interface CompressionGoal {
  /** Share of the raw bytes to save, 0 to 1. */
  readonly spaceSaved: number;
  /** Raw MB that one thread compresses in a second at least. */
  readonly compressMbPerS: number;
  readonly totalBytes: number;
}

export interface CodecPick {
  readonly trial: CodecTrial;
  readonly projectedMs: number;
  /** One sentence each. */
  readonly reasons: readonly string[];
}

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;

/**
 * Among the codecs that save enough and are fast enough, the one that saves most; else the fastest that
 * saves enough; else the one that saves most. Programs are never picked: every reader would need them.
 */
export function pickCodec(trials: readonly CodecTrial[], goal: CompressionGoal): CodecPick {
  const projectedMs = (trial: CodecTrial): number =>
    goal.totalBytes / 1_000 / Math.max(trial.compressMbPerS, 0.001);
  const inProcess = trials.filter((trial) => !trial.external);
  const reaching = inProcess.filter((trial) => trial.spaceSaved >= goal.spaceSaved);
  const fastEnough = reaching.filter((trial) => trial.compressMbPerS >= goal.compressMbPerS);
  const bySpace = (a: CodecTrial, b: CodecTrial): number => b.spaceSaved - a.spaceSaved;
  const bySpeed = (a: CodecTrial, b: CodecTrial): number => b.compressMbPerS - a.compressMbPerS;
  const [trial] =
    fastEnough.length > 0
      ? fastEnough.toSorted(bySpace)
      : reaching.length > 0
        ? reaching.toSorted(bySpeed)
        : inProcess.toSorted(bySpace);
  if (trial === undefined) {
    throw new AgentError("CODEC_UNAVAILABLE", "Cannot pick a codec: none could be measured");
  }
  const external = trials.filter((other) => other.external);
  return {
    trial,
    projectedMs: projectedMs(trial),
    reasons: [
      `${reaching.length} of ${inProcess.length} measured ways save at least ${percent(goal.spaceSaved)}; ${fastEnough.length} of them compress at least ${goal.compressMbPerS} MB/s`,
      `${trial.codec} ${trial.dictionary ? "with" : "without"} the dictionary saves ${percent(trial.spaceSaved)} at ${trial.compressMbPerS.toFixed(1)} MB/s in and ${trial.expandMbPerS.toFixed(1)} MB/s out`,
      fastEnough.length > 0
        ? "it saves most of those that meet both goals"
        : reaching.length > 0
          ? "none of them is fast enough, so the fastest that saves enough was taken"
          : "no codec saves enough on this sample, so the one that saves most was taken",
      ...(external.length === 0
        ? []
        : [
            `not picked because every read would start a process, though measured: ${external.map(({ codec }) => codec).join(", ")}`,
          ]),
    ],
  };
}
