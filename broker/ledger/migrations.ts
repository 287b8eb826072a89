/**
 * The schema as the steps that led to it, forward only: a step that was released is never changed. The database's
 * `user_version` is the number of steps it has seen.
 *
 * Records are appended by rowid, and issuance rows by serial numbers that ascend with time (design §7), so both B-trees
 * grow at their right edge.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    authorities INTEGER NOT NULL,
    record TEXT NOT NULL,
    hash TEXT NOT NULL
  ) STRICT;

  CREATE TABLE chain (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    key_id TEXT NOT NULL,
    pruned_seq INTEGER NOT NULL,
    pruned_hash TEXT NOT NULL,
    pruned_seal TEXT NOT NULL
  ) STRICT;

  CREATE TABLE issuance (
    serial_number TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    spiffe_id TEXT NOT NULL,
    node_name TEXT NOT NULL,
    namespace TEXT NOT NULL,
    service_account TEXT NOT NULL,
    pod_uid TEXT NOT NULL,
    public_key_sha256 TEXT NOT NULL,
    authority_key_id TEXT NOT NULL,
    not_after INTEGER NOT NULL,
    outcome TEXT NOT NULL DEFAULT 'intended',
    ended_at INTEGER
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE holder (
    node_name TEXT PRIMARY KEY,
    not_after INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE authorities (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    document TEXT NOT NULL
  ) STRICT;
  `,
]
