package concertina.search;

import java.util.Arrays;
import java.util.List;

/**
 * How much of the losses' variance each parameter explains by itself: functional analysis of variance (Hutter, Hoos and Leyton-Brown, An
 * Efficient Approach for Assessing Hyperparameter Importance, ICML 2014).
 *
 * <p>Notation:
 * <pre>
 * f(u)     what a tree predicts at u in the cube
 * f0       its mean over the cube
 * V        its variance over the cube
 * fj(uj)   its mean over all coordinates but j
 * Vj       variance of fj over [0, 1]
 * share    mean over the trees of Vj / V
 * </pre>
 *
 * @param share between 0 and 1; what is missing from 1 in the sum of all parameters is due to interactions
 */
public record Importance(String parameter, double share) {
    /** One per dimension, from a forest; all 0 where the losses do not vary. */
    static double[] shares(Forest forest, int dimensions) {
        double[] shares = new double[dimensions];
        int counted = 0;
        for (List<Forest.Leaf> leaves : forest.trees()) {
            double mean = leaves.stream()
                    .mapToDouble(leaf -> leaf.volume() * leaf.mean())
                    .sum();
            double variance = leaves.stream()
                    .mapToDouble(leaf -> leaf.volume() * (leaf.mean() - mean) * (leaf.mean() - mean))
                    .sum();
            if (!(variance > 0)) {
                continue;
            }
            counted++;
            for (int dimension = 0; dimension < dimensions; dimension++) {
                shares[dimension] += marginalVariance(leaves, dimension, mean) / variance;
            }
        }
        for (int dimension = 0; dimension < dimensions && counted > 0; dimension++) {
            shares[dimension] = Math.clamp(shares[dimension] / counted, 0, 1);
        }
        return shares;
    }

    private static double marginalVariance(List<Forest.Leaf> leaves, int dimension, double mean) {
        double[] borders = leaves.stream()
                .mapToDouble(leaf -> leaf.low()[dimension])
                .distinct()
                .sorted()
                .toArray();
        double[] sums = new double[borders.length + 1];
        for (Forest.Leaf leaf : leaves) {
            double share = leaf.volume() * leaf.mean() / (leaf.high()[dimension] - leaf.low()[dimension]);
            sums[Arrays.binarySearch(borders, leaf.low()[dimension])] += share;
            int end = Arrays.binarySearch(borders, leaf.high()[dimension]);
            sums[end < 0 ? borders.length : end] -= share;
        }
        double variance = 0;
        double marginal = 0;
        for (int i = 0; i < borders.length; i++) {
            marginal += sums[i];
            double width = (i + 1 < borders.length ? borders[i + 1] : 1) - borders[i];
            variance += width * (marginal - mean) * (marginal - mean);
        }
        return variance;
    }
}
