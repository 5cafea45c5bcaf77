package concertina.search;

/**
 * The Matérn correlation of smoothness 5/2 with a weight for each column (automatic relevance determination), as a function of the squared
 * distance, which keeps it smooth at 0.
 *
 * <pre>
 * Notation
 *   w     weights, 1 / lengthscale²                    d
 *   q     squared distance Σ w (a − b)²; in a column of words w where they differ
 *   f(q)  (1 + √(5q) + 5q/3) exp(−√(5q))
 *   f'(q) −5/6 (1 + √(5q)) exp(−√(5q))
 * </pre>
 */
record Matern(double[] weights, boolean[] words) {
    static double correlation(double squared) {
        double root = Math.sqrt(5 * squared);
        return (1 + root + root * root / 3) * Math.exp(-root);
    }

    /** The derivative of the correlation by the squared distance. */
    static double slope(double squared) {
        double root = Math.sqrt(5 * squared);
        return -5.0 / 6 * (1 + root) * Math.exp(-root);
    }

    /** Number of columns. */
    int size() {
        return weights.length;
    }

    double distance(double[] a, double[] b) {
        double squared = 0;
        for (int j = 0; j < weights.length; j++) {
            double difference = a[j] - b[j];
            squared += words[j] ? (difference == 0 ? 0 : weights[j]) : weights[j] * difference * difference;
        }
        return squared;
    }

    /** Squared distances of one input to many, which are given column by column. */
    double[] distances(double[] input, double[][] columns, int count) {
        double[] squared = new double[count];
        for (int j = 0; j < weights.length; j++) {
            double[] column = columns[j];
            double from = input[j];
            double weight = weights[j];
            if (words[j]) {
                for (int c = 0; c < count; c++) {
                    squared[c] += column[c] == from ? 0 : weight;
                }
            } else {
                for (int c = 0; c < count; c++) {
                    double difference = column[c] - from;
                    squared[c] += weight * difference * difference;
                }
            }
        }
        return squared;
    }

    /** Adds the derivatives of q by the first input, times a factor. Words have none. */
    void addSlopes(double[] at, double[] other, double factor, double[] slopes) {
        for (int j = 0; j < weights.length; j++) {
            if (!words[j]) {
                slopes[j] += 2 * factor * weights[j] * (at[j] - other[j]);
            }
        }
    }
}
