/**
 * The report of a phase: what was to be reached and what was measured, in a form one reads.
 *
 * @module
 */

import type { JSX } from "preact";
import type { Json } from "../../../machines/error-code.ts";
import { formatDateTime, formatDuration, formatKey, formatNumber } from "../format.ts";
import { figuresOf, isPhaseReport, type PhaseReport, type ReportTask } from "../report-shape.ts";
import { run } from "../store.ts";
import { JsonTree } from "./json-tree.tsx";
import { StatusIcon } from "./status-icon.tsx";

export function Report(props: { workflowId: string; json: Json }): JSX.Element {
  const { json } = props;
  const address = `/api/v1/workflows/${encodeURIComponent(props.workflowId)}/report`;
  return (
    <section class="card report" aria-labelledby="report-title">
      <div class="block-head">
        <h2 id="report-title">Report</h2>
        <p class="links">
          <a href={`${address}?format=json`}>JSON</a>
          <a href={`${address}?format=md`}>Markdown</a>
        </p>
      </div>
      {isPhaseReport(json) ? <Body report={json} /> : <JsonTree value={json} />}
    </section>
  );
}

function Body(props: { report: PhaseReport }): JSX.Element {
  const { report } = props;
  const { archive } = report;
  const rejects = Object.entries(archive.rejectsByReason);
  const missed = report.criteria.filter((one) => !one.met).length;
  return (
    <>
      <p class="verdict">
        <strong class={report.result === "accepted" ? "good" : "warn"}>
          {formatKey(report.result)}
        </strong>
        <span class="soft">
          {report.criteria.length - missed} of {report.criteria.length} criteria met
          {report.generatedAt === undefined ? "" : ` · ${formatDateTime(report.generatedAt)}`}
        </span>
      </p>
      <dl class="counts">
        <Count name="Read" value={archive.read} />
        <Count name="Migrated" value={archive.migrated} />
        <Count name="Rejected" value={archive.rejected} />
      </dl>
      <p class="soft source">
        From <code>{archive.source}</code>
      </p>
      <Criteria report={report} />
      <div class="halves">
        <div>
          <h3>Vote: {report.vote.outcome}</h3>
          <ul class="ballots">
            {report.vote.ballots.map(({ voter, approve, reason }) => (
              <li key={voter}>
                <StatusIcon status={approve ? "succeeded" : "failed"} />
                <span>
                  <strong>{voter}</strong> {approve ? "for" : "against"}
                  <span class="soft reason">{reason}</span>
                </span>
              </li>
            ))}
          </ul>
        </div>
        <div>
          <h3>Rejected records</h3>
          {rejects.length === 0 ? (
            <p class="soft">None: every record that was read was migrated.</p>
          ) : (
            <dl class="pairs">
              {rejects.map(([reason, count]) => (
                <div key={reason}>
                  <dt>{formatKey(reason)}</dt>
                  <dd>{formatNumber(count)}</dd>
                </div>
              ))}
            </dl>
          )}
        </div>
      </div>
      {report.findings.length > 0 && (
        <>
          <h3>Findings</h3>
          <ul class="findings">
            {report.findings.map(({ source, detail }) => (
              <li key={`${source} ${detail}`}>
                <span class="soft">{source}</span> {detail}
              </li>
            ))}
          </ul>
        </>
      )}
      <Figures tasks={report.tasks} />
    </>
  );
}

function Count(props: { name: string; value: number }): JSX.Element {
  return (
    <div>
      <dt>{props.name}</dt>
      <dd>{formatNumber(props.value)}</dd>
    </div>
  );
}

function Criteria(props: { report: PhaseReport }): JSX.Element {
  return (
    <div class="table">
      <table class="criteria">
        <thead>
          <tr>
            <th scope="col">Criterion</th>
            <th scope="col" class="right">
              Required
            </th>
            <th scope="col" class="right">
              Measured
            </th>
            <th scope="col" class="met">
              Result
            </th>
          </tr>
        </thead>
        <tbody>
          {props.report.criteria.map(({ name, required, measured, unit, met }) => (
            <tr key={name} class={met ? "s-succeeded" : "s-failed"}>
              <th scope="row">{formatKey(name)}</th>
              <td class="right">
                {formatNumber(required)} {unit}
              </td>
              <td class="right">
                {measured === null ? "not measured" : `${formatNumber(measured)} ${unit}`}
              </td>
              <td class="met">
                <StatusIcon status={met ? "succeeded" : "failed"} /> {met ? "met" : "missed"}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The measured figures of each task, by week. */
function Figures(props: { tasks: readonly ReportTask[] }): JSX.Element {
  const stages = run.value?.graph?.stages ?? [];
  const byKey = new Map(props.tasks.map((task) => [task.key, task]));
  const grouped = stages.map((stage) => ({
    title: stage.title,
    tasks: stage.tasks.map((key) => byKey.get(key)).filter((task) => task !== undefined),
  }));
  return (
    <>
      <h3>Figures by week</h3>
      <div class="figures">
        {grouped.map(({ title, tasks }) => (
          <details key={title}>
            <summary>
              {title} <span class="soft">{tasks.length} tasks</span>
            </summary>
            {tasks.map((task) => (
              <TaskFigures key={task.key} task={task} />
            ))}
          </details>
        ))}
      </div>
    </>
  );
}

function TaskFigures(props: { task: ReportTask }): JSX.Element {
  const { key, attempt, durationMs, figures } = props.task;
  const notes = [
    durationMs === null ? undefined : formatDuration(durationMs),
    attempt === null || attempt === 1 ? undefined : `attempt ${attempt}`,
  ];
  return (
    <div class="task-figures">
      <h4>
        {run.value?.tasks.get(key)?.title ?? formatKey(key)}{" "}
        <span class="soft">{notes.filter((note) => note !== undefined).join(", ")}</span>
      </h4>
      <dl class="pairs">
        {figuresOf(figures).map(([name, value]) => (
          <div key={name}>
            <dt>{name.split(".").map(formatKey).join(" · ")}</dt>
            <dd>{typeof value === "number" ? formatNumber(value) : value}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}
