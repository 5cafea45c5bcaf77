package concertina.server;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;

/** Columns of text under a heading, as wide as their widest cell. Pure. */
final class TextTable {
    private TextTable() {}

    /** Lines without trailing blanks, the heading first; every row has as many cells as the heading. */
    static List<String> lines(List<String> heading, List<List<String>> rows) {
        List<List<String>> all = new ArrayList<>(List.of(heading));
        all.addAll(rows);
        int[] widths = new int[heading.size()];
        for (List<String> row : all) {
            for (int column = 0; column < widths.length; column++) {
                widths[column] = Math.max(widths[column], row.get(column).length());
            }
        }
        return all.stream()
                .map(row -> {
                    StringBuilder line = new StringBuilder();
                    for (int column = 0; column < widths.length; column++) {
                        String cell = row.get(column);
                        line.append(cell).append(" ".repeat(widths[column] - cell.length() + 2));
                    }
                    return line.toString().stripTrailing();
                })
                .collect(Collectors.toList());
    }
}
