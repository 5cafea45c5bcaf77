package concertina.artifacts;

import java.util.Comparator;

/** Orders names as people do: runs of digits by their value, so that "task2" comes before "task10". Pure. */
final class NaturalOrder implements Comparator<String> {
    static final NaturalOrder INSTANCE = new NaturalOrder();

    private NaturalOrder() {}

    @Override
    public int compare(String left, String right) {
        int i = 0;
        int j = 0;
        while (i < left.length() && j < right.length()) {
            int leftEnd = digitsEnd(left, i);
            int rightEnd = digitsEnd(right, j);
            int order;
            if (leftEnd > i && rightEnd > j) {
                order = compareDigits(left.substring(i, leftEnd), right.substring(j, rightEnd));
                i = leftEnd;
                j = rightEnd;
            } else {
                // A folder's content stands together: the separator sorts before everything else.
                order = Integer.compare(rank(left.charAt(i++)), rank(right.charAt(j++)));
            }
            if (order != 0) {
                return order;
            }
        }
        int order = Integer.compare(left.length() - i, right.length() - j);
        return order != 0 ? order : left.compareTo(right);
    }

    private static int rank(char character) {
        return character == '/' ? -1 : character;
    }

    private static int digitsEnd(String text, int from) {
        int end = from;
        while (end < text.length() && text.charAt(end) >= '0' && text.charAt(end) <= '9') {
            end++;
        }
        return end;
    }

    private static int compareDigits(String left, String right) {
        String a = left.replaceFirst("^0+(?=.)", "");
        String b = right.replaceFirst("^0+(?=.)", "");
        int order = Integer.compare(a.length(), b.length());
        return order != 0 ? order : a.compareTo(b);
    }
}
