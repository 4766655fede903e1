/**
 * The state of a task or run as a shape; its colour comes from the class, its words from the caller.
 *
 * @module
 */

import type { JSX } from "preact";
import type { TaskStatus, WorkflowStatus } from "../../../runtime/system.ts";

const RADIUS = 6.5;
const TURN = 2 * Math.PI * RADIUS;

const SHAPES: Readonly<Record<TaskStatus | WorkflowStatus, JSX.Element>> = {
  blocked: <circle cx="8" cy="8" r={RADIUS} stroke-dasharray="2.2 2.9" />,
  pending: <circle cx="8" cy="8" r={RADIUS} stroke-dasharray="2.2 2.9" />,
  ready: (
    <>
      <circle cx="8" cy="8" r={RADIUS} />
      <circle cx="8" cy="8" r="2" class="solid" />
    </>
  ),
  dispatched: (
    <>
      <circle cx="8" cy="8" r={RADIUS} />
      <path d="M6.7 5.2 9.7 8l-3 2.8" />
    </>
  ),
  running: <circle cx="8" cy="8" r={RADIUS} class="track" />,
  succeeded: (
    <>
      <circle cx="8" cy="8" r="7.25" class="solid" />
      <path d="m4.9 8.3 2.1 2.1 4.2-4.5" class="cut" />
    </>
  ),
  completed: (
    <>
      <circle cx="8" cy="8" r="7.25" class="solid" />
      <path d="m4.9 8.3 2.1 2.1 4.2-4.5" class="cut" />
    </>
  ),
  failed: (
    <>
      <path d="M5 .8h6L15.2 5v6L11 15.2H5L.8 11V5Z" class="solid" />
      <path d="m5.5 5.5 5 5m0-5-5 5" class="cut" />
    </>
  ),
  cancelled: (
    <>
      <circle cx="8" cy="8" r={RADIUS} />
      <path d="m3.6 12.4 8.8-8.8" />
    </>
  ),
  skipped: <path d="m3 4 4 4-4 4m6-8 4 4-4 4" />,
  retrying: <path d="M13.8 5.2A6.5 6.5 0 1 0 14.5 8M14.2 1.8v3.6h-3.6" />,
  compensating: <path d="M5.8 3 2.5 6.3l3.3 3.3M2.7 6.3h6.8a3.6 3.6 0 0 1 0 7.2H6" />,
  compensated: <path d="M5.8 3 2.5 6.3l3.3 3.3M2.7 6.3h6.8a3.6 3.6 0 0 1 0 7.2H6" />,
  parked: (
    <>
      <path d="M8 1.5 15 14H1Z" class="solid" stroke-linejoin="round" />
      <path d="M8 6.2v3.2m0 2.2v.1" class="cut" />
    </>
  ),
  paused: <path d="M5.5 3.5v9m5-9v9" stroke-width="2.4" />,
};

/** `fraction` (0 to 1) fills the ring of a running task; without it the ring turns. */
export function StatusIcon(props: {
  status: TaskStatus | WorkflowStatus;
  fraction?: number | undefined;
}): JSX.Element {
  const { status, fraction } = props;
  const filled = Math.max(0.02, fraction ?? 0.25) * TURN;
  return (
    <svg class={`icon s-${status}`} viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      {SHAPES[status]}
      {status === "running" && (
        <circle
          cx="8"
          cy="8"
          r={RADIUS}
          class={fraction === undefined ? "turning" : "arc"}
          stroke-dasharray={`${filled} ${TURN}`}
          transform={fraction === undefined ? undefined : "rotate(-90 8 8)"}
        />
      )}
    </svg>
  );
}

/** As people read it: what is parked waits for one of them. */
export function statusText(status: TaskStatus | WorkflowStatus): string {
  return status === "parked" ? "needs you" : status;
}

export function Badge(props: { status: TaskStatus | WorkflowStatus }): JSX.Element {
  return (
    <span class={`badge s-${props.status}`}>
      <StatusIcon status={props.status} />
      {statusText(props.status)}
    </span>
  );
}

/** A bar from 0 to 1 with its value for assistive technology. */
export function Bar(props: { value: number; label: string; tone: string }): JSX.Element {
  const percent = Math.round(props.value * 1_000) / 10;
  return (
    <div
      class={`bar ${props.tone}`}
      role="progressbar"
      aria-label={props.label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(percent)}
    >
      <span style={{ width: `${percent}%` }} />
    </div>
  );
}
