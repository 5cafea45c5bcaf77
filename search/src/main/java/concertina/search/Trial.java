package concertina.search;

import java.util.Arrays;
import java.util.OptionalDouble;
import java.util.OptionalLong;

/**
 * One point that is being tried or was, as a sampler sees it.
 *
 * @param number counts from 0 in the order of asking; never given twice
 * @param resource how much of the resource (epochs, samples) the trial was given; empty where the method has none
 * @param parent number of the trial whose result this one went on from; empty for a fresh start
 */
public record Trial(long number, Point point, OptionalDouble resource, OptionalLong parent, State state) {
    /** What came of a trial. */
    public sealed interface State {
        /** It runs; its result may come in any order and long after others. */
        record Running() implements State {}

        /**
         * It ended with results.
         *
         * @param losses one per objective, all to be minimised; finite
         * @param violations one per constraint, met where at most 0
         */
        record Complete(double[] losses, double[] violations) implements State {
            @Override
            public boolean equals(Object other) {
                return other instanceof Complete(double[] otherLosses, double[] otherViolations)
                        && Arrays.equals(losses, otherLosses)
                        && Arrays.equals(violations, otherViolations);
            }

            @Override
            public int hashCode() {
                return 31 * Arrays.hashCode(losses) + Arrays.hashCode(violations);
            }

            @Override
            public String toString() {
                return "Complete[losses=" + Arrays.toString(losses) + ", violations=" + Arrays.toString(violations)
                        + "]";
            }
        }

        /**
         * It was stopped early because others were better.
         *
         * @param step the last step it reported
         * @param loss what it reported there, of the first objective
         */
        record Stopped(double step, double loss) implements State {}

        /** It crashed, was killed, or its result is no number. */
        record Failed() implements State {}
    }
}
