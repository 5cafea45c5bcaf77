package concertina.api;

import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.Reader;
import java.io.SequenceInputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.SeekableByteChannel;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Enumeration;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import tools.jackson.core.JsonGenerator;
import tools.jackson.databind.json.JsonMapper;

/** Reads log files, however large, without ever holding one whole. A file that is not there yet reads as empty. */
public final class LogFiles {
    private static final JsonMapper JSON = JsonMapper.builder().build();

    private LogFiles() {}

    /** All files one after the other, each opened when its turn comes. */
    public static InputStream concatenated(List<Path> files) {
        Iterator<Path> remaining = files.iterator();
        return new SequenceInputStream(new Enumeration<>() {
            @Override
            public boolean hasMoreElements() {
                return remaining.hasNext();
            }

            @Override
            public InputStream nextElement() {
                return open(remaining.next());
            }
        });
    }

    /** Whether a client's {@code Accept} names JSON before plain text. */
    public static boolean prefersJson(String accept) {
        String lower = accept.toLowerCase(Locale.ROOT);
        int json = lower.indexOf("application/json");
        int text = lower.indexOf("text/plain");
        return json >= 0 && (text < 0 || json < text);
    }

    /** Writes the text as one JSON string; bytes that are not UTF-8 become replacement characters. */
    public static void writeJsonString(InputStream text, OutputStream output) throws IOException {
        try (Reader reader = new InputStreamReader(
                        text,
                        StandardCharsets.UTF_8
                                .newDecoder()
                                .onMalformedInput(CodingErrorAction.REPLACE)
                                .onUnmappableCharacter(CodingErrorAction.REPLACE));
                JsonGenerator generator = JSON.createGenerator(output)) {
            generator.writeString(reader, -1);
        }
    }

    /** The file from its last lines on; the whole file when it has no more. */
    public static InputStream lastLines(Path file, int lines) throws IOException {
        try (SeekableByteChannel channel = Files.newByteChannel(file)) {
            return from(file, startOfLastLines(channel, lines));
        } catch (NoSuchFileException notYet) {
            return InputStream.nullInputStream();
        }
    }

    /** The file from an offset on; empty when the offset lies beyond its end. */
    public static InputStream from(Path file, long offset) throws IOException {
        try {
            InputStream stream = Files.newInputStream(file);
            stream.skip(offset);
            return stream;
        } catch (NoSuchFileException notYet) {
            return InputStream.nullInputStream();
        }
    }

    private static long startOfLastLines(SeekableByteChannel channel, int lines) throws IOException {
        long end = channel.size();
        long position = end;
        int seen = 0;
        ByteBuffer block = ByteBuffer.allocate(1 << 16);
        while (position > 0) {
            long start = Math.max(0, position - block.capacity());
            block.clear().limit((int) (position - start));
            channel.position(start);
            while (block.hasRemaining() && channel.read(block) >= 0) {
                continue;
            }
            for (int index = block.position() - 1; index >= 0; index--) {
                boolean lineEnd = block.get(index) == '\n';
                if (lineEnd && start + index < end - 1 && ++seen == lines) {
                    return start + index + 1;
                }
            }
            position = start;
        }
        return 0;
    }

    private static InputStream open(Path file) {
        try {
            return Files.newInputStream(file);
        } catch (NoSuchFileException notYet) {
            return InputStream.nullInputStream();
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }
}
