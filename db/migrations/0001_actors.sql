CREATE TABLE "spectra"."actor_mailbox" (
	"address" text NOT NULL,
	"seq" bigint NOT NULL,
	"sender" text NOT NULL,
	"sender_seq" bigint NOT NULL,
	"event" jsonb NOT NULL,
	"deaths" integer DEFAULT 0 NOT NULL,
	"at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "actor_mailbox_address_seq_pk" PRIMARY KEY("address","seq")
);
--> statement-breakpoint
CREATE TABLE "spectra"."actor_timers" (
	"address" text NOT NULL,
	"id" text NOT NULL,
	"event" jsonb NOT NULL,
	"policy" text NOT NULL,
	"delay_ms" bigint NOT NULL,
	"due_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "actor_timers_address_id_pk" PRIMARY KEY("address","id")
);
--> statement-breakpoint
CREATE TABLE "spectra"."actors" (
	"address" text PRIMARY KEY NOT NULL,
	"incarnation" bigint NOT NULL,
	"machine_id" text NOT NULL,
	"machine_version" text NOT NULL,
	"machine_hash" text NOT NULL,
	"format" integer NOT NULL,
	"seq" bigint NOT NULL,
	"snapshot" jsonb NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "spectra"."dead_letters" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL,
	"node" text NOT NULL,
	"sender" text,
	"target" text NOT NULL,
	"reason" text NOT NULL,
	"event" jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "spectra"."incidents" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL,
	"node" text NOT NULL,
	"address" text NOT NULL,
	"incarnation" bigint NOT NULL,
	"kind" text NOT NULL,
	"error" jsonb,
	"action" text NOT NULL,
	"detail" jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "spectra"."restart_counters" (
	"node" text NOT NULL,
	"supervisor" text NOT NULL,
	"restarts_at" jsonb NOT NULL,
	"children" jsonb NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "restart_counters_node_supervisor_pk" PRIMARY KEY("node","supervisor")
);
--> statement-breakpoint
ALTER TABLE "spectra"."tasks" ADD COLUMN "deaths" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
CREATE UNIQUE INDEX "actor_mailbox_sender" ON "spectra"."actor_mailbox" USING btree ("address","sender","sender_seq");--> statement-breakpoint
CREATE INDEX "dead_letters_at" ON "spectra"."dead_letters" USING btree ("at" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "incidents_at" ON "spectra"."incidents" USING btree ("at" DESC NULLS LAST);