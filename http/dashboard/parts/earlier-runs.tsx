/**
 * The runs of this node, newest first, to look at another one.
 *
 * @module
 */

import type { JSX } from "preact";
import { durationBetween, formatDateTime, formatDuration, formatPercent } from "../format.ts";
import { model, nowMs, workflowId } from "../store.ts";
import { PlaceLink } from "./place-link.tsx";
import { Badge } from "./status-icon.tsx";

export function EarlierRuns(): JSX.Element | null {
  const runs = [...model.value.workflows.values()];
  if (runs.length < 2) return null;
  return (
    <section class="block" aria-labelledby="runs-title">
      <div class="block-head">
        <h2 id="runs-title">Runs</h2>
        <p class="soft">The newest {runs.length}</p>
      </div>
      <div class="card table">
        <table>
          <thead>
            <tr>
              <th scope="col">Run</th>
              <th scope="col">Status</th>
              <th scope="col">Progress</th>
              <th scope="col">Started</th>
              <th scope="col">Took</th>
            </tr>
          </thead>
          <tbody>
            {runs.map((workflow) => {
              const lasted = durationBetween(workflow.startedAt, workflow.finishedAt, nowMs.value);
              const isShown = workflow.id === workflowId.value;
              return (
                <tr key={workflow.id} aria-current={isShown ? "true" : undefined}>
                  <td>
                    <PlaceLink
                      to={{ workflow: workflow.id, task: undefined }}
                      onFollow={() => scrollTo({ top: 0 })}
                    >
                      {workflow.title}
                    </PlaceLink>
                    <code class="soft">{workflow.id}</code>
                  </td>
                  <td>
                    <Badge status={workflow.status} />
                  </td>
                  <td>{formatPercent(workflow.progress)}</td>
                  <td>{formatDateTime(workflow.startedAt ?? workflow.createdAt)}</td>
                  <td>{lasted === undefined ? "–" : formatDuration(lasted)}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </section>
  );
}
