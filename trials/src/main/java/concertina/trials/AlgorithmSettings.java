package concertina.trials;

import concertina.model.ConcertinaException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** The posted parameters of an algorithm: names whatever their case, values as text. What nobody reads is refused in the end. */
final class AlgorithmSettings {
    private final String algorithm;
    private final Map<String, String> posted;
    private final List<String> known = new ArrayList<>();

    AlgorithmSettings(SearchSpec spec) {
        this.algorithm = spec.algorithm();
        this.posted = spec.settings();
    }

    Optional<String> text(String name) {
        known.add(name);
        return find(posted, name);
    }

    /** The value of a parameter whatever the case of its name. */
    static Optional<String> find(Map<String, String> posted, String name) {
        return posted.entrySet().stream()
                .filter(entry -> entry.getKey().equalsIgnoreCase(name))
                .map(Map.Entry::getValue)
                .filter(value -> !value.isBlank())
                .findFirst();
    }

    long whole(String name, long standard, long least, long most) {
        Optional<String> value = text(name);
        if (value.isEmpty()) {
            return standard;
        }
        String accepted = "a whole number from " + least + (most == Long.MAX_VALUE ? "" : " to " + most);
        try {
            long number = Long.parseLong(value.get().strip());
            if (number >= least && number <= most) {
                return number;
            }
        } catch (NumberFormatException notANumber) {
            throw invalid(name, value.get(), accepted);
        }
        throw invalid(name, value.get(), accepted);
    }

    int count(String name, int standard, int least) {
        return (int) whole(name, standard, least, Integer.MAX_VALUE);
    }

    /** A finite number above a bound. */
    double above(String name, double standard, double bound) {
        Optional<String> value = text(name);
        return value.isEmpty() ? standard : number(name, value.get(), bound);
    }

    /** The same for one that must be given. */
    double needed(String name, double bound) {
        return number(name, text(name).orElse(""), bound);
    }

    private double number(String name, String value, double bound) {
        String accepted = "a number above " + bound;
        try {
            double number = Double.parseDouble(value.strip());
            if (Double.isFinite(number) && number > bound) {
                return number;
            }
        } catch (NumberFormatException notANumber) {
            throw invalid(name, value, accepted);
        }
        throw invalid(name, value, accepted);
    }

    String neededText(String name, String accepted) {
        return text(name).orElseThrow(() -> invalid(name, "", accepted));
    }

    boolean yes(String name, boolean standard) {
        Optional<String> value = text(name);
        if (value.isEmpty()) {
            return standard;
        }
        return switch (value.get().strip().toLowerCase(java.util.Locale.ROOT)) {
            case "true" -> true;
            case "false" -> false;
            default -> throw invalid(name, value.get(), "true or false");
        };
    }

    /** To be called when all that the algorithm knows was read. */
    void refuseOthers() {
        for (String name : posted.keySet()) {
            if (known.stream().noneMatch(name::equalsIgnoreCase)) {
                throw ConcertinaException.invalid(
                        "parameter of algorithm " + algorithm,
                        name,
                        known.isEmpty() ? "none" : String.join(", ", known));
            }
        }
    }

    private ConcertinaException invalid(String name, String value, String accepted) {
        return ConcertinaException.invalid("algoParams " + name + " of " + algorithm, value, accepted);
    }
}
