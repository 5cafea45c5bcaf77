package concertina.search;

import java.util.List;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * How a model of a {@link Space} sees places of its cube: values that differ differ, values that are the same are the same.
 *
 * <p>Whole numbers, steps and ordered choices are moved to the middle of their cell, so that the kernel is constant where the value is
 * (Garrido-Merchán and Hernández-Lobato 2020); words without order are the number of their cell, of which only being equal counts; a
 * parameter that does not exist is at {@value #ABSENT}. Immutable.
 */
final class Features {
    static final double ABSENT = 0.5;
    /** A parameter of more values than this is searched like a continuum and rounded. */
    private static final int FEW = 24;

    private final Space space;
    private final List<Parameter> parameters;
    private final long[] cells;
    private final boolean[] words;
    private final boolean[] smooth;
    private final int[] parents;
    private final boolean snaps;

    Features(Space space) {
        this.space = space;
        parameters = space.parameters();
        int size = parameters.size();
        cells = new long[size];
        words = new boolean[size];
        smooth = new boolean[size];
        parents = new int[size];
        boolean any = false;
        for (int i = 0; i < size; i++) {
            Parameter parameter = parameters.get(i);
            cells[i] = Space.cells(parameter);
            words[i] = parameter instanceof Parameter.Choice choice && !choice.ordered();
            smooth[i] = !words[i] && (cells[i] == 0 || cells[i] > FEW);
            parents[i] = -1;
            Parameter.Condition when = parameter.when();
            for (int j = 0; when != null && j < i; j++) {
                if (parameters.get(j).name().equals(when.parent())) {
                    parents[i] = j;
                }
            }
            any |= cells[i] != 0 || when != null;
        }
        snaps = any;
    }

    /** Whether the model sees some places as the same. */
    boolean snaps() {
        return snaps;
    }

    int size() {
        return cells.length;
    }

    /** In which columns only equality counts. */
    boolean[] words() {
        return words.clone();
    }

    /** Whether the column may be moved by small steps. */
    boolean smooth(int column) {
        return smooth[column];
    }

    /** Number of values of a column that is not {@link #smooth}. */
    int values(int column) {
        return (int) cells[column];
    }

    /** The middle of a cell; on a logarithmic scale, where cells differ in width, its value's own place. */
    double middle(int column, int cell) {
        if (parameters.get(column) instanceof Parameter.Whole whole && whole.scale() == Parameter.Scale.LOG) {
            return Space.encode(whole, new Value.Whole(whole.low() + cell * whole.step()));
        }
        return (cell + 0.5) / cells[column];
    }

    /** What the model sees of a place in the cube. */
    double[] of(double[] place) {
        double[] seen = place.clone();
        if (!snaps) {
            return seen;
        }
        for (int i = 0; i < seen.length; i++) {
            seen[i] = exists(i, place) ? seen(i, place[i]) : absent(i);
        }
        return seen;
    }

    /** What the model sees of a point. */
    double[] of(Point point) {
        double[] place = space.encode(point);
        for (int i = 0; i < place.length; i++) {
            place[i] = Double.isNaN(place[i]) ? absent(i) : seen(i, place[i]);
        }
        return place;
    }

    private double absent(int column) {
        return words[column] ? -1 : ABSENT;
    }

    private double seen(int column, double u) {
        long count = cells[column];
        if (count == 0) {
            return u;
        }
        if (words[column]) {
            return cell(u, count);
        }
        Parameter parameter = parameters.get(column);
        if (parameter instanceof Parameter.Whole whole && whole.scale() == Parameter.Scale.LOG) {
            return Space.encode(parameter, Space.decode(parameter, u));
        }
        return (cell(u, count) + 0.5) / count;
    }

    private static long cell(double u, long count) {
        return Math.min((long) (u * count), count - 1);
    }

    /** Whether a parameter exists at this place. */
    boolean exists(int column, double[] place) {
        int parent = parents[column];
        if (parent < 0) {
            return true;
        }
        Parameter.@Nullable Condition when = parameters.get(column).when();
        return when != null
                && exists(parent, place)
                && when.values().contains(Space.decode(parameters.get(parent), place[parent]));
    }

    /**
     * A place for a point, from which small steps can start; what does not exist is anywhere.
     */
    double[] place(Point point, RandomGenerator random) {
        double[] place = space.encode(point);
        for (int i = 0; i < place.length; i++) {
            if (Double.isNaN(place[i])) {
                place[i] = random.nextDouble();
            }
        }
        return place;
    }

    Point point(double[] place) {
        return space.decode(place);
    }
}
