/**
 * The strip at the top: which node this is and whether all is well.
 *
 * @module
 */

import type { JSX } from "preact";
import { formatDuration } from "../format.ts";
import { connection, model, nowMs } from "../store.ts";

const CONNECTION_TEXT = {
  connecting: "Connecting…",
  live: "Live",
  reconnecting: "Reconnecting…",
} as const;

export function Header(): JSX.Element {
  const { status, statusAtMs, metrics, agents } = model.value;
  const healthy = [...agents.values()].filter((agent) => agent.health === "healthy").length;
  return (
    <header class="top">
      <a class="brand" href="/" aria-label="SPECTRA, newest run">
        <Mark />
        <span>SPECTRA</span>
      </a>
      {status !== null && (
        <>
          <span class={`pill ${status.ready ? "good" : "warn"}`}>
            {status.ready ? "Ready" : "Not ready"}
          </span>
          <dl class="facts">
            <Fact name="Node" value={status.nodeId} />
            <Fact name="Database" value={`${status.database.kind}, ${status.database.version}`} />
            <Fact name="Queue" value={status.queue.kind} />
            <Fact name="Agents" value={`${healthy} of ${agents.size} healthy`} />
            {metrics !== null && (
              <Fact name="Tasks a minute" value={metrics.tasks_per_minute.toFixed(1)} />
            )}
            <Fact
              name="Up for"
              value={formatDuration(
                Math.floor((status.uptimeMs + Math.max(0, nowMs.value - statusAtMs)) / 1_000) *
                  1_000,
              )}
            />
          </dl>
        </>
      )}
      <span class={`live ${connection.value}`} role="status">
        <i aria-hidden="true" />
        {CONNECTION_TEXT[connection.value]}
      </span>
      {status !== null && !status.ready && status.reasons.length > 0 && (
        <ul class="reasons">
          {status.reasons.map((reason) => (
            <li key={reason}>{reason}</li>
          ))}
        </ul>
      )}
    </header>
  );
}

function Fact(props: { name: string; value: string }): JSX.Element {
  return (
    <div>
      <dt>{props.name}</dt>
      <dd>{props.value}</dd>
    </div>
  );
}

function Mark(): JSX.Element {
  return (
    <svg viewBox="0 0 32 32" width="26" height="26" aria-hidden="true">
      <rect width="32" height="32" rx="8" class="mark-ground" />
      <path d="M16 7.5v6M16 13.5l-6 5.5M16 13.5l6 5.5M10 19v4.5M22 19v4.5" class="mark-line" />
      <g class="mark-dot">
        <circle cx="16" cy="7.5" r="2.6" />
        <circle cx="10" cy="24" r="2.6" />
        <circle cx="22" cy="24" r="2.6" />
      </g>
    </svg>
  );
}
