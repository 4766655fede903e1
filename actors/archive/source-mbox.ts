/**
 * Reads mail: an mbox file, a maildir, or a folder with one RFC 5322 message per file.
 *
 * Sender becomes the user, mailing list (else folder) the conversation, Message-ID the id; a message
 * without one gets an id made of its bytes. The content is the message exactly as it stands, undecoded.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { AgentError } from "../../machines/error-code.ts";
import {
  inReplyTo,
  listId,
  mailDate,
  messageId,
  parseMailHeaders,
  sender,
} from "./mail-headers.ts";
import { splitMbox } from "./mbox-splitter.ts";
import {
  type ArchiveSource,
  maxBodyBytes,
  type SourceConversation,
  type SourceEntry,
} from "./source-contract.ts";
import { checkFile, type FileFacts, fileError, fingerprintOf } from "./source-file.ts";
import { storable } from "./source-values.ts";

/** Folders and files of a mail folder that are listed at most; bounds the memory of the list. */
const maxFiles = 5_000_000;

export async function openMbox(url: string, path: string): Promise<ArchiveSource> {
  const facts = await checkFile(path);
  return facts.isDirectory ? openFolder(url, path) : openMboxFile(url, path, facts);
}

async function openMboxFile(
  url: string,
  path: string,
  { sizeBytes, fingerprint }: FileFacts,
): Promise<ArchiveSource> {
  const head = Buffer.alloc(5);
  try {
    const file = await open(path, "r");
    await file.read(head, 0, head.length, 0);
    await file.close();
  } catch (error) {
    throw fileError(path, error);
  }
  if (head.toString("latin1") !== "From ") {
    throw new AgentError(
      "ARCHIVE_SCHEMA",
      `Cannot read "${path}" as mbox: its first line must start with "From "; for single messages name their folder`,
    );
  }
  const folder: SourceConversation = {
    sourceId: storable(basename(path)),
    title: storable(basename(path)),
    kind: "folder",
  };
  return {
    url,
    format: "mbox",
    sizeBytes,
    fingerprint,
    remarks: [],
    expected: undefined,
    sameId: "keep",
    close: () => undefined,
    read: (options) => readMboxFile(path, folder, options?.after ?? 0),
  };
}

async function* readMboxFile(
  path: string,
  folder: SourceConversation,
  after: number,
): AsyncGenerator<SourceEntry> {
  const stream = createReadStream(path, { highWaterMark: 256 * 1024 });
  let position = 0;
  try {
    for await (const part of splitMbox(stream, maxBodyBytes)) {
      position += 1;
      if (position <= after) continue;
      yield part.type === "message"
        ? toEntry(position, part.content, folder)
        : tooLarge(position, null, part.sizeBytes);
    }
  } catch (error) {
    throw fileError(path, error);
  } finally {
    stream.destroy();
  }
}

async function openFolder(url: string, path: string): Promise<ArchiveSource> {
  const files = await listMessages(path);
  if (files.length === 0) {
    throw new AgentError(
      "ARCHIVE_EMPTY",
      `Cannot read the archive "${path}": the folder holds no messages`,
    );
  }
  let sizeBytes = 0;
  const listing = createHash("sha256");
  for (const file of files) {
    const found = await stat(join(path, file)).catch((error: unknown) => {
      throw fileError(join(path, file), error);
    });
    sizeBytes += found.size;
    listing.update(`${file}\0${fingerprintOf(found)}\0`);
  }
  return {
    url,
    format: "mbox",
    sizeBytes,
    fingerprint: `${files.length} files, ${listing.digest("hex")}`,
    remarks: [],
    expected: files.length,
    sameId: "keep",
    close: () => undefined,
    read: (options) => readFolder(path, files, options?.after ?? 0),
  };
}

/** Paths below `root`, sorted by code unit, so that positions are the same on every machine. */
async function listMessages(root: string): Promise<string[]> {
  const files: string[] = [];
  const folders = [root];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    const at: string = folder;
    const entries = await readdir(at, { withFileTypes: true }).catch((error: unknown) => {
      throw fileError(at, error);
    });
    const names = new Set(entries.map((entry) => entry.name));
    const isMaildir = names.has("cur") && names.has("new");
    for (const entry of entries) {
      if (entry.name.startsWith(".") && entry.isFile()) continue;
      // `tmp` of a maildir holds deliveries that are not complete.
      if (entry.isDirectory() && !(isMaildir && entry.name === "tmp")) {
        folders.push(join(at, entry.name));
      }
      if (entry.isFile() && !isMaildir) files.push(relative(root, join(at, entry.name)));
    }
    if (files.length > maxFiles) {
      throw new AgentError(
        "ARCHIVE_UNREADABLE",
        `Cannot read the archive "${root}": it holds more than ${maxFiles} files, name a folder below it`,
      );
    }
  }
  return files.sort();
}

async function* readFolder(
  root: string,
  files: readonly string[],
  after: number,
): AsyncGenerator<SourceEntry> {
  for (let index = after; index < files.length; index += 1) {
    const file = files[index] ?? "";
    const path = join(root, file);
    try {
      const { size } = await stat(path);
      yield size > maxBodyBytes
        ? tooLarge(index + 1, file, size)
        : toEntry(index + 1, await readFile(path), folderOf(root, file));
    } catch (error) {
      throw fileError(path, error);
    }
  }
}

/** The folder that people see: `cur` and `new` of a maildir are the maildir itself. */
function folderOf(root: string, file: string): SourceConversation {
  const folder = dirname(file).replace(/(^|\/)(cur|new)$/, "");
  const name = storable(folder === "" || folder === "." ? basename(root) : folder);
  return { sourceId: name, title: name, kind: "folder" };
}

function tooLarge(position: number, sourceId: string | null, sizeBytes: number): SourceEntry {
  return {
    type: "reject",
    position,
    sourceId: sourceId === null ? null : storable(sourceId),
    reason: "TOO_LARGE",
    detail: `the message has ${sizeBytes} bytes, at most ${maxBodyBytes} are taken`,
  };
}

function toEntry(position: number, content: Buffer, folder: SourceConversation): SourceEntry {
  const headers = parseMailHeaders(content);
  const sourceId = messageId(headers) ?? `sha256-${sha256(content)}`;
  if (headers.size === 0) {
    return {
      type: "reject",
      position,
      sourceId: null,
      reason: "BAD_RECORD",
      detail: "the message has no header fields",
    };
  }
  const sentAt = mailDate(headers);
  if (typeof sentAt === "string") {
    return {
      type: "reject",
      position,
      sourceId,
      reason: sentAt,
      detail:
        sentAt === "NO_DATE"
          ? "the message has neither a Date nor a Received field"
          : "no Date or Received field of the message holds a date that can be read",
    };
  }
  const list = listId(headers);
  return {
    type: "record",
    position,
    sourceId,
    conversation: list === null ? folder : { sourceId: list, title: list, kind: "list" },
    user: sender(headers),
    media: null,
    sentAt,
    editedAt: null,
    kind: folder.title,
    replyTo: inReplyTo(headers),
    content,
  };
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
