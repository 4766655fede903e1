/**
 * The whole page: header, run, tasks, report, agents, runs; the journal or one task at the side.
 *
 * @module
 */

import { useComputed, useSignal, useSignalEffect } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import type { Run } from "../model.ts";
import { spokenSummary } from "../model.ts";
import { hasOwnWorkflows, knownWorkflows } from "../start-store.ts";
import {
  connection,
  go,
  model,
  notice,
  place,
  report,
  run,
  selectedTask,
  workflowId,
} from "../store.ts";
import { ActorPanel } from "./actor-panel.tsx";
import { Actors } from "./actors.tsx";
import { Agents } from "./agents.tsx";
import { EarlierRuns } from "./earlier-runs.tsx";
import { EventLog } from "./event-log.tsx";
import { Header } from "./header.tsx";
import { Report } from "./report.tsx";
import { RunCard } from "./run-card.tsx";
import { Schedules } from "./schedules.tsx";
import { StartButton } from "./start.tsx";
import { TaskGraph } from "./task-graph.tsx";
import { TaskList } from "./task-list.tsx";
import { TaskPanel } from "./task-panel.tsx";

export function Page(): JSX.Element {
  const shown = run.value;
  return (
    <>
      <a class="skip" href="#main">
        Skip to the run
      </a>
      <Header />
      <Notice />
      <Summary />
      <main id="main" class={connection.value === "reconnecting" ? "stale" : ""}>
        <div class="column">
          {shown ? (
            <>
              <RunCard run={shown} />
              <Tasks run={shown} />
              {report.value !== null && (
                <Report workflowId={shown.workflow.id} json={report.value} />
              )}
            </>
          ) : (
            <NoRun />
          )}
          <Agents />
          <Schedules />
          <Actors />
          <EarlierRuns />
        </div>
        <Side />
      </main>
      <footer>
        <a href="/docs">API reference</a>
        <a href="/openapi.json">OpenAPI</a>
        <a href="/metrics">Metrics</a>
        {model.value.status !== null && <span>SPECTRA {model.value.status.version}</span>}
      </footer>
    </>
  );
}

/** The actor that is looked at, else the task, else the journal of the run. */
function Side(): JSX.Element | null {
  const { actor } = place.value;
  const shown = run.value;
  const task = selectedTask.value;
  if (actor !== undefined && task === undefined) {
    return (
      <aside aria-label="Actor">
        <ActorPanel address={actor} />
      </aside>
    );
  }
  if (!shown) return null;
  return (
    <aside aria-label={task === undefined ? "Journal" : "Task"}>
      {task === undefined ? <EventLog /> : <TaskPanel run={shown} task={task} />}
    </aside>
  );
}

function Tasks(props: { run: Run }): JSX.Element {
  const { graph } = props.run;
  const isList = place.value.view === "list" || graph === null;
  return (
    <section class="card tasks" aria-labelledby="tasks-title">
      <div class="block-head">
        <h2 id="tasks-title">Tasks</h2>
        <div class="switch" role="group" aria-label="Show tasks as">
          {(["graph", "list"] as const).map((view) => (
            <button
              key={view}
              type="button"
              aria-pressed={(view === "list") === isList}
              onClick={() => go({ view })}
            >
              {view === "graph" ? "Graph" : "List"}
            </button>
          ))}
        </div>
      </div>
      <div class={isList ? "as-list" : "as-graph"}>
        {!isList && graph !== null && <TaskGraph run={props.run} graph={graph} />}
        <TaskList run={props.run} />
      </div>
    </section>
  );
}

function NoRun(): JSX.Element {
  if (model.value.status === null) {
    return (
      <Empty
        title={connection.value === "reconnecting" ? "The server does not answer" : "One moment"}
      >
        {connection.value === "reconnecting"
          ? "The page tries again by itself. Is the supervisor running?"
          : "Connecting to the node."}
      </Empty>
    );
  }
  if (workflowId.value === undefined) {
    return (
      <Empty title="Nothing has run yet" action={<StartButton isFirst />}>
        {hasOwnWorkflows.value ? (
          <>
            Workflows of your folder:{" "}
            {knownWorkflows.value
              .filter(({ origin }) => origin === "folder")
              .map(({ title }) => title)
              .join(", ")}
            . The agents that do their tasks are listed below.
          </>
        ) : (
          <>
            Phase 1 takes a message archive through eighteen tasks: profile, migrate, compress,
            remove duplicates, validate. Without an archive of yours it works on the sample.
          </>
        )}
      </Empty>
    );
  }
  if (run.value === null) {
    return (
      <Empty
        title="There is no such run"
        action={
          <button type="button" onClick={() => go({ workflow: undefined, task: undefined })}>
            Show the newest run
          </button>
        }
      >
        This node knows no run with the id <code>{workflowId.value}</code>.
      </Empty>
    );
  }
  return <Empty title="One moment">Reading the run.</Empty>;
}

function Empty(props: {
  title: string;
  children: ComponentChildren;
  action?: JSX.Element;
}): JSX.Element {
  return (
    <section class="card nothing">
      <h1>{props.title}</h1>
      <p>{props.children}</p>
      {props.action}
    </section>
  );
}

function Notice(): JSX.Element | null {
  if (notice.value === null) return null;
  return (
    <div class={`notice ${notice.value.tone}`} role="alert">
      <p>{notice.value.text}</p>
      <button
        type="button"
        class="link"
        onClick={() => {
          notice.value = null;
        }}
      >
        Dismiss
      </button>
    </div>
  );
}

/** At most one sentence in so long, or a screen reader never falls silent. */
const SPEAK_EVERY_MS = 5_000;

function Summary(): JSX.Element {
  const wanted = useComputed(() => (run.value ? spokenSummary(run.value) : ""));
  const spoken = useSignal("");
  const timer = useSignal<ReturnType<typeof setTimeout> | undefined>(undefined);
  useSignalEffect(() => {
    if (wanted.value === spoken.peek() || timer.peek() !== undefined) return;
    timer.value = setTimeout(() => {
      timer.value = undefined;
      spoken.value = wanted.peek();
    }, SPEAK_EVERY_MS);
  });
  return (
    <p class="unseen" role="status" aria-live="polite">
      {spoken}
    </p>
  );
}
