/**
 * All about one task: who does it, since when, what it gave, why it failed, what it waits for.
 *
 * @module
 */

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { ErrorRecord, Json } from "../../../machines/error-code.ts";
import type { Page, TaskExplanation, TaskView } from "../../../runtime/system.ts";
import { getJson } from "../api.ts";
import { durationBetween, formatDateTime, formatDuration, formatNumber } from "../format.ts";
import { type Run, taskFraction } from "../model.ts";
import { go, nowMs } from "../store.ts";
import { JsonTree } from "./json-tree.tsx";
import { Pairs, Panel } from "./panel.tsx";
import { PlaceLink } from "./place-link.tsx";
import { Badge, Bar, StatusIcon } from "./status-icon.tsx";
import { TaskActions } from "./task-actions.tsx";

const SETTLED = new Set<TaskView["status"]>(["succeeded", "skipped", "compensated"]);

/** What runs in an agent is held by nothing; a wait for something else is explained. */
function mayBeHeld({ kind, status }: TaskView): boolean {
  return !SETTLED.has(status) && (status !== "running" || kind !== "action");
}

export function TaskPanel(props: { run: Run; task: TaskView }): JSX.Element {
  const { run, task } = props;
  const close = (): void => {
    go({ task: undefined });
    document.querySelector<HTMLElement>(`[data-task="${CSS.escape(task.key)}"]`)?.focus();
  };
  return (
    <Panel title={task.title} about="task" subject={task.key} onClose={close}>
      <p class="panel-state">
        <Badge status={task.status} />
      </p>
      <TaskActions key={task.key} workflow={run.workflow} task={task} />
      <Advance task={task} />
      <Facts task={task} />
      {task.error !== undefined && <Failure error={task.error} />}
      <Reasons run={run} task={task} />
      {task.after.length > 0 && (
        <Part title="After">
          <ul class="after">
            {task.after.map((key) => (
              <Before key={key} run={run} name={key} />
            ))}
          </ul>
        </Part>
      )}
      <Output run={run} task={task} />
    </Panel>
  );
}

function Part(props: { title: string; children: ComponentChildren }): JSX.Element {
  return (
    <div class="part">
      <h3>{props.title}</h3>
      {props.children}
    </div>
  );
}

function Advance(props: { task: TaskView }): JSX.Element | null {
  const { progress, status } = props.task;
  const fraction = taskFraction(props.task);
  if (progress === undefined || status !== "running") return null;
  const { done, total, message } = progress;
  const count =
    done === undefined
      ? undefined
      : `${formatNumber(done)}${total === undefined ? "" : ` of ${formatNumber(total)}`}`;
  return (
    <div class="advance">
      {fraction !== undefined && <Bar value={fraction} label="Task" tone="s-running" />}
      <p class="soft">{[count, message].filter((text) => text !== undefined).join(" · ")}</p>
    </div>
  );
}

const waitedFor: Readonly<Record<TaskView["kind"], string | undefined>> = {
  action: undefined,
  workflow: "a child run",
  signal: "a signal",
  approval: "an approval",
  sleep: "time",
};

function itemsText({ items }: TaskView): string | undefined {
  return items === undefined ? undefined : `${items.done} of ${items.total} done`;
}

function Facts(props: { task: TaskView }): JSX.Element {
  const { task } = props;
  const lasted = durationBetween(task.startedAt, task.finishedAt, nowMs.value);
  const waited =
    task.startedAt === null ? undefined : durationBetween(task.readyAt, task.startedAt, 0);
  const rows: readonly (readonly [string, string | undefined])[] = [
    ["Agent", task.agent || undefined],
    ["Action", task.action || undefined],
    ["Waits for", waitedFor[task.kind]],
    ["Items", itemsText(task)],
    ["Attempt", task.attempt === 0 ? undefined : String(task.attempt)],
    ["Started", task.startedAt === null ? undefined : formatDateTime(task.startedAt)],
    ["Finished", task.finishedAt === null ? undefined : formatDateTime(task.finishedAt)],
    ["Took", lasted === undefined ? undefined : formatDuration(lasted)],
    ["Waited", waited === undefined ? undefined : formatDuration(waited)],
    ["Node", task.node ?? undefined],
    ["Key", task.key],
  ];
  return <Pairs class="pairs" rows={rows} />;
}

function Failure(props: { error: ErrorRecord }): JSX.Element {
  const { error } = props;
  return (
    <div class="error" role="alert">
      <strong>{error.code}</strong>
      <p>{error.message}</p>
      <p class="soft">{error.retryable ? "May be tried again" : "Is not tried again by itself"}</p>
      {error.cause !== undefined && <Failure error={error.cause} />}
      {error.stack !== undefined && (
        <details>
          <summary>Stack</summary>
          <pre>{error.stack}</pre>
        </details>
      )}
    </div>
  );
}

/** What holds the task; asked for again whenever its status or the run's changes. */
function Reasons(props: { run: Run; task: TaskView }): JSX.Element | null {
  const { id, status, tasks } = props.run.workflow;
  const { key, status: taskStatus } = props.task;
  const isHeld = mayBeHeld(props.task);
  const [reasons, setReasons] = useState<readonly string[]>([]);
  useEffect(() => {
    let isWanted = true;
    setReasons([]);
    if (!isHeld) return undefined;
    getJson<TaskExplanation>(
      `/workflows/${encodeURIComponent(id)}/tasks/${encodeURIComponent(key)}/explain`,
    ).then(
      (explanation) => {
        if (isWanted) setReasons(explanation.reasons);
      },
      (error: unknown) => {
        const text = error instanceof Error ? error.message : String(error);
        if (isWanted) setReasons([`The reasons could not be read. ${text}`]);
      },
    );
    return () => {
      isWanted = false;
    };
  }, [id, status, tasks.done, key, taskStatus, isHeld]);
  if (reasons.length === 0) return null;
  return (
    <Part title={taskStatus === "running" ? "What it waits for" : "Why it is not running"}>
      <ul class="why">
        {reasons.map((reason) => (
          <li key={reason}>{reason}</li>
        ))}
      </ul>
    </Part>
  );
}

/** The stream leaves large outputs out; those are asked for. */
function Output(props: { run: Run; task: TaskView }): JSX.Element | null {
  const { id } = props.run.workflow;
  const { key, status, attempt, output } = props.task;
  const [fetched, setFetched] = useState<Json | undefined>(undefined);
  const isMissing = output === undefined && status === "succeeded";
  useEffect(() => {
    let isWanted = true;
    setFetched(undefined);
    if (!isMissing) return undefined;
    getJson<Page<TaskView>>(`/workflows/${encodeURIComponent(id)}/tasks`).then(
      ({ items }) => {
        if (isWanted) setFetched(items.find((task) => task.key === key)?.output);
      },
      (error: unknown) => {
        const text = error instanceof Error ? error.message : String(error);
        if (isWanted) setFetched(`The output could not be read. ${text}`);
      },
    );
    return () => {
      isWanted = false;
    };
  }, [id, key, isMissing, attempt]);
  const value = output ?? fetched;
  if (value === undefined || value === null) return null;
  return (
    <Part title="Output">
      <div class="json">
        <JsonTree value={value} />
      </div>
    </Part>
  );
}

function Before(props: { run: Run; name: string }): JSX.Element {
  const task = props.run.tasks.get(props.name);
  return (
    <li>
      {task !== undefined && <StatusIcon status={task.status} />}
      <PlaceLink to={{ task: props.name }}>{task?.title ?? props.name}</PlaceLink>
    </li>
  );
}
