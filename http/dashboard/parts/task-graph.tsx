/**
 * The tasks of a run as a graph: lanes for stages, edges in SVG, each task a button.
 *
 * @module
 */

import type { CSSProperties, JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { TaskView, WorkflowGraph } from "../../../runtime/system.ts";
import { durationBetween, formatDuration } from "../format.ts";
import { layoutGraph } from "../graph-layout.ts";
import { type Run, taskFraction } from "../model.ts";
import { go, nowMs, place } from "../store.ts";
import { StatusIcon, statusText } from "./status-icon.tsx";

/** Left and right of the sheet, in CSS pixels; room for focus rings. As in `tasks.css`. */
const FRAME_PADDING = 8;

export function TaskGraph(props: { run: Run; graph: WorkflowGraph }): JSX.Element {
  const frame = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const element = frame.current;
    if (element === null) return undefined;
    const observer = new ResizeObserver(() => setWidth(element.clientWidth - 2 * FRAME_PADDING));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  // The shape of a run never changes, so a new state of a task lays nothing out again.
  const shape = props.graph.stages.map((stage) => stage.tasks.join()).join("|");
  const layout = useMemo(
    () => (width === 0 ? undefined : layoutGraph(props.graph, width)),
    [shape, props.graph.edges.length, width],
  );
  const { tasks } = props.run;
  return (
    <div class="graph" ref={frame}>
      {layout !== undefined && (
        <div
          class="graph-sheet"
          style={{ width: `${layout.width}px`, height: `${layout.height}px` }}
        >
          {layout.lanes.map((lane) => (
            <div
              key={lane.name}
              class="lane"
              style={{ left: `${lane.x}px`, width: `${lane.width}px` }}
            >
              {lane.title}
            </div>
          ))}
          <svg
            class="edges"
            width={layout.width}
            height={layout.height}
            viewBox={`0 0 ${layout.width} ${layout.height}`}
            aria-hidden="true"
          >
            <defs>
              {["rest", "done", "live"].map((kind) => (
                <marker
                  key={kind}
                  id={`arrow-${kind}`}
                  class={`arrow ${kind}`}
                  viewBox="0 0 8 8"
                  refX="6.5"
                  refY="4"
                  markerWidth="7"
                  markerHeight="7"
                  orient="auto"
                >
                  <path d="M0 .8 7 4 0 7.2Z" />
                </marker>
              ))}
            </defs>
            {layout.edges.map((edge) => {
              const kind = edgeKind(tasks.get(edge.from), tasks.get(edge.to));
              return (
                <path
                  key={`${edge.from}>${edge.to}`}
                  d={edge.path}
                  class={`edge ${kind}`}
                  marker-end={`url(#arrow-${kind})`}
                />
              );
            })}
          </svg>
          {layout.nodes.map((node) => {
            const task = tasks.get(node.key);
            return task === undefined ? null : (
              <TaskNode
                key={node.key}
                task={task}
                style={{
                  left: `${node.x}px`,
                  top: `${node.y}px`,
                  width: `${layout.nodeWidth}px`,
                  height: `${layout.nodeHeight}px`,
                }}
              />
            );
          })}
        </div>
      )}
    </div>
  );
}

function edgeKind(from: TaskView | undefined, to: TaskView | undefined): "rest" | "done" | "live" {
  if (from?.status !== "succeeded" && from?.status !== "skipped") return "rest";
  return to?.status === "running" || to?.status === "dispatched" ? "live" : "done";
}

/** The state in words: `running 42 %`, `succeeded in 3.2 s`. */
export function taskStateText(task: TaskView, now: number): string {
  const lasted = durationBetween(task.startedAt, task.finishedAt, now);
  const fraction = taskFraction(task);
  if (task.status === "running") {
    if (fraction !== undefined) return `running ${Math.floor(fraction * 100)} %`;
    return lasted === undefined
      ? "running"
      : `running ${formatDuration(Math.floor(lasted / 1_000) * 1_000)}`;
  }
  if (task.status === "parked") return statusText(task.status);
  if (task.finishedAt !== null && lasted !== undefined) {
    return task.status === "succeeded"
      ? `done in ${formatDuration(lasted)}`
      : `${task.status} after ${formatDuration(lasted)}`;
  }
  return task.status;
}

function TaskNode(props: { task: TaskView; style: CSSProperties }): JSX.Element {
  const { task } = props;
  const fraction = taskFraction(task);
  const text = taskStateText(task, nowMs.value);
  const isSelected = place.value.task === task.key;
  return (
    <button
      type="button"
      class={`node s-${task.status}`}
      style={props.style}
      aria-pressed={isSelected}
      aria-label={`${task.title}, ${task.agent || task.kind}, ${text}`}
      data-task={task.key}
      onClick={() => go({ task: isSelected ? undefined : task.key })}
    >
      <span class="node-title">{task.title}</span>
      <span class="node-agent">{task.agent || task.kind}</span>
      <span class="node-state">
        <StatusIcon status={task.status} fraction={fraction} />
        {text}
        {task.attempt > 1 && <em title={`attempt ${task.attempt}`}>×{task.attempt}</em>}
      </span>
      {task.status === "running" && fraction !== undefined && (
        <i class="node-bar" style={{ width: `${fraction * 100}%` }} aria-hidden="true" />
      )}
    </button>
  );
}
