package concertina.api;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.OutputStream;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Base64;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Requests as no library would write them, byte by byte. */
class OddRequestsTest extends ServedTest {
    private static final String BOB = "Authorization: " + TestServer.basic("bob", "secret") + "\r\n";
    private static final String EXECS = TestServer.EXECS;

    private record Answer(int status, String head, String body) {}

    private Answer exchange(String request) throws IOException {
        return exchange(request.getBytes(StandardCharsets.UTF_8));
    }

    private Answer exchange(byte[] request) throws IOException {
        try (Socket socket = new Socket("127.0.0.1", server.api.httpPort())) {
            socket.setSoTimeout(30_000);
            OutputStream output = socket.getOutputStream();
            output.write(request);
            output.flush();
            String text = new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            int end = text.indexOf("\r\n\r\n");
            assertThat(end).as(text).isPositive();
            return new Answer(Integer.parseInt(text.substring(9, 12)), text.substring(0, end), text.substring(end + 4));
        }
    }

    private Answer get(String target, String headers) throws IOException {
        return exchange("GET " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + headers + "\r\n");
    }

    private void stillServes() {
        assertThat(server.get("bob", EXECS).statusCode()).isEqualTo(200);
    }

    @Test
    void failedLogOnsAreCountedByWhereTheyComeFrom() {
        stillServes();
        assertThat(server.identity.addresses).isNotEmpty().containsOnly("127.0.0.1");
    }

    @Test
    void aMalformedAuthorizationIsNotAuthenticatedAndNeverQuoted() throws IOException {
        String noColon = Base64.getEncoder().encodeToString("bobsecret".getBytes(StandardCharsets.UTF_8));
        String notText = Base64.getEncoder().encodeToString(new byte[] {(byte) 0xff, ':', 'x'});
        String noUser = Base64.getEncoder().encodeToString(":secret".getBytes(StandardCharsets.UTF_8));
        for (String value : List.of(
                "Basic",
                "Basic ",
                "Basic !!!!",
                "Basic " + noColon,
                "Basic " + notText,
                "Basic " + noUser,
                "Bearer",
                "Bearer ",
                "Bearer forged.token.value",
                "Digest username=bob",
                "secret")) {
            for (String path : List.of(EXECS, "/auth/v1/logon")) {
                Answer answer = get(path, "Authorization: " + value + "\r\n");
                assertThat(answer.status()).as(value).isEqualTo(401);
                assertThat(answer.head()).contains("WWW-Authenticate: Basic");
                assertThat(answer.body())
                        .startsWith("Error 401: ")
                        .endsWith("\n")
                        .hasLineCount(1);
                assertThat(answer.body()).doesNotContain("forged", noColon, "bobsecret");
            }
        }
        Answer token = get(EXECS, "X-Auth-Token: forged\r\n" + BOB);
        assertThat(token.status()).isEqualTo(401);
    }

    @Test
    void aBodyOnGetIsAcceptedAndIgnored() throws IOException {
        String body = "{\"username\":\"eve\",\"password\":\"wrong\"}";
        String headers = BOB + "Content-Type: application/json\r\nContent-Length: " + body.length() + "\r\n";
        for (String path : List.of("/auth/v1/logon", EXECS, EXECS + "/")) {
            Answer answer =
                    exchange("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + headers + "\r\n" + body);
            assertThat(answer.status()).as(path).isEqualTo(200);
        }
    }

    @Test
    void tooLargeHeadersAreRefusedInTheContractsShape() throws IOException {
        Answer answer = get(EXECS, BOB + "X-Long: " + "a".repeat(40_000) + "\r\n");
        assertThat(answer.status()).isEqualTo(431);
        assertThat(answer.body()).startsWith("Error 431: ").hasLineCount(1);
        Answer line = get(EXECS + "?args=" + "a".repeat(40_000), BOB);
        assertThat(line.status()).isIn(414, 431);
        assertThat(line.body()).startsWith("Error 4").hasLineCount(1);
        stillServes();
    }

    @Test
    void aLongCommandLineInTheQueryIsTaken() throws IOException {
        String args = "--exec-start%20PyTorch%20--model-main%20main.py" + "%20".repeat(5000);
        Answer answer = exchange("POST " + EXECS + "?args=" + args + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                + BOB + "Content-Length: 0\r\n\r\n");
        assertThat(answer.body()).startsWith("Error 400: --model-main is 'main.py'");
    }

    @Test
    void charactersThatRequestsLeavesUnencodedAreRead() throws IOException {
        server.submitted("bob", "--exec-start PyTorch --model-main main.py");
        String args = "--exec-start+PyTorch%20--model-main%20m.py%20a!$'()*,/:;=?@[]~'";
        Multipart form = new Multipart().file("file", "m.py", "x");
        byte[] body = form.bytes();
        byte[] head = ("POST " + EXECS + "?args=" + args + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + BOB
                        + "Content-Type: " + form.contentType() + "\r\nContent-Length: " + body.length + "\r\n\r\n")
                .getBytes(StandardCharsets.UTF_8);
        byte[] whole = new byte[head.length + body.length];
        System.arraycopy(head, 0, whole, 0, head.length);
        System.arraycopy(body, 0, whole, head.length, body.length);
        Answer answer = exchange(whole);
        assertThat(answer.status()).as(answer.body()).isEqualTo(200);
        assertThat(server.jobs.list().getLast().spec().scriptArguments()).containsExactly("a!$()*,/:;=?@[]~");
    }

    @Test
    void spacesAndBrokenEscapesInTheQueryAreABadRequestAndNotAnIncident() throws IOException {
        for (String query : List.of("args=--exec-start PyTorch", "limit=%zz", "limit=%2", "limit=%", "limit=%ff")) {
            Answer answer = get(EXECS + "?" + query, BOB);
            assertThat(answer.status()).as(query).isIn(400, 505);
            assertThat(answer.body()).startsWith("Error ").hasLineCount(1).doesNotContain("java.", "\tat ");
        }
        stillServes();
    }

    @Test
    void malformedRequestsAreAnsweredInOneLine() throws IOException {
        for (String request : List.of(
                "NONSENSE\r\n\r\n",
                "GET / HTTP/9.9\r\nHost: x\r\n\r\n",
                "GET " + EXECS + "/%2e%2e/conf HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + BOB + "\r\n",
                "GET " + EXECS + "/..%2fconf HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + BOB + "\r\n",
                "GET " + EXECS + " HTTP/1.1\r\nConnection: close\r\n\r\n",
                "POST " + EXECS + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: x\r\n\r\n",
                "BREW " + EXECS + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + BOB + "\r\n")) {
            Answer answer = exchange(request);
            assertThat(answer.status()).as(request).isBetween(400, 505);
            assertThat(answer.body()).as(request).startsWith("Error ").doesNotContain("<html", "java.", "\tat ");
            assertThat(answer.head()).doesNotContain("Jetty");
        }
        stillServes();
    }

    @Test
    void anUnknownPathAndAWrongMethodAreToldInEachContractsShape() throws IOException {
        assertThat(get("/platform/rest/deeplearning/v1/nothing", BOB).body())
                .isEqualTo("Error 404: no such path: /platform/rest/deeplearning/v1/nothing\n");
        Answer own = get("/concertina/v1/nothing", BOB);
        assertThat(own.status()).isEqualTo(404);
        assertThat(own.body()).contains("\"code\":\"NOT_FOUND\"");
        Answer method = exchange(
                "PUT " + EXECS + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + BOB + "Content-Length: 0\r\n\r\n");
        assertThat(method.status()).isEqualTo(405);
        assertThat(method.body()).isEqualTo("Error 405: PUT is not available for " + EXECS + "\n");
    }

    @Test
    void aBodyAnnouncedOverTheLimitIsRefusedBeforeItIsRead() throws IOException {
        Answer answer = exchange("POST " + EXECS
                + "?args=--exec-start%20PyTorch%20--model-main%20a.py HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                + BOB
                + "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 2000000\r\n\r\n"
                + "x".repeat(2_000_000));
        assertThat(answer.status()).isEqualTo(413);
        assertThat(answer.body()).isEqualTo("Error 413: the body is over the limit, accepted: at most 1048576 bytes\n");
        assertThat(folder.resolve("tmp")).doesNotExist();
    }

    @Test
    void aChunkedBodyOverTheLimitLeavesNothingBehind() throws IOException {
        StringBuilder request = new StringBuilder("POST " + EXECS
                + "?args=--exec-start%20PyTorch%20--model-main%20a.py HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                + BOB
                + "Content-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n");
        String start = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.py\"\r\n\r\n";
        request.append(Integer.toHexString(start.length()))
                .append("\r\n")
                .append(start)
                .append("\r\n");
        for (int chunk = 0; chunk < 20; chunk++) {
            request.append("19000\r\n").append("y".repeat(0x19000)).append("\r\n");
        }
        request.append("0\r\n\r\n");
        Answer answer = exchange(request.toString());
        assertThat(answer.status()).isEqualTo(413);
        try (var left = Files.list(folder.resolve("tmp"))) {
            assertThat(left).isEmpty();
        }
        assertThat(server.jobs.list()).isEmpty();
        stillServes();
    }

    @Test
    void aBrokenOffUploadLeavesNothingBehind() throws Exception {
        try (Socket socket = new Socket("127.0.0.1", server.api.httpPort())) {
            socket.getOutputStream()
                    .write(("POST " + EXECS
                                    + "?args=--exec-start%20PyTorch%20--model-main%20a.py HTTP/1.1\r\nHost: x\r\n"
                                    + BOB
                                    + "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 90000\r\n\r\n"
                                    + "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.py\"\r\n\r\nxyz")
                            .getBytes(StandardCharsets.UTF_8));
            socket.getOutputStream().flush();
            Waiting.until("the upload has begun", () -> count(folder.resolve("tmp")) == 1);
        }
        Waiting.until("the upload is gone", () -> count(folder.resolve("tmp")) == 0);
        assertThat(server.jobs.list()).isEmpty();
        stillServes();
    }

    @Test
    void anUploadThatTakesTooLongIsRefused() throws Exception {
        server.close();
        server = new TestServer(
                folder,
                options -> new HttpOptions(
                        options.listenAddress(),
                        -1,
                        options.keyStore(),
                        options.keyStorePassword(),
                        0,
                        options.temporaryFolder(),
                        options.uploadLimitBytes(),
                        options.headerLimitBytes(),
                        options.concurrentUploads(),
                        Duration.ofMillis(500),
                        Duration.ofMinutes(1)));
        Answer answer = exchange("POST " + EXECS
                + "?args=--exec-start%20PyTorch%20--model-main%20a.py HTTP/1.1\r\nHost: x\r\n" + BOB
                + "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 90000\r\n\r\n--b\r\n");
        assertThat(answer.status()).isEqualTo(408);
        assertThat(count(folder.resolve("tmp"))).isZero();
        stillServes();
    }

    private static int count(Path folder) throws IOException {
        if (!Files.isDirectory(folder)) {
            return 0;
        }
        try (var files = Files.list(folder)) {
            return (int) files.count();
        }
    }
}
