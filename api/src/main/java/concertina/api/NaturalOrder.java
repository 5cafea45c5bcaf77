package concertina.api;

import java.math.BigInteger;
import java.util.Comparator;

/** Orders names as people do: digits by their value, so that {@code job-2} comes before {@code job-10}. */
public final class NaturalOrder implements Comparator<String> {
    @Override
    public int compare(String left, String right) {
        int i = 0;
        int j = 0;
        while (i < left.length() && j < right.length()) {
            int iEnd = runEnd(left, i);
            int jEnd = runEnd(right, j);
            String a = left.substring(i, iEnd);
            String b = right.substring(j, jEnd);
            int order = digit(a.charAt(0)) && digit(b.charAt(0))
                    ? new BigInteger(a).compareTo(new BigInteger(b))
                    : a.compareTo(b);
            if (order != 0) {
                return order;
            }
            i = iEnd;
            j = jEnd;
        }
        return Integer.compare(left.length() - i, right.length() - j);
    }

    private static int runEnd(String text, int start) {
        int end = start + 1;
        while (end < text.length() && digit(text.charAt(end)) == digit(text.charAt(start))) {
            end++;
        }
        return end;
    }

    private static boolean digit(char character) {
        return character >= '0' && character <= '9';
    }
}
