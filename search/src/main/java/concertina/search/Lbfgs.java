package concertina.search;

import java.util.ArrayDeque;
import java.util.Deque;

/**
 * Minimises a smooth function in a box: limited-memory BFGS whose steps are projected back into the box, after Byrd, Lu, Nocedal and Zhu
 * (1995), "A limited memory algorithm for bound constrained optimization", simplified to the variables that are free at each step.
 *
 * <pre>
 * Notation
 *   x       variables                             d
 *   g       gradient                              d
 *   s, y    last changes of x and g               d each, the newest MEMORY pairs
 *   free    variables that may move downhill      d
 * </pre>
 */
final class Lbfgs {
    private static final int MEMORY = 8;
    private static final double SUFFICIENT = 1e-4;

    /** A function with its gradient. */
    interface Smooth {
        /** The value at x; writes the gradient. May be infinite or NaN, which counts as worse than anything. */
        double at(double[] x, double[] gradient);
    }

    /** The best place found and the value there. */
    record Minimum(double[] x, double value) {}

    private record Pair(double[] s, double[] y, double curvature) {}

    private Lbfgs() {}

    /**
     * @param evaluations how often the function is asked at most
     * @param tolerance ends when a step lowers the value by less than this
     */
    static Minimum minimise(
            Smooth function, double[] start, double[] low, double[] high, int evaluations, double tolerance) {
        int size = start.length;
        double[] x = project(start.clone(), low, high);
        double[] gradient = new double[size];
        double value = function.at(x, gradient);
        int asked = 1;
        Deque<Pair> pairs = new ArrayDeque<>();
        while (asked < evaluations && Double.isFinite(value)) {
            boolean[] free = free(x, gradient, low, high);
            double[] direction = direction(gradient, free, pairs);
            double slope = dot(direction, gradient);
            if (slope >= 0) {
                if (pairs.isEmpty()) {
                    break;
                }
                pairs.clear();
                continue;
            }
            double step = pairs.isEmpty() ? Math.min(1, 0.1 / Math.sqrt(dot(direction, direction))) : 1;
            double[] next = x;
            double[] nextGradient = new double[size];
            double nextValue = Double.NaN;
            boolean found = false;
            while (!found && asked < evaluations) {
                next = x.clone();
                for (int i = 0; i < size; i++) {
                    next[i] += step * direction[i];
                }
                project(next, low, high);
                nextValue = function.at(next, nextGradient);
                asked++;
                double expected = 0;
                for (int i = 0; i < size; i++) {
                    expected += gradient[i] * (next[i] - x[i]);
                }
                found = nextValue <= value + SUFFICIENT * expected;
                step *= 0.3;
            }
            if (!found) {
                break;
            }
            remember(pairs, x, next, gradient, nextGradient);
            double gain = value - nextValue;
            x = next;
            value = nextValue;
            gradient = nextGradient;
            if (gain < tolerance) {
                break;
            }
        }
        return new Minimum(x, value);
    }

    private static double[] project(double[] x, double[] low, double[] high) {
        for (int i = 0; i < x.length; i++) {
            x[i] = Math.clamp(x[i], low[i], high[i]);
        }
        return x;
    }

    private static boolean[] free(double[] x, double[] gradient, double[] low, double[] high) {
        boolean[] free = new boolean[x.length];
        for (int i = 0; i < x.length; i++) {
            free[i] = !(x[i] <= low[i] && gradient[i] > 0 || x[i] >= high[i] && gradient[i] < 0);
        }
        return free;
    }

    /** The two-loop recursion on the free variables. */
    private static double[] direction(double[] gradient, boolean[] free, Deque<Pair> pairs) {
        double[] direction = new double[gradient.length];
        for (int i = 0; i < direction.length; i++) {
            direction[i] = free[i] ? -gradient[i] : 0;
        }
        double[] shares = new double[pairs.size()];
        int at = 0;
        for (Pair pair : pairs) {
            shares[at] = dot(pair.s, direction) / pair.curvature;
            add(direction, pair.y, -shares[at++]);
        }
        if (!pairs.isEmpty()) {
            Pair newest = pairs.getFirst();
            double scale = newest.curvature / dot(newest.y, newest.y);
            for (int i = 0; i < direction.length; i++) {
                direction[i] *= scale;
            }
        }
        for (var oldest = pairs.descendingIterator(); oldest.hasNext(); ) {
            Pair pair = oldest.next();
            add(direction, pair.s, shares[--at] - dot(pair.y, direction) / pair.curvature);
        }
        for (int i = 0; i < direction.length; i++) {
            direction[i] = free[i] ? direction[i] : 0;
        }
        return direction;
    }

    private static void remember(
            Deque<Pair> pairs, double[] x, double[] next, double[] gradient, double[] nextGradient) {
        double[] s = new double[x.length];
        double[] y = new double[x.length];
        for (int i = 0; i < x.length; i++) {
            s[i] = next[i] - x[i];
            y[i] = nextGradient[i] - gradient[i];
        }
        double curvature = dot(s, y);
        if (curvature > 1e-10 * Math.sqrt(dot(s, s) * dot(y, y)) && curvature > 0) {
            pairs.addFirst(new Pair(s, y, curvature));
            if (pairs.size() > MEMORY) {
                pairs.removeLast();
            }
        }
    }

    private static void add(double[] to, double[] what, double times) {
        for (int i = 0; i < to.length; i++) {
            to[i] += times * what[i];
        }
    }

    private static double dot(double[] a, double[] b) {
        double sum = 0;
        for (int i = 0; i < a.length; i++) {
            sum += a[i] * b[i];
        }
        return sum;
    }
}
