-- What happened to searches, in the order of entry. The event's JSON names its alternative in the member "kind".
create table search_event (
    entry integer primary key autoincrement,
    search text not null,
    at text not null, -- ISO 8601, UTC
    event text not null
) strict;

create index search_event_of_search on search_event (search);
