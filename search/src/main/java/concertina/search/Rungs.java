package concertina.search;

import concertina.model.ConcertinaException;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalDouble;
import java.util.OptionalLong;

/**
 * The amounts of a resource at which trials are compared: the greatest one, and below it by factors of {@code eta}, down to no less than
 * the smallest. Amounts are whole where the greatest and the smallest are, as epochs are.
 *
 * @param amounts ascending; the last is the greatest
 * @param eta of {@code eta} trials one goes on
 */
record Rungs(List<Double> amounts, double eta) {
    private static final int MOST = 100;

    /**
     * @param smallest what a trial gets at least, more than 0
     * @param greatest what a trial gets at most, no less than {@code smallest}
     * @param eta more than 1
     */
    static Rungs of(double smallest, double greatest, double eta) {
        if (!(smallest > 0) || !Double.isFinite(smallest)) {
            throw ConcertinaException.invalid("smallest resource", Double.toString(smallest), "more than 0");
        }
        if (!(greatest >= smallest) || !Double.isFinite(greatest)) {
            throw ConcertinaException.invalid(
                    "ResourceValue", Double.toString(greatest), "a number, no less than " + smallest);
        }
        if (!(eta > 1) || !Double.isFinite(eta)) {
            throw ConcertinaException.invalid("eta", Double.toString(eta), "a number greater than 1");
        }
        if (Math.log(greatest / smallest) > MOST * Math.log(eta)) {
            throw ConcertinaException.invalid(
                    "eta",
                    Double.toString(eta),
                    "a number with which " + MOST + " steps lead from " + smallest + " to " + greatest);
        }
        boolean whole = Math.rint(greatest) == greatest && Math.rint(smallest) == smallest;
        List<Double> amounts = new ArrayList<>();
        double amount = greatest;
        while (amount >= smallest * (1 - 1e-9)) {
            double rounded = whole ? Math.max(Math.rint(amount), smallest) : amount;
            if (amounts.isEmpty() || rounded < amounts.getFirst()) {
                amounts.addFirst(rounded);
            }
            amount /= eta;
        }
        return new Rungs(List.copyOf(amounts), eta);
    }

    int count() {
        return amounts.size();
    }

    /** Which rung a trial belongs to; -1 for none. */
    int level(Trial trial) {
        OptionalDouble resource = trial.resource();
        return resource.isPresent() ? amounts.indexOf(resource.getAsDouble()) : -1;
    }

    /** How many of this many results go on. */
    int places(int results) {
        return (int) Math.floor(results / eta * (1 + 1e-12));
    }

    /** An amount as users write it. */
    String text(int level) {
        double amount = amounts.get(level);
        return amount == Math.rint(amount) ? Long.toString((long) amount) : Double.toString(amount);
    }

    /** A new point that gets the amount of a level. */
    Suggestion begin(Suggestion point, int level) {
        return new Suggestion(
                point.point(),
                OptionalDouble.of(amounts.get(level)),
                OptionalLong.empty(),
                point.reason() + "; begins with " + text(level));
    }

    /** A trial of a level that gets the amount of the next. */
    Suggestion promote(Rung.Candidate candidate, int level) {
        return new Suggestion(
                candidate.point(),
                OptionalDouble.of(amounts.get(level + 1)),
                OptionalLong.of(candidate.number()),
                "trial " + candidate.number() + " is number " + candidate.place() + " of the " + candidate.results()
                        + " that got " + text(level) + "; it goes on to " + text(level + 1));
    }
}
