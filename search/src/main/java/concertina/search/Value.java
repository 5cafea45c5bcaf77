package concertina.search;

/** What a parameter can be set to. */
public sealed interface Value {
    /** A real number; never NaN nor infinite. */
    record Real(double value) implements Value {
        public Real {
            if (!Double.isFinite(value)) {
                throw new IllegalArgumentException("a value must be a finite number, not " + value);
            }
        }

        @Override
        public String text() {
            return Double.toString(value);
        }
    }

    /** A whole number. */
    record Whole(long value) implements Value {
        @Override
        public String text() {
            return Long.toString(value);
        }
    }

    /** A word of the user's. */
    record Word(String value) implements Value {
        @Override
        public String text() {
            return value;
        }
    }

    /** As clients read it: full precision, no locale. */
    String text();
}
