/**
 * The figures of a node in the Prometheus text format 0.0.4: base units, and labels whose values
 * come from fixed sets (agents, states), never from requests or workflow ids.
 *
 * @module
 */

import type { AgentView, SystemMetrics, SystemStatus } from "../runtime/system.ts";

export interface Figures {
  readonly status: SystemStatus;
  readonly metrics: SystemMetrics;
  readonly agents: readonly AgentView[];
  readonly liveClients: number;
  readonly lastEventSeq: number;
}

type Labels = Readonly<Record<string, string>>;

interface Family {
  readonly name: string;
  readonly kind: "gauge" | "counter";
  readonly help: string;
  readonly samples: readonly { labels?: Labels; value: number }[];
}

export function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}

function formatFamily({ name, kind, help, samples }: Family): string {
  const lines = [`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`];
  for (const { labels = {}, value } of samples) {
    const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escapeLabel(text)}"`);
    lines.push(`${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${value}`);
  }
  return `${lines.join("\n")}\n`;
}

export function prometheusText(figures: Figures): string {
  return [...nodeFamilies(figures), ...agentFamilies(figures.agents)].map(formatFamily).join("");
}

function nodeFamilies({ status, metrics, liveClients, lastEventSeq }: Figures): Family[] {
  const gauge = (name: string, help: string, value: number, labels?: Labels): Family => ({
    name,
    kind: "gauge",
    help,
    samples: [labels === undefined ? { value } : { labels, value }],
  });
  const use = metrics.resource_utilization;
  return [
    gauge("spectra_build_info", "Version of this node, always 1", 1, {
      version: status.version,
      node: status.nodeId,
    }),
    gauge("spectra_ready", "1 when the node takes work", status.ready ? 1 : 0),
    gauge("spectra_uptime_seconds", "Time since the start of the node", status.uptimeMs / 1_000),
    {
      name: "spectra_workflows",
      kind: "gauge",
      help: "Workflow runs by status",
      samples: Object.entries(status.workflows).map(([state, value]) => ({
        labels: { status: state },
        value,
      })),
    },
    gauge(
      "spectra_tasks_per_minute",
      "Tasks finished in the last minute",
      metrics.tasks_per_minute,
    ),
    gauge(
      "spectra_task_duration_average_seconds",
      "Average duration of finished attempts",
      metrics.average_task_duration / 1_000,
    ),
    gauge("spectra_task_success_ratio", "Finished attempts that succeeded", metrics.success_rate),
    gauge("spectra_cpu_utilization_ratio", "Processor use of the node, 1 is all cores", use.cpu),
    gauge("spectra_memory_bytes", "Memory of the node", Math.round(use.memory_mb * 1_048_576)),
    gauge(
      "spectra_event_loop_lag_seconds",
      "Delay of the main thread",
      use.event_loop_lag_ms / 1_000,
    ),
    gauge("spectra_live_clients", "Clients of the live stream", liveClients),
    {
      name: "spectra_live_events_total",
      kind: "counter",
      help: "Events of the live stream since the start",
      samples: [{ value: lastEventSeq }],
    },
  ];
}

function agentFamilies(agents: readonly AgentView[]): Family[] {
  const each = (
    name: string,
    kind: Family["kind"],
    help: string,
    read: (agent: AgentView) => number | null,
  ): Family => ({
    name,
    kind,
    help,
    samples: agents.flatMap((agent) => {
      const value = read(agent);
      return value === null ? [] : [{ labels: { agent: agent.name }, value }];
    }),
  });
  return [
    each("spectra_agent_healthy", "gauge", "1 when the agent is healthy", (agent) =>
      agent.health === "healthy" ? 1 : 0,
    ),
    each(
      "spectra_agent_restarts_total",
      "counter",
      "Restarts since the start",
      (agent) => agent.restarts,
    ),
    each("spectra_agent_tasks_in_flight", "gauge", "Tasks that run now", (agent) => agent.inFlight),
    each(
      "spectra_agent_concurrency",
      "gauge",
      "Tasks that may run at once",
      (agent) => agent.concurrency,
    ),
    each(
      "spectra_agent_success_ratio",
      "gauge",
      "Finished attempts that succeeded",
      (agent) => agent.successRate,
    ),
    each(
      "spectra_agent_task_duration_average_seconds",
      "gauge",
      "Average duration of attempts",
      (agent) => (agent.averageMs === null ? null : agent.averageMs / 1_000),
    ),
  ];
}
