/**
 * A statechart as a drawing: boxes one below the other, arrows at their right.
 *
 * @module
 */

import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { MachineState, MachineTransition } from "../../../runtime/system.ts";
import { type ChartBox, layoutChart } from "../chart-layout.ts";

export function Chart({ root }: { root: MachineState }): JSX.Element {
  const frame = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const element = frame.current;
    if (element === null) return undefined;
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const layout = useMemo(() => (width === 0 ? undefined : layoutChart(root, width)), [root, width]);
  return (
    <>
      {root.transitions.length > 0 && (
        <ul class="chart-always" aria-label="In every state">
          {root.transitions.map((transition, index) => (
            <Line key={index} transition={transition} />
          ))}
        </ul>
      )}
      <div class="chart" ref={frame}>
        {layout !== undefined && (
          <div
            class="chart-sheet"
            style={{ width: `${layout.width}px`, height: `${layout.height}px` }}
          >
            <svg width={layout.width} height={layout.height} aria-hidden="true">
              <defs>
                <Arrowhead id="chart-arrow" />
                <Arrowhead id="chart-arrow-active" />
              </defs>
              {layout.arrows.map(({ key, path, isActive }) => (
                <path
                  key={key}
                  d={path}
                  class={isActive ? "active" : ""}
                  marker-end={isActive ? "url(#chart-arrow-active)" : "url(#chart-arrow)"}
                />
              ))}
            </svg>
            {layout.boxes.map((box) => (
              <Box key={box.state.id} box={box} />
            ))}
          </div>
        )}
      </div>
    </>
  );
}

function Box({ box }: { box: ChartBox }): JSX.Element {
  const { state, lines, more } = box;
  const doing = [...state.invokes.map(({ src }) => src), ...state.entry];
  return (
    <div
      class={`chart-state ${state.type}${state.active ? " active" : ""}`}
      role="group"
      aria-label={`State ${state.key}${state.active ? ", active" : ""}`}
      style={{
        left: `${box.x}px`,
        top: `${box.y}px`,
        width: `${box.width}px`,
        height: `${box.height}px`,
      }}
    >
      <p>
        <strong>{state.key}</strong>
        {state.active && <em>active</em>}
        {doing.length > 0 && <small class="soft">{doing.join(", ")}</small>}
      </p>
      <ul>
        {lines.map((transition, index) => (
          <Line key={index} transition={transition} />
        ))}
        {more > 0 && <li class="soft">{more} more</li>}
      </ul>
    </div>
  );
}

/** XState's own events in short: `handoff done`, `after 500`. */
function eventText(event: string): string {
  const [, result, actor] = /^xstate\.(done|error)\.actor\.(.+)$/.exec(event) ?? [];
  if (result !== undefined) return `${actor} ${result}`;
  const [, delay] = /^xstate\.after\.([^.]+)\./.exec(event) ?? [];
  return delay === undefined ? event : `after ${delay}`;
}

function Line({ transition }: { transition: MachineTransition }): JSX.Element {
  const { event, guard, targets, actions } = transition;
  const to = targets.map((id) => id.split(".").at(-1)).join(", ");
  const text = `${eventText(event)}${guard === undefined ? "" : ` [${guard}]`}${to === "" ? "" : ` → ${to}`}`;
  return <li title={actions.length === 0 ? text : `${text} / ${actions.join(", ")}`}>{text}</li>;
}

function Arrowhead({ id }: { id: string }): JSX.Element {
  return (
    <marker
      id={id}
      viewBox="0 0 8 8"
      refX="6"
      refY="4"
      markerWidth="7"
      markerHeight="7"
      orient="auto"
    >
      <path d="M0 .8 7 4 0 7.2Z" />
    </marker>
  );
}
