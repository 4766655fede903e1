/**
 * The agents of the node, one card each.
 *
 * @module
 */

import type { JSX } from "preact";
import type { AgentView } from "../../../runtime/system.ts";
import { formatDuration, formatKey, formatPercent } from "../format.ts";
import { model } from "../store.ts";

const MEGABYTE = 1_048_576;

export function Agents(): JSX.Element {
  const agents = [...model.value.agents.values()];
  const busy = agents.filter((agent) => agent.inFlight > 0).length;
  return (
    <section class="block" aria-labelledby="agents-title">
      <div class="block-head">
        <h2 id="agents-title">Agents</h2>
        <p class="soft">
          {agents.length} agents, {busy} busy
        </p>
      </div>
      {agents.length === 0 ? (
        <p class="empty">No agent has reported yet.</p>
      ) : (
        <ul class="agents">
          {agents.map((agent) => (
            <Agent key={agent.name} agent={agent} />
          ))}
        </ul>
      )}
    </section>
  );
}

function toneOf({ status, health, inFlight }: AgentView): string {
  if (status === "failed" || health === "unhealthy") return "bad";
  if (status !== "running") return status === "stopped" ? "idle" : "warn";
  if (health === "unknown") return "warn";
  return inFlight > 0 ? "busy" : "good";
}

function stateText(agent: AgentView): string {
  if (agent.status !== "running") return agent.status;
  if (agent.health !== "healthy") return agent.health === "unknown" ? "not heard of" : "unhealthy";
  return agent.inFlight > 0 ? "working" : "idle";
}

function Agent(props: { agent: AgentView }): JSX.Element {
  const { agent } = props;
  return (
    <li class={`agent ${toneOf(agent)}`} title={agent.description}>
      <h3>{agent.name}</h3>
      <p class="agent-state">
        <i aria-hidden="true" />
        {stateText(agent)}
        <span class="soft">{formatKey(agent.category)}</span>
      </p>
      <dl>
        <Figure name="In flight" value={`${agent.inFlight}/${agent.concurrency}`} />
        <Figure
          name="Success"
          value={agent.successRate === null ? "–" : formatPercent(agent.successRate)}
        />
        <Figure
          name="Average"
          value={agent.averageMs === null ? "–" : formatDuration(agent.averageMs)}
        />
        <Figure name="Restarts" value={String(agent.restarts)} tone={agent.restarts > 0} />
        <Figure
          name="Heap"
          value={
            agent.figures === null ? "–" : `${Math.round(agent.figures.heapBytes / MEGABYTE)} MB`
          }
        />
        <Figure name="Thread" value={agent.threadId === null ? "–" : String(agent.threadId)} />
      </dl>
    </li>
  );
}

function Figure(props: { name: string; value: string; tone?: boolean }): JSX.Element {
  return (
    <div class={props.tone === true ? "noted" : ""}>
      <dt>{props.name}</dt>
      <dd>{props.value}</dd>
    </div>
  );
}
