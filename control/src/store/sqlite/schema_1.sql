-- Documents. `key_id` names the master key of a sealed body.
CREATE TABLE record (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    etag INTEGER NOT NULL,
    key_id TEXT,
    body BLOB NOT NULL,
    created_ms INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT;
CREATE INDEX record_changed ON record (kind, changed_ms);
CREATE INDEX record_sealed ON record (key_id) WHERE key_id IS NOT NULL;

-- The last etag.
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO counter VALUES ('etag', 0);

CREATE TABLE object (
    hash BLOB NOT NULL UNIQUE,
    key_id TEXT,
    plain_bytes INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    bytes BLOB NOT NULL
) STRICT;
CREATE INDEX object_sealed ON object (key_id) WHERE key_id IS NOT NULL;

CREATE TABLE event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    time_ms INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    from_address TEXT NOT NULL,
    result TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX event_action ON event (action, seq);
CREATE INDEX event_actor ON event (actor, seq);
CREATE INDEX event_subject ON event (subject, seq);
CREATE TRIGGER event_is_never_changed BEFORE UPDATE ON event
    BEGIN SELECT RAISE(ABORT, 'events are never changed'); END;
CREATE TRIGGER event_is_never_removed BEFORE DELETE ON event
    BEGIN SELECT RAISE(ABORT, 'events are never removed'); END;

-- Ordered by time first: writes go to the end of a series, and old rows lie together. `sums` is what values.rs says.
CREATE TABLE rollup (
    series TEXT NOT NULL,
    bucket_ms INTEGER NOT NULL,
    key TEXT NOT NULL,
    sums BLOB NOT NULL,
    PRIMARY KEY (series, bucket_ms, key)
) STRICT, WITHOUT ROWID;

-- Numbers of frames that were counted, as ranges: one row per life of a sender, and one more per gap.
CREATE TABLE frame (
    node TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL,
    PRIMARY KEY (node, epoch, first)
) STRICT, WITHOUT ROWID;
CREATE INDEX frame_changed ON frame (changed_ms);
