import { expect, test } from "vitest";
import { escapeLabel, prometheusText } from "../../http/prometheus.ts";
import { agentOf } from "./live/live-events.ts";

const text = prometheusText({
  status: {
    nodeId: "n1",
    version: "0.1.0",
    startedAt: "2026-01-01T00:00:00.000Z",
    uptimeMs: 1_500,
    ready: true,
    reasons: [],
    warnings: [],
    database: { kind: "embedded", version: "18.4" },
    queue: { kind: "postgres" },
    server: { kind: "uws" },
    workflows: {
      pending: 0,
      running: 2,
      paused: 0,
      completed: 1,
      failed: 0,
      cancelled: 0,
      parked: 0,
    },
    agents: { total: 1, healthy: 1 },
    tree: { id: "root", kind: "supervisor", status: "running", restarts: 0, children: [] },
  },
  metrics: {
    tasks_per_minute: 6,
    average_task_duration: 250,
    success_rate: 0.5,
    resource_utilization: { cpu: 0.25, memory_mb: 2, event_loop_lag_ms: 3 },
  },
  agents: [{ ...agentOf("HARDWARE-INTEL"), averageMs: 500 }, agentOf("WEB")],
  liveClients: 1,
  lastEventSeq: 9,
});

test("prometheusText() gives base units", () => {
  for (const line of [
    "spectra_uptime_seconds 1.5",
    'spectra_workflows{status="running"} 2',
    "spectra_task_duration_average_seconds 0.25",
    "spectra_memory_bytes 2097152",
    "spectra_event_loop_lag_seconds 0.003",
    'spectra_agent_task_duration_average_seconds{agent="HARDWARE-INTEL"} 0.5',
  ]) {
    expect(text.split("\n")).toContain(line);
  }
});

test("prometheusText() leaves out a figure that an agent does not have yet", () => {
  expect(text).not.toContain('spectra_agent_task_duration_average_seconds{agent="WEB"}');
});

test("prometheusText() declares each family once, before its samples, with a spectra_ name", () => {
  const declared = [...text.matchAll(/^# TYPE (\S+) (?:gauge|counter)$/gm)].map(
    ([, name]) => name!,
  );
  expect(new Set(declared).size).toBe(declared.length);
  for (const [, name] of text.matchAll(/^([a-z_]+)[{ ]/gm)) {
    expect(declared).toContain(name);
    expect(name).toMatch(/^spectra_/);
  }
});

test("escapeLabel() escapes quote, backslash and line end", () => {
  expect(escapeLabel('a"b\\c\nd')).toBe('a\\"b\\\\c\\nd');
});
