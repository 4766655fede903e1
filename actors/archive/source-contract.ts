/**
 * What every message source yields: records in a fixed order, or the reason why one cannot be taken.
 *
 * @module
 */

/** A body larger than this is rejected with `TOO_LARGE`; it bounds the memory of every reader. */
export const maxBodyBytes = 64 * 1024 * 1024;

export interface SourceUser {
  readonly sourceId: string;
  readonly username: string | null;
  readonly firstName: string | null;
  readonly lastName: string | null;
  readonly tags: string | null;
}

export interface SourceConversation {
  readonly sourceId: string;
  readonly title: string | null;
  readonly kind: string | null;
}

export interface SourceMedia {
  readonly sourceId: string;
  readonly kind: string | null;
  readonly url: string | null;
  readonly title: string | null;
  readonly description: string | null;
  readonly thumb: string | null;
  readonly checksum: string | null;
}

export interface SourceRecord {
  readonly type: "record";
  /** Ordinal in the source, from 1, the same at every reading; rejects count too. */
  readonly position: number;
  readonly sourceId: string;
  readonly conversation: SourceConversation;
  readonly user: SourceUser | null;
  readonly media: SourceMedia | null;
  readonly sentAt: Date;
  readonly editedAt: Date | null;
  readonly kind: string | null;
  /** `sourceId` of the message that this one answers; it need not be in the archive. */
  readonly replyTo: string | null;
  /** Exact bytes of the body: UTF-8 for sqlite and Telegram, the message as it stands for mail. */
  readonly content: Uint8Array;
}

/** Stable: stored in `archive.rejects` and compared by callers. */
export type RejectReason =
  | "NO_DATE"
  | "BAD_DATE"
  | "BAD_ENCODING"
  | "MISSING_ID"
  | "DUPLICATE_ID"
  | "DANGLING_REFERENCE"
  | "TOO_LARGE"
  | "BAD_RECORD";

export interface SourceReject {
  readonly type: "reject";
  readonly position: number;
  readonly sourceId: string | null;
  readonly reason: RejectReason;
  readonly detail: string;
}

export type SourceEntry = SourceRecord | SourceReject;

export interface ArchiveSource {
  readonly url: string;
  readonly format: "sqlite" | "telegram" | "mbox";
  /** Of the files that make up the source. */
  readonly sizeBytes: number;
  /**
   * Sizes and times of change of these files, as they were when the source was opened. Another
   * value means that positions may have shifted.
   */
  readonly fingerprint: string;
  /** Facts that are odd but harmless, one sentence each: unknown tables and columns. */
  readonly remarks: readonly string[];
  /** Entries in all where that is known without reading everything, else undefined. */
  readonly expected: number | undefined;
  /**
   * What a second record with the id of an earlier one is: `reject` for formats whose ids are keys;
   * `keep` for mail, where copies that differ in their bytes are all worth keeping.
   */
  readonly sameId: "reject" | "keep";
  /**
   * Entries in source order, the first one at position `after + 1`. Memory stays flat: at most a page of
   * 8 MiB plus the largest body. May be called again; every call reads from the files anew.
   * @throws {AgentError} `ARCHIVE_TRUNCATED`, `ARCHIVE_NOT_A_DATABASE`, `ARCHIVE_SCHEMA`, `ARCHIVE_UNREADABLE`
   */
  read(options?: { readonly after?: number }): AsyncIterable<SourceEntry>;
  close(): void;
}
