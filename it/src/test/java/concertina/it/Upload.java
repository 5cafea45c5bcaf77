package concertina.it;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** One part of a submission's multipart body: a file when it has a file name, else a form field. */
record Upload(String part, String fileName, byte[] bytes) {
    static final String BOUNDARY = "concertina-it-7d1f0c";

    /** A file in the part that clients usually name {@code file}. */
    static Upload file(String fileName, byte[] bytes) {
        return new Upload("file", fileName, bytes);
    }

    static Upload file(String fileName, String text) {
        return file(fileName, text.getBytes(StandardCharsets.UTF_8));
    }

    static Upload field(String name, String value) {
        return new Upload(name, "", value.getBytes(StandardCharsets.UTF_8));
    }

    /** The parts as a multipart/form-data body. */
    static byte[] body(List<Upload> parts) {
        ByteArrayOutputStream body = new ByteArrayOutputStream();
        for (Upload part : parts) {
            String file = part.fileName.isEmpty() ? "" : "; filename=\"" + part.fileName + "\"";
            body.writeBytes(("--" + BOUNDARY + "\r\nContent-Disposition: form-data; name=\"" + part.part + "\"" + file
                            + (file.isEmpty() ? "" : "\r\nContent-Type: application/octet-stream") + "\r\n\r\n")
                    .getBytes(StandardCharsets.UTF_8));
            body.writeBytes(part.bytes);
            body.writeBytes("\r\n".getBytes(StandardCharsets.UTF_8));
        }
        body.writeBytes(("--" + BOUNDARY + "--\r\n").getBytes(StandardCharsets.UTF_8));
        return body.toByteArray();
    }
}
