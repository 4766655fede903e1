/**
 * The workflow `demo`: a tour of the ways in which agents work together, on small real tasks.
 * It needs no archive: it works on the texts below and on the running system's own tables.
 *
 * @module
 */

import { defineStatechart, item, output, type StageDefinition } from "../define-workflow.ts";

const handoff: StageDefinition = {
  title: "Sequential handoff: each agent takes over what the one before made",
  tasks: {
    design_api: {
      do: "APIDESIGNER.describe_endpoints",
      title: "APIDESIGNER derives endpoints from the fields of a message",
      with: {
        resource: "message",
        fields: {
          subject: { type: "string", required: true },
          sentAt: { type: "date-time", required: true },
          sizeBytes: { type: "integer" },
          starred: { type: "boolean" },
        },
      },
    },
    write_page: {
      do: "WEB.render_api_page",
      title: "WEB takes the endpoints over and writes a page about them",
      after: ["design_api"],
      with: { title: output("design_api", "title"), endpoints: output("design_api", "endpoints") },
    },
    audit_page: {
      do: "WEB.audit_page",
      title: "WEB checks the page for accessibility",
      after: ["write_page"],
      with: { html: output("write_page", "html") },
    },
  },
};

const SPEC_TEXT =
  "An orchestrator runs agents. Agents carry out tasks of a workflow. A supervisor restarts agents " +
  "that fail, and the workflow goes on where it stopped. Every result of a task is stored.";
const MAIL_TEXT =
  "Hello, the workflow of last night stopped when an agent failed. The supervisor started the agent " +
  "again, and the workflow went on with the next task. Call +44 20 7946 0958 or write to ops@example.com.";

const parallel: StageDefinition = {
  title: "Parallel execution with merge: four agents at once, then one result",
  tasks: {
    profile_specification: {
      do: "DATASCIENCE.profile_text",
      title: "DATASCIENCE counts the words of a specification",
      with: { text: SPEC_TEXT },
    },
    profile_mail: {
      do: "DATASCIENCE.profile_text",
      title: "DATASCIENCE counts the words of a mail",
      with: { text: MAIL_TEXT },
    },
    scan_mail: {
      do: "SECURITY.scan_text",
      title: "SECURITY counts the personal data in the mail",
      with: { text: MAIL_TEXT },
    },
    system_health: {
      do: "MONITOR.report_system_health",
      title: "MONITOR reads the health of this very system",
    },
    merge_texts: {
      do: "DATASCIENCE.compare_profiles",
      title: "DATASCIENCE merges both profiles: how alike are the texts?",
      after: ["profile_specification", "profile_mail", "scan_mail", "system_health"],
      with: { left: output("profile_specification"), right: output("profile_mail") },
    },
  },
};

const SERVICE_CONFIG = `{
  "name": "archive-api",
  "image": "registry.example.com/archive-api:1.4.0",
  "replicas": 1,
  "port": 8080,
  "cpu": 0.5,
  "memoryMb": 256
}
`;
const SERVICE_PATCH = `--- a/service.json
+++ b/service.json
@@ -1,7 +1,7 @@
 {
   "name": "archive-api",
-  "image": "registry.example.com/archive-api:1.4.0",
-  "replicas": 1,
+  "image": "registry.example.com/archive-api:1.5.0",
+  "replicas": 3,
   "port": 8080,
   "cpu": 0.5,
   "memoryMb": 256
`;

const pipeline: StageDefinition = {
  title: "Pipeline: a change flows from a patch to the objects that it deploys",
  tasks: {
    render_current: {
      do: "DEPLOYER.render_manifest",
      title: "DEPLOYER renders the service as it runs now",
      with: { config: SERVICE_CONFIG },
    },
    patch_config: {
      do: "PATCHER.apply_patch",
      title: "PATCHER applies a change to the service's configuration",
      with: { text: SERVICE_CONFIG, patch: SERVICE_PATCH },
    },
    render_patched: {
      do: "DEPLOYER.render_manifest",
      title: "DEPLOYER renders the patched service",
      after: ["patch_config"],
      with: { config: output("patch_config", "text") },
    },
    compare_rollout: {
      do: "DEPLOYER.compare_manifests",
      title: "DEPLOYER lists what the roll-out would change",
      after: ["render_current", "render_patched"],
      with: {
        before: output("render_current", "deployment"),
        after: output("render_patched", "deployment"),
      },
    },
  },
};

const workers: StageDefinition = {
  title: "Director and workers: one divides the work, three do it, one collects",
  tasks: {
    divide_tables: {
      do: "DIRECTOR.divide_work",
      title: "DIRECTOR divides the system's own tables among three workers",
      with: { schema: "spectra", workers: 3 },
    },
    inspect_tables: {
      do: "DEBUGGER.inspect_tables",
      title: "A worker for each part counts and measures its tables",
      after: ["divide_tables"],
      forEach: output("divide_tables", "parts"),
      with: { tables: item("tables") },
    },
    collect_tables: {
      do: "PROJECTORCHESTRATOR.collect_findings",
      title: "PROJECTORCHESTRATOR adds up what the workers found, in their order",
      after: ["inspect_tables"],
      with: { reports: output("inspect_tables") },
    },
  },
};

function arrival(agent: string): StageDefinition["tasks"][string] {
  return {
    do: `${agent}.arrive_at_barrier`,
    title: `${agent} arrives at the barrier`,
    after: ["open_barrier"],
    with: { barrier: "demo" },
  };
}

const barrier: StageDefinition = {
  title: "Barrier: nobody goes on before all have arrived",
  tasks: {
    open_barrier: {
      do: "PROJECTORCHESTRATOR.open_barrier",
      title: "PROJECTORCHESTRATOR sets a barrier for three agents",
      with: {
        barrier: "demo",
        participants: ["WEB", "SECURITY", "MONITOR"],
        timeoutMs: 86_400_000,
      },
    },
    web_arrives: arrival("WEB"),
    security_arrives: arrival("SECURITY"),
    monitor_arrives: arrival("MONITOR"),
    close_barrier: {
      do: "PROJECTORCHESTRATOR.close_barrier",
      title: "PROJECTORCHESTRATOR comes last and finds the barrier open",
      after: ["web_arrives", "security_arrives", "monitor_arrives"],
      with: { barrier: "demo" },
    },
  },
};

const vote: StageDefinition = {
  title: "Vote: two of three agents must agree to publish the page",
  tasks: {
    publish_decision: {
      do: "PROJECTORCHESTRATOR.call_vote",
      title: "DIRECTOR, SECURITY and TESTBED each judge the page of the first step",
      with: {
        proposal: {
          kind: "publish_page",
          title: output("design_api", "title"),
          html: output("write_page", "html"),
          topics: output("write_page", "topics"),
        },
        voters: ["DIRECTOR", "SECURITY", "TESTBED"],
        required: 2,
      },
    },
  },
};

export const demo = defineStatechart({
  id: "demo",
  title: "Tour of the coordination patterns",
  stages: { handoff, parallel, pipeline, workers, barrier, vote },
});
