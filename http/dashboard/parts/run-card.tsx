/**
 * The run that is looked at: how far it is, week by week, and what one may do to it.
 *
 * @module
 */

import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import type { JournalEntry, WorkflowView } from "../../../runtime/system.ts";
import { type Control, runControls } from "../controls.ts";
import { durationBetween, formatDateTime, formatDuration, formatPercent } from "../format.ts";
import { type Run, type StageProgress, stageProgress } from "../model.ts";
import { stateOf } from "../run-state-store.ts";
import { isOver, model, nowMs, order, pending, showUnexpected, subjectOf } from "../store.ts";
import { NeedsYou } from "./needs-you.tsx";
import { StartButton } from "./start.tsx";
import { Badge, Bar } from "./status-icon.tsx";
import { Refusal } from "./task-actions.tsx";

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

function labelOf(name: Control, status: WorkflowView["status"]): string {
  return name === "retry" && status === "parked" ? "Let it go on" : LABELS[name];
}

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
        <Controls workflow={workflow} />
      </div>
      <Bar value={workflow.progress} label="Whole run" tone={`large s-${workflow.status}`} />
      <Refusal subject={subjectOf(workflow.id)} />
      <Pause workflow={workflow} />
      <NeedsYou run={props.run} />
      {workflow.error !== undefined && workflow.status !== "parked" && (
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

/** Tasks that were at work when the run was paused, as its journal has it. */
function inFlightAtPause(journal: readonly JournalEntry[]): number | undefined {
  const payload = journal.findLast(({ type }) => type === "run.paused")?.payload;
  const { inFlight } = (payload ?? {}) as { readonly inFlight?: unknown };
  return typeof inFlight === "number" ? inFlight : undefined;
}

/** How far a paused run has come to rest. */
function Pause(props: { workflow: WorkflowView }): JSX.Element | null {
  const { id, status } = props.workflow;
  const { inFlight = 0, pause = null } = stateOf(id) ?? {};
  if (status !== "paused" || pause === null) return null;
  const before = inFlightAtPause(model.value.journal);
  const since = `Paused since ${formatDateTime(pause.since)}`;
  if (pause.drained) return <p class="soft">{since}. Drained: no agent is at work for it.</p>;
  const count =
    before === undefined || before < inFlight
      ? `${inFlight} still at work`
      : `${before - inFlight} of ${before} ended, ${inFlight} still at work`;
  return (
    <p class="soft">
      {since}. Draining: {count}; nothing further starts.
    </p>
  );
}

function Controls(props: { workflow: WorkflowView }): JSX.Element {
  const { id, status } = props.workflow;
  const subject = subjectOf(id);
  const send = (name: Control): void => {
    order(id, name, {}, subject).catch(showUnexpected);
  };
  const dialog = useRef<HTMLDialogElement>(null);
  const press = (name: Control): void => {
    if (name === "cancel") dialog.current?.showModal();
    else send(name);
  };
  return (
    <div class="controls">
      {runControls(props.workflow).map((name) => (
        <button
          key={name}
          type="button"
          class={TONES[name]}
          disabled={pending.value !== null}
          onClick={() => press(name)}
        >
          {labelOf(name, status)}
        </button>
      ))}
      {isOver(props.workflow) && <StartButton isFirst={status === "completed"} />}
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
          <button type="submit" class="danger" onClick={() => send("cancel")}>
            Cancel the run
          </button>
        </form>
      </dialog>
    </div>
  );
}
