/**
 * The run that is looked at: how far it is, week by week, and what one may do to it.
 *
 * @module
 */

import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import type { WorkflowStatus } from "../../../runtime/system.ts";
import { durationBetween, formatDateTime, formatDuration, formatPercent } from "../format.ts";
import { type Run, type StageProgress, stageProgress } from "../model.ts";
import { type Control, control, nowMs, pending } from "../store.ts";
import { StartButton } from "./start.tsx";
import { Badge, Bar } from "./status-icon.tsx";

const ALLOWED: Readonly<Record<WorkflowStatus, readonly Control[]>> = {
  pending: ["pause", "cancel"],
  running: ["pause", "cancel"],
  paused: ["resume", "cancel"],
  parked: ["retry", "resume", "cancel"],
  failed: ["retry"],
  cancelled: ["retry"],
  completed: [],
};

const LABELS: Readonly<Record<Control, string>> = {
  pause: "Pause",
  resume: "Resume",
  retry: "Retry failed tasks",
  cancel: "Cancel…",
};

const TONES: Readonly<Record<Control, string>> = {
  pause: "",
  resume: "primary",
  retry: "primary",
  cancel: "quiet",
};

export function RunCard(props: { run: Run }): JSX.Element {
  const { workflow } = props.run;
  const lasted = durationBetween(workflow.startedAt, workflow.finishedAt, nowMs.value);
  return (
    <section class="card run" aria-labelledby="run-title">
      <div class="run-head">
        <div>
          <h1 id="run-title">{workflow.title}</h1>
          <p class="soft">
            <Badge status={workflow.status} /> <code>{workflow.id}</code>
            <span>started {formatDateTime(workflow.startedAt ?? workflow.createdAt)}</span>
          </p>
        </div>
        <div class="run-figure">
          <strong>{formatPercent(workflow.progress)}</strong>
          <span class="soft">
            {workflow.tasks.done} of {workflow.tasks.total} tasks
            {lasted === undefined
              ? ""
              : ` · ${formatDuration(steady(lasted, workflow.finishedAt))}`}
          </span>
        </div>
        <Controls id={workflow.id} status={workflow.status} />
      </div>
      <Bar value={workflow.progress} label="Whole run" tone={`large s-${workflow.status}`} />
      {workflow.error !== undefined && (
        <p class="error" role="alert">
          <strong>{workflow.error.code}</strong> {workflow.error.message}
        </p>
      )}
      <ol class="weeks">
        {stageProgress(props.run).map((stage) => (
          <Week key={stage.name} stage={stage} />
        ))}
      </ol>
    </section>
  );
}

/** While it runs the figure grows by whole seconds, so that it does not flicker. */
function steady(ms: number, finishedAt: string | null): number {
  return finishedAt === null ? Math.floor(ms / 1_000) * 1_000 : ms;
}

function toneOf(stage: StageProgress): string {
  if (stage.failed > 0) return "s-failed";
  if (stage.done === stage.total) return "s-succeeded";
  return stage.running > 0 || stage.done > 0 ? "s-running" : "s-blocked";
}

function Week(props: { stage: StageProgress }): JSX.Element {
  const { stage } = props;
  return (
    <li class={toneOf(stage)}>
      <span class="week-name">{stage.title}</span>
      <span class="week-count">
        {stage.done}/{stage.total}
        {stage.failed > 0 ? `, ${stage.failed} failed` : ""}
      </span>
      <Bar value={stage.progress} label={stage.title} tone={toneOf(stage)} />
    </li>
  );
}

function Controls(props: { id: string; status: WorkflowStatus }): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const press = (name: Control): void => {
    if (name === "cancel") dialog.current?.showModal();
    else void control(props.id, name);
  };
  return (
    <div class="controls">
      {ALLOWED[props.status].map((name) => (
        <button
          key={name}
          type="button"
          class={TONES[name]}
          disabled={pending.value !== null}
          onClick={() => press(name)}
        >
          {pending.value === name ? "One moment…" : LABELS[name]}
        </button>
      ))}
      {ALLOWED[props.status].length <= 1 && <StartButton isFirst={props.status === "completed"} />}
      <dialog ref={dialog} aria-labelledby="cancel-title">
        <h2 id="cancel-title">Cancel this run?</h2>
        <p>
          Running tasks are stopped and nothing further starts. What is finished stays; a retry goes
          on from there.
        </p>
        <form method="dialog">
          <button type="submit" class="quiet">
            Keep it running
          </button>
          <button type="submit" class="danger" onClick={() => void control(props.id, "cancel")}>
            Cancel the run
          </button>
        </form>
      </dialog>
    </div>
  );
}
