package concertina.api.wmla;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import java.math.BigDecimal;
import java.math.BigInteger;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/**
 * Reads what Python prints for a dict: quotes of either kind, {@code True}, {@code False}, {@code None}, tuples, trailing commas. JSON is
 * a special case of it. Only literals are understood; nothing is ever evaluated. Used once for each text.
 */
final class PythonLiteral {
    private static final int DEPTH = 50;
    private static final JsonNodeFactory NODES = JsonNodeFactory.instance;

    private final String text;
    private int at;

    private PythonLiteral(String text) {
        this.text = text;
    }

    /** Throws INVALID_ARGUMENT with the position of what is not understood. */
    static JsonNode read(String text) {
        PythonLiteral literal = new PythonLiteral(text);
        JsonNode value = literal.value(0);
        literal.skip();
        if (literal.at < text.length()) {
            throw literal.unexpected("the end");
        }
        return value;
    }

    private JsonNode value(int depth) {
        skip();
        if (depth > DEPTH) {
            throw unexpected("at most " + DEPTH + " levels");
        }
        char next = peek();
        if (next == '{') {
            return dictionary(depth);
        }
        if (next == '[' || next == '(') {
            return list(depth, next == '[' ? ']' : ')');
        }
        if (quoted()) {
            return NODES.stringNode(strings());
        }
        if (next == '-' || next == '+' || next == '.' || (next >= '0' && next <= '9')) {
            return number();
        }
        return word();
    }

    private JsonNode dictionary(int depth) {
        at++;
        ObjectNode dictionary = NODES.objectNode();
        skip();
        while (peek() != '}') {
            if (!quoted()) {
                throw unexpected("a name in quotes");
            }
            String name = strings();
            expect(':');
            dictionary.set(name, value(depth + 1));
            separator('}');
        }
        at++;
        return dictionary;
    }

    private JsonNode list(int depth, char close) {
        at++;
        ArrayNode list = NODES.arrayNode();
        skip();
        while (peek() != close) {
            list.add(value(depth + 1));
            separator(close);
        }
        at++;
        return list;
    }

    private void separator(char close) {
        skip();
        if (peek() == ',') {
            at++;
            skip();
        } else if (peek() != close) {
            throw unexpected("',' or '" + close + "'");
        }
    }

    private boolean quoted() {
        char next = peek();
        boolean prefixed = (next == 'u' || next == 'U') && at + 1 < text.length() && quote(text.charAt(at + 1));
        return quote(next) || prefixed;
    }

    private static boolean quote(char character) {
        return character == '\'' || character == '"';
    }

    /** Strings that follow each other are one, as Python has it. */
    private String strings() {
        int start = at;
        StringBuilder whole = new StringBuilder();
        while (at < text.length() && quoted()) {
            if (!quote(peek())) {
                at++;
            }
            string(whole);
            skip();
        }
        // Half a character cannot be written as UTF-8.
        if (whole.codePoints().anyMatch(code -> code >= Character.MIN_SURROGATE && code <= Character.MAX_SURROGATE)) {
            at = start;
            throw unexpected("whole characters");
        }
        return whole.toString();
    }

    private void string(StringBuilder whole) {
        char quote = text.charAt(at);
        String triple = String.valueOf(quote).repeat(3);
        boolean isTriple = text.startsWith(triple, at);
        int start = at;
        at += isTriple ? 3 : 1;
        while (at < text.length()) {
            char character = text.charAt(at);
            if (isTriple ? text.startsWith(triple, at) : character == quote) {
                at += isTriple ? 3 : 1;
                return;
            }
            if (character == '\n' && !isTriple) {
                break;
            }
            if (character == '\\') {
                escape(whole);
            } else {
                whole.append(character);
                at++;
            }
        }
        at = start;
        throw unexpected("a quote that is closed");
    }

    private void escape(StringBuilder whole) {
        at++;
        char kind = peek();
        at++;
        switch (kind) {
            case '\n' -> {}
            case 'n' -> whole.append('\n');
            case 't' -> whole.append('\t');
            case 'r' -> whole.append('\r');
            case 'b' -> whole.append('\b');
            case 'f' -> whole.append('\f');
            case '\\', '\'', '"', '/' -> whole.append(kind);
            case 'x' -> whole.appendCodePoint(hexadecimal(2));
            case 'u' -> whole.appendCodePoint(hexadecimal(4));
            case 'U' -> whole.appendCodePoint(hexadecimal(8));
            default -> whole.append('\\').append(kind);
        }
    }

    private int hexadecimal(int digits) {
        int end = at + digits;
        if (end <= text.length() && text.substring(at, end).matches("[0-9a-fA-F]+")) {
            long code = Long.parseLong(text.substring(at, end), 16);
            if (code <= Character.MAX_CODE_POINT) {
                at = end;
                return (int) code;
            }
        }
        throw unexpected(digits + " hexadecimal digits of a character");
    }

    private JsonNode number() {
        int start = at;
        while (at < text.length() && "+-.eE_0123456789".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
        String digits = text.substring(start, at);
        if (digits.matches("[+-]?\\d{1,40}")) {
            BigInteger whole = new BigInteger(digits);
            return whole.bitLength() < Long.SIZE ? NODES.numberNode(whole.longValue()) : NODES.numberNode(whole);
        }
        if (digits.matches("[+-]?(\\d{1,40}\\.?\\d{0,40}|\\.\\d{1,40})([eE][+-]?\\d{1,4})?")) {
            BigDecimal exact = new BigDecimal(digits);
            double rounded = exact.doubleValue();
            if (Double.isInfinite(rounded) || rounded == 0 && exact.signum() != 0) {
                at = start;
                throw unexpected("0, or a number of a size from " + Double.MIN_VALUE + " to " + Double.MAX_VALUE);
            }
            boolean same = BigDecimal.valueOf(rounded).compareTo(exact) == 0;
            return same ? NODES.numberNode(rounded) : NODES.numberNode(exact);
        }
        at = start;
        throw unexpected("a number of at most 40 digits before and behind the point");
    }

    private JsonNode word() {
        int start = at;
        while (at < text.length() && Character.isLetterOrDigit(text.charAt(at))) {
            at++;
        }
        return switch (text.substring(start, at)) {
            case "True", "true" -> NODES.booleanNode(true);
            case "False", "false" -> NODES.booleanNode(false);
            case "None", "null" -> NODES.nullNode();
            default -> {
                at = start;
                throw unexpected("a dict, a list, a text in quotes, a number, True, False or None");
            }
        };
    }

    private void expect(char wanted) {
        skip();
        if (peek() != wanted) {
            throw unexpected("'" + wanted + "'");
        }
        at++;
    }

    private void skip() {
        while (at < text.length() && Character.isWhitespace(text.charAt(at))) {
            at++;
        }
    }

    /** The next character, or a zero character at the end, which no literal begins with. */
    private char peek() {
        return at < text.length() ? text.charAt(at) : '\0';
    }

    private ConcertinaException unexpected(String accepted) {
        String there =
                at >= text.length() ? "ends" : "has '" + text.substring(at, Math.min(at + 20, text.length())) + "'";
        return new ConcertinaException(
                ErrorCode.INVALID_ARGUMENT,
                "data " + there + " at character " + (at + 1) + ", accepted: " + accepted
                        + "; data is a JSON object or a Python dict");
    }
}
