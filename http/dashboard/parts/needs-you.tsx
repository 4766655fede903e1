/**
 * What of a run waits for a person: the run itself when it is parked, its parked tasks, its approvals.
 *
 * @module
 */

import type { ComponentChildren, JSX } from "preact";
import type { WorkflowView } from "../../../runtime/system.ts";
import { formatDateTime } from "../format.ts";
import type { Run } from "../model.ts";
import { stateOf } from "../run-state-store.ts";
import { PlaceLink } from "./place-link.tsx";
import { StatusIcon } from "./status-icon.tsx";
import { TaskActions } from "./task-actions.tsx";

/** Of a long list the rest is counted. */
const SHOWN = 5;

export function NeedsYou(props: { run: Run }): JSX.Element | null {
  const { workflow } = props.run;
  if (workflow.status === "parked") {
    return (
      <Box title="This run needs you">
        <li>
          <Cause error={workflow.error} />
          <p class="soft">
            It stands still and takes nothing but Let it go on: then it continues where it was, or
            is parked again with the next reason. Mend the cause first.
          </p>
        </li>
      </Box>
    );
  }
  const { approvals = [], parked: known = [] } = stateOf(workflow.id) ?? {};
  // The stream is ahead of the state: what was just decided is not asked for again.
  const parked = known.filter(
    ({ task }) => (props.run.tasks.get(task)?.status ?? "parked") === "parked",
  );
  const open = approvals.filter(({ decided }) => !decided);
  const rows = [
    ...parked.map(({ task, error }) => (
      <Decision key={task} run={props.run} name={task}>
        <Cause error={error ?? undefined} />
      </Decision>
    )),
    ...open.map(({ task, title, expiresAt }) => (
      <Decision key={task} run={props.run} name={task}>
        <p>
          {title}
          {expiresAt !== null && (
            <span class="soft"> · given up at {formatDateTime(expiresAt)}</span>
          )}
        </p>
      </Decision>
    )),
  ];
  if (rows.length === 0) return null;
  return (
    <Box title={rows.length === 1 ? "1 task needs you" : `${rows.length} tasks need you`}>
      {rows.slice(0, SHOWN)}
      {rows.length > SHOWN && <li class="soft">and {rows.length - SHOWN} more after these</li>}
    </Box>
  );
}

function Box(props: { title: string; children: ComponentChildren }): JSX.Element {
  return (
    <section class="needs s-parked" aria-labelledby="needs-title">
      <h2 id="needs-title">
        <StatusIcon status="parked" />
        {props.title}
      </h2>
      <ul>{props.children}</ul>
    </section>
  );
}

function Decision(props: { run: Run; name: string; children: ComponentChildren }): JSX.Element {
  const { name, run } = props;
  const known = run.tasks.get(name);
  const title = known?.title ?? name;
  // An item of a list is not among the tasks of the page; only what is parked is listed without one.
  const task = { key: name, title, status: known?.status ?? "parked" };
  return (
    <li>
      <div>
        {known === undefined ? (
          <code>{name}</code>
        ) : (
          <PlaceLink to={{ task: name }}>{title}</PlaceLink>
        )}
        {props.children}
      </div>
      <TaskActions workflow={run.workflow} task={task} />
    </li>
  );
}

function Cause(props: { error: WorkflowView["error"] }): JSX.Element {
  const { code, message } = props.error ?? { code: "PARKED", message: "No reason was stored." };
  return (
    <p>
      <code>{code}</code> {message}
    </p>
  );
}
