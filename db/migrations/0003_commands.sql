CREATE TABLE "spectra"."bulk_commands" (
	"id" text PRIMARY KEY NOT NULL,
	"request" text NOT NULL,
	"body" jsonb NOT NULL,
	"matched" integer NOT NULL,
	"at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL
);
--> statement-breakpoint
ALTER TABLE "spectra"."commands" ADD COLUMN "answer" jsonb;--> statement-breakpoint
CREATE INDEX "commands_by_key" ON "spectra"."commands" USING btree ("key");