package concertina.search;

import concertina.search.GaussianProcess.Hyperparameters;
import concertina.search.Results.Result;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.OptionalDouble;
import java.util.random.RandomGenerator;
import java.util.stream.IntStream;

/**
 * What is fitted to trials that ended: how losses are warped, the hyperparameters of the process of the losses, and of one process per
 * constraint. Several losses become one by an augmented Chebyshev norm with weights drawn for each suggestion (Knowles 2006, "ParEGO").
 * Immutable.
 *
 * @param share weight of each loss; a single 1 where there is one
 * @param scale of the {@link Warp}
 * @param losses hyperparameters that are equally probable; one alone, the most probable, after many
 *     trials, in many dimensions and for several objectives
 */
record Surrogate(
        boolean[] words,
        boolean noiseless,
        double[] share,
        double scale,
        List<Hyperparameters> losses,
        List<Hyperparameters> limits) {
    /** Of more trials a sample is fitted, since the time grows with the cube. */
    private static final int SAMPLE = 120;

    private static final int BEST_OF_SAMPLE = 40;
    /** As long as trials are few, hyperparameters are uncertain, and draws cost little. */
    private static final int FEW = 60;
    /** So many parameters have too many lengthscales for a few draws to stand for. */
    private static final int MANY = 10;

    private static final double AUGMENTED = 0.05;

    /** Weights that sum to 1, uniform among all such. */
    static double[] share(int objectives, RandomGenerator random) {
        double[] share = new double[objectives];
        double sum = 0;
        for (int i = 0; i < objectives; i++) {
            share[i] = objectives == 1 ? 1 : random.nextExponential();
            sum += share[i];
        }
        for (int i = 0; i < objectives; i++) {
            share[i] /= sum;
        }
        return share;
    }

    /** @param draws how many hyperparameters are drawn where that helps; 0: the most probable ones alone */
    static Surrogate fit(
            boolean[] words, boolean noiseless, List<Result> all, double[] share, int draws, RandomGenerator random) {
        double[] whole = values(all, share);
        int[] sample = sample(whole);
        List<Result> results = Arrays.stream(sample).mapToObj(all::get).toList();
        double[] values = Arrays.stream(sample).mapToDouble(i -> whole[i]).toArray();
        double[][] inputs = inputs(results);
        GaussianProcessFit fit = new GaussianProcessFit(words, inputs, noiseless);
        double[] scales = Warp.scales(values);
        double bestScale = scales[0];
        Warp linear = Warp.of(values, bestScale);
        GaussianProcessFit.Fitted best = fit.fit(linear.apply(values), fit.start(), 30);
        double bestLoss = best.loss() - linear.density(values);
        double[] start = best.theta();
        for (int i = 1; i < scales.length; i++) {
            if (scales[i] == scales[i - 1]) {
                continue;
            }
            Warp warp = Warp.of(values, scales[i]);
            GaussianProcessFit.Fitted fitted = fit.fit(warp.apply(values), start, 12);
            double loss = fitted.loss() - warp.density(values);
            if (loss < bestLoss) {
                best = fitted;
                bestLoss = loss;
                bestScale = scales[i];
            }
            start = fitted.theta();
        }
        List<Hyperparameters> limits = new ArrayList<>();
        for (int constraint = 0; constraint < constraints(results); constraint++) {
            Violations violations = Violations.of(results, constraint);
            limits.add(new GaussianProcessFit(words, violations.inputs, noiseless)
                    .fit(violations.targets, start(words, violations.inputs, noiseless), 20)
                    .hyperparameters());
        }
        boolean alone = draws == 0 || results.size() > FEW || words.length >= MANY || share.length > 1;
        List<Hyperparameters> losses = alone
                ? List.of(best.hyperparameters())
                : fit.sample(Warp.of(values, bestScale).apply(values), best.theta(), draws, random);
        return new Surrogate(words, noiseless, share, bestScale, losses, limits);
    }

    private static double[] start(boolean[] words, double[][] inputs, boolean noiseless) {
        return new GaussianProcessFit(words, inputs, noiseless).start();
    }

    private static double[][] inputs(List<Result> results) {
        return results.stream().map(Result::seen).toArray(double[][]::new);
    }

    /** The best and an even share of the others, in their order. */
    private static int[] sample(double[] values) {
        if (values.length <= SAMPLE) {
            return IntStream.range(0, values.length).toArray();
        }
        int[] byValue = IntStream.range(0, values.length)
                .boxed()
                .sorted((a, b) -> Double.compare(values[a], values[b]))
                .mapToInt(i -> i)
                .toArray();
        double stride = (double) (values.length - BEST_OF_SAMPLE) / (SAMPLE - BEST_OF_SAMPLE);
        return IntStream.range(0, SAMPLE)
                .map(i -> byValue[i < BEST_OF_SAMPLE ? i : BEST_OF_SAMPLE + (int) ((i - BEST_OF_SAMPLE) * stride)])
                .sorted()
                .toArray();
    }

    private static int constraints(List<Result> results) {
        return results.stream().mapToInt(each -> each.violations().length).max().orElse(0);
    }

    /** One value per observation: failures count as the worst of all, trials stopped early as no better than the median. */
    private static double[] values(List<Result> results, double[] share) {
        double[] values = results.stream()
                .mapToDouble(each -> each.failed() || each.losses().length != share.length ? Double.NaN : 0)
                .toArray();
        if (share.length == 1) {
            Arrays.setAll(
                    values,
                    i -> Double.isNaN(values[i]) ? Double.NaN : results.get(i).losses()[0]);
        } else {
            scalarise(values, results, share);
        }
        double[] known = Arrays.stream(values)
                .filter(value -> !Double.isNaN(value))
                .sorted()
                .toArray();
        double worst = known.length == 0 ? 0 : known[known.length - 1];
        double middle = known.length == 0 ? 0 : known[known.length / 2];
        for (int i = 0; i < values.length; i++) {
            values[i] =
                    Double.isNaN(values[i]) ? worst : results.get(i).early() ? Math.max(values[i], middle) : values[i];
        }
        return values;
    }

    private static void scalarise(double[] values, List<Result> results, double[] share) {
        double[] greatest = new double[values.length];
        double[] sum = new double[values.length];
        Arrays.fill(greatest, Double.NEGATIVE_INFINITY);
        for (int objective = 0; objective < share.length; objective++) {
            double least = Double.POSITIVE_INFINITY;
            double most = Double.NEGATIVE_INFINITY;
            for (int i = 0; i < values.length; i++) {
                if (!Double.isNaN(values[i])) {
                    least = Math.min(least, results.get(i).losses()[objective]);
                    most = Math.max(most, results.get(i).losses()[objective]);
                }
            }
            for (int i = 0; i < values.length; i++) {
                if (!Double.isNaN(values[i])) {
                    double part = most > least
                            ? share[objective] * (results.get(i).losses()[objective] - least) / (most - least)
                            : 0;
                    greatest[i] = Math.max(greatest[i], part);
                    sum[i] += part;
                }
            }
        }
        Arrays.setAll(values, i -> Double.isNaN(values[i]) ? Double.NaN : greatest[i] + AUGMENTED * sum[i]);
    }

    /** The values of one constraint, small ones spread and large ones compressed around the border (Eriksson and Poloczek 2021, "SCBO"). */
    private record Violations(double[][] inputs, double[] targets) {
        static Violations of(List<Result> results, int constraint) {
            List<Result> known = results.stream()
                    .filter(each -> each.violations().length > constraint)
                    .toList();
            double[] values = known.stream()
                    .mapToDouble(each -> Math.clamp(each.violations()[constraint], -1e140, 1e140))
                    .toArray();
            double[] sizes = Arrays.stream(values)
                    .map(Math::abs)
                    .filter(size -> size > 0)
                    .sorted()
                    .toArray();
            double scale = sizes.length == 0 ? 1 : sizes[sizes.length / 2];
            double square = 0;
            for (int i = 0; i < values.length; i++) {
                values[i] = Math.copySign(Math.log1p(Math.abs(values[i]) / scale), values[i]);
                square += values[i] * values[i] / values.length;
            }
            double deviation = square > 0 ? Math.sqrt(square) : 1;
            Arrays.setAll(values, i -> values[i] / deviation);
            return new Violations(Surrogate.inputs(known), values);
        }
    }

    /** The models after all that is known, and what has to be undercut. */
    Acquisition acquisition(List<Result> results, Collection<double[]> running) {
        double[] values = values(results, share);
        double[] targets = Warp.of(values, scale).apply(values);
        double[][] inputs = inputs(results);
        List<Acquisition.Objective> objectives = new ArrayList<>();
        for (Hyperparameters each : losses) {
            GaussianProcess process = GaussianProcess.of(words, inputs, targets, each);
            objectives.add(
                    new Acquisition.Objective(believing(process, running), best(process, results, targets, running)));
        }
        List<GaussianProcess> borders = new ArrayList<>();
        for (int constraint = 0; constraint < limits.size(); constraint++) {
            Violations violations = Violations.of(results, constraint);
            GaussianProcess limit =
                    GaussianProcess.of(words, violations.inputs, violations.targets, limits.get(constraint));
            borders.add(believing(limit, running));
        }
        return new Acquisition(objectives, borders);
    }

    private double best(GaussianProcess process, List<Result> results, double[] targets, Collection<double[]> running) {
        OptionalDouble best = IntStream.range(0, targets.length)
                .filter(i -> results.get(i).feasible())
                .mapToDouble(i ->
                        noiseless ? targets[i] : process.mean(results.get(i).seen()))
                .min();
        double undercut = best.orElse(Double.POSITIVE_INFINITY);
        for (double[] input : running) {
            undercut = best.isEmpty() ? undercut : Math.min(undercut, process.mean(input));
        }
        return undercut;
    }

    private static GaussianProcess believing(GaussianProcess process, Collection<double[]> running) {
        GaussianProcess believing = process;
        for (double[] input : running) {
            believing = believing.believing(input);
        }
        return believing;
    }

    /** How much the losses of two inputs have in common, from 0 to 1, by the first of the hyperparameters. */
    double correlation(double[] one, double[] other) {
        return Matern.correlation(new Matern(losses.getFirst().weights(), words).distance(one, other));
    }

    /** The best trial of those that meet the constraints, of which there must be one. */
    Result best(List<Result> results) {
        double[] values = values(results, share);
        return IntStream.range(0, values.length)
                .filter(i -> results.get(i).feasible())
                .boxed()
                .min(Comparator.comparingDouble(i -> values[i]))
                .map(results::get)
                .orElseThrow();
    }

    /** The distance between the best and the worst value in the units of the expected improvement. */
    double range(List<Result> results) {
        double[] values = values(results, share);
        double[] targets = Warp.of(values, scale).apply(values);
        return Arrays.stream(targets).max().orElse(0)
                - Arrays.stream(targets).min().orElse(0);
    }
}
