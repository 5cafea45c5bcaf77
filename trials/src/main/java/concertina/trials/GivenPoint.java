package concertina.trials;

import concertina.search.Point;

/** A point that the user listed, under the user's own number. */
public record GivenPoint(int id, Point point) {}
