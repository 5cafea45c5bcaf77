-- What happened to jobs, in the order of entry. The event's JSON names its alternative in the member "kind".
create table job_event (
    entry integer primary key autoincrement,
    job text not null,
    at text not null, -- ISO 8601, UTC
    event text not null
) strict;

create index job_event_of_job on job_event (job);

-- Numbers that are given out once, whatever is deleted elsewhere.
create table counter (
    name text primary key,
    last integer not null
) strict, without rowid;

create table user_account (
    name text primary key,
    password_hash text not null,
    role text not null check (role in ('USER', 'ADMIN')),
    created_at text not null -- ISO 8601, UTC
) strict, without rowid;

-- Tokens made worthless before they expire.
create table revoked_token (
    token_id text primary key,
    expires_at_epoch_millis integer not null
) strict, without rowid;

create index revoked_token_by_expiry on revoked_token (expires_at_epoch_millis);
