/**
 * The same tasks as a list: the twin of the graph for phones, for the keyboard and for screen readers.
 *
 * @module
 */

import type { JSX } from "preact";
import { type Run, taskFraction } from "../model.ts";
import { addressOf, go, nowMs, place } from "../store.ts";
import { StatusIcon } from "./status-icon.tsx";
import { taskStateText } from "./task-graph.tsx";

export function TaskList(props: { run: Run }): JSX.Element {
  const { tasks, graph } = props.run;
  const stages = graph?.stages ?? [{ name: "all", title: "All tasks", tasks: [...tasks.keys()] }];
  return (
    <div class="task-list">
      {stages.map((stage) => (
        <section key={stage.name} aria-label={stage.title}>
          <h3>{stage.title}</h3>
          <ol>
            {stage.tasks.map((key) => {
              const task = tasks.get(key);
              return task === undefined ? null : (
                <li key={key}>
                  <a
                    href={addressOf({ task: key })}
                    class={`s-${task.status}`}
                    aria-current={place.value.task === key ? "true" : undefined}
                    onClick={(event) => {
                      if (event.ctrlKey || event.metaKey) return;
                      event.preventDefault();
                      go({ task: key });
                    }}
                  >
                    <StatusIcon status={task.status} fraction={taskFraction(task)} />
                    <span class="task-title">{task.title}</span>
                    <span class="task-agent">{task.agent || task.kind}</span>
                    <span class="task-state">{taskStateText(task, nowMs.value)}</span>
                  </a>
                </li>
              );
            })}
          </ol>
        </section>
      ))}
    </div>
  );
}
