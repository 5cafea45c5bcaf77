-- What the algorithm of a search saved last, as an event like those of search_event; earlier states are of no use.
create table sampler_state (
    search text primary key,
    at text not null, -- ISO 8601, UTC
    event text not null
) strict;
