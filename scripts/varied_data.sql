-- Data of every kind for the demo and the benchmark: about 380 MB times :scale, made in seconds.
-- Needs the tablespace "archive". Run by psql with -v scale=N.

CREATE TABLE customers (
    customer_id bigint PRIMARY KEY,
    external_id uuid NOT NULL,
    name text NOT NULL,
    tags text[] NOT NULL,
    visits integer[] NOT NULL,
    profile jsonb NOT NULL);
INSERT INTO customers
SELECT i, md5('customer ' || i)::uuid, 'Customer ' || md5(i::text),
       ARRAY['tag' || i % 7, 'tag' || i % 11, 'segment ' || i % 101],
       ARRAY[i % 13, i % 17, i % 19, i],
       jsonb_build_object('city', 'city ' || i % 997, 'active', i % 3 = 0, 'score', i % 1000 / 10.0,
                          'address', jsonb_build_object('street', md5((i * 3)::text), 'number', i % 300))
FROM generate_series(1, 400000 * :scale) AS i;
CREATE UNIQUE INDEX ON customers (external_id);

-- Long values out of line, as they are: half of each repeats itself, half does not.
CREATE TABLE documents (document_id bigint PRIMARY KEY, title text NOT NULL, body text NOT NULL);
ALTER TABLE documents ALTER COLUMN body SET STORAGE EXTERNAL;
INSERT INTO documents
SELECT i, 'Document ' || i, repeat(md5(i::text) || ' lorem ipsum dolor sit amet ', 80) ||
       (SELECT string_agg(md5((i * 100 + j)::text), '') FROM generate_series(1, 120) AS j)
FROM generate_series(1, 12000 * :scale) AS i;

-- Long values that PostgreSQL compresses.
CREATE TABLE reports (report_id bigint PRIMARY KEY, body text NOT NULL);
INSERT INTO reports
SELECT i, repeat('row ' || md5(i::text) || ' of a report with figures ' || i, 300)
FROM generate_series(1, 6000 * :scale) AS i;

CREATE TABLE pictures (picture_id bigint PRIMARY KEY, object oid NOT NULL);
INSERT INTO pictures
SELECT i, lo_from_bytea(0, (SELECT string_agg(sha256((i * 10000 + j)::text::bytea), ''::bytea)
                            FROM generate_series(1, 4096) AS j))
FROM generate_series(1, 300 * :scale) AS i;

CREATE TABLE events (
    event_id bigint PRIMARY KEY USING INDEX TABLESPACE archive,
    happened_at timestamptz NOT NULL,
    reading double precision,
    payload bytea) TABLESPACE archive;
INSERT INTO events
SELECT i, timestamptz '2024-01-01 00:00+00' + i * interval '7 seconds', sin(i),
       CASE WHEN i % 5 = 0 THEN sha256(i::text::bytea) END
FROM generate_series(1, 600000 * :scale) AS i;
CREATE INDEX ON events USING brin (happened_at) TABLESPACE archive;

-- Empty after a restore, as after a crash.
CREATE UNLOGGED TABLE page_cache (url text PRIMARY KEY, html text NOT NULL);
INSERT INTO page_cache
SELECT 'https://example.org/' || i, repeat(md5(i::text), 6)
FROM generate_series(1, 60000 * :scale) AS i;

CREATE VIEW active_customers AS SELECT customer_id, name FROM customers WHERE (profile ->> 'active')::boolean;
CREATE SEQUENCE invoice_numbers START 1000;
SELECT setval('invoice_numbers', 4711);
VACUUM ANALYZE;
