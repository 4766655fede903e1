/**
 * DEPLOYER.render_manifest: turns a short service description into Kubernetes objects.
 *
 * @module
 */

import { z } from "zod";
import { AgentError, type Json } from "../../../machines/error-code.ts";
import { capability } from "../../define-agent.ts";
import { jsonSchema } from "../json-schema.ts";

const serviceSchema = z.strictObject({
  name: z.string().regex(/^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/, "a DNS label"),
  image: z
    .string()
    .regex(/^[\w./-]+(:\d+\/[\w./-]+)?(:[\w.-]+|@sha256:[0-9a-f]{64})$/, "an image with a tag")
    .refine((image) => !image.endsWith(":latest"), "a fixed tag, not latest"),
  replicas: z.number().int().min(1).max(100),
  port: z.number().int().min(1).max(65_535),
  cpu: z.number().positive(),
  memoryMb: z.number().int().positive(),
});

export const renderManifest = capability({
  description: "Renders a Deployment and a Service from a service description, checked first",
  input: z.object({ config: z.string().max(10_000) }),
  output: z.object({ deployment: jsonSchema, service: jsonSchema }),
  connections: 0,
  run: async (_ctx, { config }) => renderService(parseConfig(config)),
});

function parseConfig(config: string): z.infer<typeof serviceSchema> {
  let value: unknown;
  try {
    value = JSON.parse(config);
  } catch (cause) {
    throw new AgentError("CONFIG_INVALID", `Cannot render the manifest: ${String(cause)}`, {
      cause,
    });
  }
  const parsed = serviceSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const details = parsed.error.issues.map((one) => `/${one.path.join("/")}: ${one.message}`);
  throw new AgentError("CONFIG_INVALID", `Cannot render the manifest: ${details.join("; ")}`);
}

function renderService(spec: z.infer<typeof serviceSchema>): { deployment: Json; service: Json } {
  const labels = { "app.kubernetes.io/name": spec.name };
  const metadata = { name: spec.name, labels };
  const resources = { cpu: `${Math.round(spec.cpu * 1_000)}m`, memory: `${spec.memoryMb}Mi` };
  const container = {
    name: spec.name,
    image: spec.image,
    ports: [{ containerPort: spec.port }],
    resources: { requests: resources, limits: { memory: resources.memory } },
    securityContext: { runAsNonRoot: true, allowPrivilegeEscalation: false },
    readinessProbe: { httpGet: { path: "/readyz", port: spec.port } },
    livenessProbe: { httpGet: { path: "/healthz", port: spec.port } },
  };
  const template = { metadata: { labels }, spec: { containers: [container] } };
  return {
    deployment: {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata,
      spec: { replicas: spec.replicas, selector: { matchLabels: labels }, template },
    },
    service: {
      apiVersion: "v1",
      kind: "Service",
      metadata,
      spec: { selector: labels, ports: [{ port: 80, targetPort: spec.port }] },
    },
  };
}
