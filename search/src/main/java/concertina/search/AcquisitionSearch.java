package concertina.search;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.function.Predicate;
import java.util.random.RandomGenerator;
import java.util.stream.IntStream;

/**
 * Finds the place that promises most: scores places all over the cube and small moves away from the best points so far, then climbs from the
 * most promising ones, along the slope where a parameter is continuous and from value to value where it is not.
 */
final class AcquisitionSearch {
    private static final int STARTS = 5;
    private static final int SWEEPS = 3;
    private static final double TOLERANCE = 1e-5;

    /** A place of the cube and its score. */
    record Found(double[] place, double score) {}

    private final Features features;
    private final Acquisition acquisition;
    private final double[] weights;
    private final RandomGenerator random;

    /** @param weights of the kernel's columns: small moves are small against the lengthscales */
    AcquisitionSearch(Features features, Acquisition acquisition, double[] weights, RandomGenerator random) {
        this.features = features;
        this.acquisition = acquisition;
        this.weights = weights;
        this.random = random;
    }

    /**
     * @param everywhere places that cover the cube
     * @param good places of the best points so far, the best one first
     * @param moves how many small moves to try in all
     * @param evaluations how often a slope is computed in one climb at most
     * @param acceptable which places may be suggested
     * @return the places climbed to, best first; not acceptable ones left out
     */
    List<Found> search(
            double[][] everywhere, List<double[]> good, int moves, int evaluations, Predicate<double[]> acceptable) {
        List<double[]> places = new ArrayList<>(Arrays.asList(everywhere));
        for (int i = 0; i < moves && !good.isEmpty(); i++) {
            places.add(moved(good.get(i % good.size())));
        }
        double[] scores = acquisition.scores(places.stream().map(features::of).toArray(double[][]::new));
        int[] order = IntStream.range(0, scores.length)
                .boxed()
                .sorted(Comparator.comparingDouble(i -> -scores[i]))
                .mapToInt(i -> i)
                .toArray();
        List<Found> found = new ArrayList<>();
        for (int i = 0; i < Math.min(STARTS, order.length); i++) {
            found.add(climb(places.get(order[i]), scores[order[i]], evaluations));
        }
        for (int i = 0; i < order.length; i++) {
            found.add(new Found(places.get(order[i]), scores[order[i]]));
        }
        return found.stream()
                .filter(each -> acceptable.test(each.place))
                .sorted(Comparator.comparingDouble(each -> -each.score))
                .limit(STARTS)
                .toList();
    }

    /** A place near another one: some columns change, by steps of very different sizes. */
    private double[] moved(double[] from) {
        double[] place = from.clone();
        double chance = Math.max(1.0 / place.length, Math.min(1, random.nextDouble() * 1.5));
        double size = Math.pow(10, -3.5 * random.nextDouble());
        int certain = random.nextInt(place.length);
        for (int j = 0; j < place.length; j++) {
            if (j != certain && random.nextDouble() >= chance) {
                continue;
            }
            if (features.smooth(j)) {
                double lengthscale = Math.clamp(1 / Math.sqrt(weights[j]), 0.02, 1);
                place[j] = Math.clamp(place[j] + size * lengthscale * random.nextGaussian(), 0, 1);
            } else if (j == certain || random.nextDouble() < 0.3) {
                place[j] = random.nextDouble();
            }
        }
        return place;
    }

    private Found climb(double[] from, double score, int evaluations) {
        Found best = new Found(from, score);
        for (int sweep = 0; sweep < SWEEPS; sweep++) {
            double before = best.score;
            best = alongSlopes(best, evaluations);
            best = fromValueToValue(best);
            if (best.score < before + 1e-3) {
                break;
            }
        }
        return best;
    }

    private Found alongSlopes(Found from, int evaluations) {
        int size = from.place.length;
        double[] low = new double[size];
        double[] high = new double[size];
        boolean any = false;
        for (int j = 0; j < size; j++) {
            boolean moves = features.smooth(j) && features.exists(j, from.place);
            low[j] = moves ? 0 : from.place[j];
            high[j] = moves ? 1 : from.place[j];
            any |= moves;
        }
        if (!any) {
            return from;
        }
        double[] seen = features.of(from.place);
        Lbfgs.Minimum minimum = Lbfgs.minimise(
                (place, gradient) -> {
                    for (int j = 0; j < size; j++) {
                        if (high[j] > low[j]) {
                            seen[j] = place[j];
                        }
                    }
                    double value = -acquisition.score(seen, gradient);
                    for (int j = 0; j < size; j++) {
                        gradient[j] = high[j] > low[j] ? -gradient[j] : 0;
                    }
                    return value;
                },
                from.place,
                low,
                high,
                evaluations,
                TOLERANCE);
        double score =
                features.snaps() ? acquisition.scores(new double[][] {features.of(minimum.x())})[0] : -minimum.value();
        return score > from.score ? new Found(minimum.x(), score) : from;
    }

    private Found fromValueToValue(Found from) {
        Found best = from;
        for (int j = 0; j < from.place.length; j++) {
            if (features.smooth(j) || !features.exists(j, best.place) || features.values(j) < 2) {
                continue;
            }
            double[][] places = new double[features.values(j)][];
            for (int k = 0; k < places.length; k++) {
                places[k] = best.place.clone();
                places[k][j] = features.middle(j, k);
            }
            double[] scores =
                    acquisition.scores(Arrays.stream(places).map(features::of).toArray(double[][]::new));
            for (int k = 0; k < places.length; k++) {
                if (scores[k] > best.score) {
                    best = new Found(places[k], scores[k]);
                }
            }
        }
        return best;
    }
}
