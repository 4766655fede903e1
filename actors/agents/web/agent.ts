/**
 * WEB: writes web pages and checks them for accessibility.
 *
 * @module
 */

import { defineAgent } from "../../define-agent.ts";
import { arriveAtBarrier } from "../arrive-at-barrier.ts";
import { auditPage } from "./audit-page.ts";
import { renderApiPage } from "./render-api-page.ts";

export const web = defineAgent({
  name: "WEB",
  category: "frontend",
  description: "writes web pages and checks them for accessibility",
  skills: ["web_interface", "dashboard_development", "user_experience"],
  concurrency: 2,
  resources: { cpu: 0.5, memoryMb: 1024 },
  limits: { unresponsiveMs: 1_000 },
  permissions: {},
  dependsOn: ["APIDESIGNER"],
  capabilities: {
    render_api_page: renderApiPage,
    audit_page: auditPage,
    arrive_at_barrier: arriveAtBarrier,
  },
});
