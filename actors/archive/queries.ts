/**
 * The read queries that the archive is designed for: indexes exist for these, baselines measure these.
 *
 * Each query also says how the same answer is found by reading the whole source, which is what it is
 * compared with.
 *
 * @module
 */

import type { SourceRecord } from "./source-contract.ts";

export type QueryWeight = "light" | "medium" | "heavy";

/** Values that exist in the archive, so that no query runs on nothing. */
export interface QuerySubject {
  readonly messageId: number;
  readonly sourceId: string;
  readonly userId: number;
  readonly userSourceId: string;
  readonly conversationId: number;
  readonly conversationSourceId: string;
  /** Window of time, `from` inclusive, `to` exclusive. */
  readonly from: Date;
  readonly to: Date;
}

export interface DeclaredQuery {
  readonly name: string;
  readonly weight: QueryWeight;
  /** What people ask with it. */
  readonly description: string;
  /** Parameters are `$1`…; `parameters` gives them in order. */
  readonly sql: string;
  parameters(subject: QuerySubject): readonly (string | number | Date)[];
  /** True for a source record that belongs to the answer. */
  matches(record: SourceRecord, subject: QuerySubject): boolean;
}

const inWindow = (record: SourceRecord, subject: QuerySubject): boolean =>
  record.sentAt >= subject.from && record.sentAt < subject.to;

export const declaredQueries: readonly DeclaredQuery[] = [
  {
    name: "message_with_body",
    weight: "light",
    description: "one message by its id in the source, with its stored body",
    sql: `select m.id, m.sent_at, m.body_bytes, b.raw, c.codec, c.dictionary_id, c.data
      from archive.messages m
      left join archive.bodies b on b.message_id = m.id
      left join archive.compressed_bodies c on c.message_id = m.id
      where m.source_id = $1`,
    parameters: ({ sourceId }) => [sourceId],
    matches: (record, { sourceId }) => record.sourceId === sourceId,
  },
  {
    name: "user_recent",
    weight: "light",
    description: "the 20 newest messages of one user",
    sql: `select id, source_id, sent_at, kind, body_bytes from archive.messages
      where user_id = $1 order by sent_at desc limit 20`,
    parameters: ({ userId }) => [userId],
    matches: (record, { userSourceId }) => record.user?.sourceId === userSourceId,
  },
  {
    name: "conversation_page",
    weight: "medium",
    description: "the 100 newest messages of a conversation in a window of time, with sender names",
    sql: `select m.id, m.source_id, m.sent_at, m.body_bytes, u.username, u.first_name
      from archive.messages m left join archive.users u on u.id = m.user_id
      where m.conversation_id = $1 and m.sent_at >= $2 and m.sent_at < $3
      order by m.sent_at desc limit 100`,
    parameters: ({ conversationId, from, to }) => [conversationId, from, to],
    matches: (record, subject) =>
      record.conversation.sourceId === subject.conversationSourceId && inWindow(record, subject),
  },
  {
    name: "senders_in_window",
    weight: "medium",
    description: "the 20 senders with most messages in a window of time",
    sql: `select m.user_id, u.username, count(*) as messages, sum(m.body_bytes) as bytes
      from archive.messages m join archive.users u on u.id = m.user_id
      where m.sent_at >= $1 and m.sent_at < $2
      group by m.user_id, u.username order by messages desc, m.user_id limit 20`,
    parameters: ({ from, to }) => [from, to],
    matches: inWindow,
  },
  {
    name: "months",
    weight: "heavy",
    description: "messages, bytes and senders of every month",
    sql: `select date_trunc('month', sent_at, 'UTC') as month, count(*) as messages,
        sum(body_bytes) as bytes, count(distinct user_id) as senders
      from archive.messages group by 1 order by 1`,
    parameters: () => [],
    matches: () => true,
  },
  {
    name: "kinds_by_conversation",
    weight: "heavy",
    description: "messages and mean size of every kind in every conversation",
    sql: `select conversation_id, kind, count(*) as messages, avg(body_bytes) as mean_bytes,
        min(sent_at) as first_at, max(sent_at) as last_at
      from archive.messages group by 1, 2 order by messages desc`,
    parameters: () => [],
    matches: () => true,
  },
];
