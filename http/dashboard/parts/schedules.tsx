/**
 * Workflows that start at set times: when next, what is open, and how to hold them. Absent when there are none.
 *
 * @module
 */

import type { JSX } from "preact";
import type { ScheduleView } from "../../../runtime/system.ts";
import { formatDateTime, formatDuration } from "../format.ts";
import { changing, controlSchedule, type ScheduleControl, schedules } from "../schedules-store.ts";
import { PlaceLink } from "./place-link.tsx";

const TONES = { active: "good", paused: "warn", ended: "" } as const;

export function Schedules(): JSX.Element | null {
  if (schedules.value.length === 0) return null;
  return (
    <section class="block" aria-labelledby="schedules-title">
      <div class="block-head">
        <h2 id="schedules-title">Schedules</h2>
        <p class="soft">Workflows that start at set times</p>
      </div>
      <div class="card table">
        <table>
          <thead>
            <tr>
              <th scope="col">Schedule</th>
              <th scope="col">Status</th>
              <th scope="col">Next</th>
              <th scope="col">Open</th>
              <th scope="col">Act</th>
            </tr>
          </thead>
          <tbody>
            {schedules.value.map((schedule) => (
              <Row key={schedule.id} schedule={schedule} />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Row({ schedule }: { schedule: ScheduleView }): JSX.Element {
  const { counts, id, next, note, status } = schedule;
  return (
    <tr>
      <td>
        <strong>{id}</strong>
        <code class="soft">{whenOf(schedule)}</code>
      </td>
      <td>
        <span class={`pill ${TONES[status]}`} title={note ?? undefined}>
          {status}
        </span>
        <span class="soft">
          {counts.started} started, {counts.failed} failed
        </span>
      </td>
      <td title={next.map(({ dueAt }) => formatDateTime(dueAt)).join("\n")}>
        {next[0] === undefined ? "–" : formatDateTime(next[0].dueAt)}
      </td>
      <td>
        <Open schedule={schedule} />
      </td>
      <td>
        <Act id={id} control="trigger" label="Start now" />{" "}
        {status === "paused" && <Act id={id} control="resume" label="Resume" />}
        {status === "active" && <Act id={id} control="pause" label="Pause" />}
      </td>
    </tr>
  );
}

function Open({ schedule: { open, waiting } }: { schedule: ScheduleView }): JSX.Element {
  const first = open.find(({ workflowId }) => workflowId !== null)?.workflowId;
  const text = `${open.length}${waiting.length === 0 ? "" : `, ${waiting.length} waiting`}`;
  if (first === undefined || first === null) return <>{text}</>;
  return (
    <PlaceLink to={{ workflow: first, task: undefined }} onFollow={() => scrollTo({ top: 0 })}>
      {text}
    </PlaceLink>
  );
}

function Act(props: { id: string; control: ScheduleControl; label: string }): JSX.Element {
  return (
    <button
      type="button"
      class="link"
      disabled={changing.value !== null}
      aria-label={`${props.label}: ${props.id}`}
      onClick={() => void controlSchedule(props.id, props.control)}
    >
      {props.label}
    </button>
  );
}

function whenOf({ spec: { at, cron, everyMs, timeZone, workflow } }: ScheduleView): string {
  const what = typeof workflow === "string" ? `${workflow}, ` : "";
  if (cron !== undefined) return `${what}${cron.join(" | ")} ${timeZone ?? "UTC"}`;
  if (everyMs !== undefined) return `${what}every ${formatDuration(everyMs)}`;
  return `${what}${(at ?? []).map(formatDateTime).join(", ")}`;
}
