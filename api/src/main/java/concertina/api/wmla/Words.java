package concertina.api.wmla;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import java.util.ArrayList;
import java.util.List;

/**
 * Splits a command line into words the way a POSIX shell does, without any expansion: runs of blanks separate, single
 * quotes keep everything, double quotes keep everything but a backslash before {@code " \ $ `} or a line end, a backslash
 * outside quotes keeps the next character, and a backslash before a line end vanishes. Pure.
 */
final class Words {
    /**
     * One word.
     *
     * @param text the word with its quotes taken away
     * @param raw the word as it came
     * @param start index of its first character in the line
     */
    record Word(String text, String raw, int start) {
        int end() {
            return start + raw.length();
        }
    }

    private Words() {}

    /** Throws INVALID_ARGUMENT when a quote is never closed; the message gives its position, not the line's content. */
    static List<Word> split(String line) {
        List<Word> words = new ArrayList<>();
        int position = 0;
        while (position < line.length()) {
            if (blank(line.charAt(position))) {
                position++;
                continue;
            }
            StringBuilder text = new StringBuilder();
            int end = readWord(line, position, text);
            boolean onlyContinuation = text.isEmpty() && line.startsWith("\\", position);
            if (!onlyContinuation) {
                words.add(new Word(text.toString(), line.substring(position, end), position));
            }
            position = end;
        }
        return words;
    }

    private static int readWord(String line, int start, StringBuilder text) {
        int position = start;
        while (position < line.length() && !blank(line.charAt(position))) {
            char character = line.charAt(position);
            switch (character) {
                case '\'' -> {
                    int close = line.indexOf('\'', position + 1);
                    if (close < 0) {
                        throw unclosed(position);
                    }
                    text.append(line, position + 1, close);
                    position = close + 1;
                }
                case '"' -> position = readDoubleQuoted(line, position, text);
                case '\\' -> {
                    if (position + 1 < line.length() && line.charAt(position + 1) != '\n') {
                        text.append(line.charAt(position + 1));
                    }
                    position = Math.min(position + 2, line.length());
                }
                default -> {
                    text.append(character);
                    position++;
                }
            }
        }
        return position;
    }

    private static int readDoubleQuoted(String line, int open, StringBuilder text) {
        int position = open + 1;
        while (position < line.length()) {
            char character = line.charAt(position);
            if (character == '"') {
                return position + 1;
            }
            if (character == '\\'
                    && position + 1 < line.length()
                    && "\"\\$`\n".indexOf(line.charAt(position + 1)) >= 0) {
                position++;
                if (line.charAt(position) != '\n') {
                    text.append(line.charAt(position));
                }
            } else {
                text.append(character);
            }
            position++;
        }
        throw unclosed(open);
    }

    private static boolean blank(char character) {
        return character == ' ' || character == '\t' || character == '\n' || character == '\r';
    }

    private static ConcertinaException unclosed(int position) {
        return new ConcertinaException(
                ErrorCode.INVALID_ARGUMENT,
                "args has a quote at character " + (position + 1)
                        + " that is never closed, accepted: quotes in pairs, or"
                        + " a backslash before a quote that is meant literally");
    }
}
