/**
 * Measures the node: the seed's four figures, once a second.
 *
 * @module
 */

import { openProcessProbe } from "../native/probes.ts";
import type { SystemMetrics } from "./system.ts";

const sampleMs = 1_000;
/** Finished attempts older than this no longer count. */
const windowMs = 60_000;
/** Attempts remembered at most within the window. */
const windowLimit = 100_000;

interface Finished {
  readonly atMs: number;
  readonly durationMs: number;
  readonly succeeded: boolean;
}

export interface Monitor {
  finished(durationMs: number, succeeded: boolean): void;
  metrics(): SystemMetrics;
  stop(): void;
}

/** @param onSample Called once a second with fresh figures. */
export function startMonitor(onSample: (metrics: SystemMetrics) => void): Monitor {
  const probe = openProcessProbe();
  const recent: Finished[] = [];
  const startedMs = performance.now();
  let total = 0;
  let succeeded = 0;
  let busyMs = 0;
  let current = measure();
  const timer = setInterval(() => {
    current = measure();
    onSample(current);
  }, sampleMs);

  function measure(): SystemMetrics {
    const nowMs = performance.now();
    while (recent[0] !== undefined && recent[0].atMs < nowMs - windowMs) recent.shift();
    const facts = probe.read();
    const minutes = Math.min(Math.max(nowMs - startedMs, sampleMs), windowMs) / 60_000;
    return {
      tasks_per_minute: recent.length / minutes,
      average_task_duration: total === 0 ? 0 : busyMs / total,
      success_rate: total === 0 ? 1 : succeeded / total,
      resource_utilization: {
        cpu: facts.cpuUtilisation,
        memory_mb: facts.rssBytes / 1024 / 1024,
        event_loop_lag_ms: facts.eventLoopLagMs.p99,
      },
    };
  }

  return {
    finished: (durationMs, isSuccess) => {
      total += 1;
      busyMs += durationMs;
      if (isSuccess) succeeded += 1;
      recent.push({ atMs: performance.now(), durationMs, succeeded: isSuccess });
      if (recent.length > windowLimit) recent.shift();
    },
    metrics: () => current,
    stop: () => {
      clearInterval(timer);
      probe.close();
    },
  };
}
