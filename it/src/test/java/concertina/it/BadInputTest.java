package concertina.it;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeSet;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Whatever is wrong with a request: one line that says what, and the platform as it was before. */
class BadInputTest {
    private static final byte[] SCRIPT = "print('never runs')\n".getBytes(StandardCharsets.UTF_8);
    private static final String SINGLE = "--exec-start PyTorch --model-main main.py";

    private static Platform platform;
    private static Client client;
    private TreeSet<String> filesBefore = new TreeSet<>();

    @BeforeAll
    static void start(@TempDir Path folder) {
        platform = Platform.serverOnly(folder, "upload-limit-megabytes: 8");
        client = platform.administrator();
        client.token();
    }

    @AfterAll
    static void stop() {
        platform.close();
    }

    @BeforeEach
    void remember() throws IOException {
        filesBefore = files();
    }

    @AfterEach
    void nothingIsStoredAndTheServerIsAsBefore() throws IOException {
        assertThat(Client.json(client.get(Client.EXEC + "/execs"))).isEmpty();
        assertThat(files()).isEqualTo(filesBefore);
        assertThat(platform.serverAlive()).isTrue();
        assertThat(client.healthy()).isTrue();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "../outside.py",
                "code/../../outside.py",
                "/etc/absolute.py",
                "code/../../../../../../tmp/outside.py",
            })
    void archivesWhoseMembersLeaveTheirFolderAreRefused(String member) {
        Map<String, byte[]> members = new LinkedHashMap<>();
        members.put("code/main.py", SCRIPT);
        members.put(member, SCRIPT);

        for (byte[] archive :
                new byte[][] {Archives.tar(members), Archives.gzippedTar(members), Archives.zip(members)}) {
            refused(client.trySubmit(SINGLE, Upload.file("code.modelDir.tar", archive)), 400, member);
        }
    }

    @Test
    void archivesWithLinksAreRefused() {
        for (boolean symbolic : new boolean[] {true, false}) {
            byte[] archive = Archives.tarWithLink("code/passwd", "/etc/passwd", symbolic);

            refused(client.trySubmit(SINGLE, Upload.file("code.tar", archive)), 400, "code/passwd");
        }
    }

    @Test
    void aBombIsRefused() {
        byte[] bomb = Archives.gzippedZeros("code/main.py", 256L << 20);
        assertThat(bomb.length).isLessThan(8 << 20);

        HttpResponse<String> answer = client.trySubmit(SINGLE, Upload.file("code.modelDir.tar", bomb));

        refused(answer, answer.statusCode() == 413 ? 413 : 400, "accepted");
    }

    @Test
    void anArchiveWithTooManyMembersIsRefused() {
        Map<String, byte[]> members = new LinkedHashMap<>();
        members.put("code/main.py", SCRIPT);
        IntStream.range(0, 25_000).forEach(index -> members.put("code/" + index, new byte[0]));

        HttpResponse<String> answer =
                client.trySubmit(SINGLE, Upload.file("code.modelDir.tar", Archives.gzippedTar(members)));

        refused(answer, answer.statusCode() == 413 ? 413 : 400, "accepted");
    }

    @Test
    void whatIsNoArchiveIsRefused() {
        byte[] noise = new byte[4096];
        new java.util.Random(7).nextBytes(noise);

        refused(client.trySubmit(SINGLE, Upload.file("code.modelDir.tar", noise)), 400, "code.modelDir.tar");
        refused(client.trySubmit(SINGLE, Upload.file("code.modelDir.tar", new byte[0])), 400, "code.modelDir.tar");
    }

    @Test
    void aTruncatedArchiveIsRefused() {
        byte[] random = new byte[100_000];
        new java.util.Random(8).nextBytes(random);
        byte[] whole = Archives.gzippedTar(Map.of("code/main.py", SCRIPT, "code/data.bin", random));

        refused(
                client.trySubmit(SINGLE, Upload.file("code.modelDir.tar", java.util.Arrays.copyOf(whole, 50_000))),
                400,
                "file",
                "damaged");
    }

    @Test
    void aMissingOrEmptyMainIsNamed() {
        Upload code = Upload.file("main.py", SCRIPT);

        refused(client.trySubmit("--exec-start PyTorch --epochs 1", code), 400, "--model-main");
        refused(client.trySubmit("--exec-start PyTorch --model-main ''", code), 400, "--model-main");
        refused(client.trySubmit("--exec-start PyTorch --model-main", code), 400, "--model-main");
        refused(client.trySubmit("--exec-start PyTorch --model-main=", code), 400, "--model-main");
    }

    @Test
    void aMainThatIsNotInTheArchiveIsNamed() {
        byte[] archive = Archives.gzippedTar(Map.of("code/train.py", SCRIPT));

        refused(
                client.trySubmit(
                        "--exec-start PyTorch --model-dir code --model-main main.py",
                        Upload.file("code.modelDir.tar", archive)),
                400,
                "--model-main is 'main.py'",
                "train.py");
    }

    @Test
    void aMainOnTheServerMustExist() {
        refused(
                client.trySubmit("--exec-start PyTorch --model-main /no/such/folder/main.py"),
                400,
                "--model-main",
                "/no/such/folder/main.py");
    }

    @Test
    void anUnknownFrameworkIsNamedWithTheKnownOnes() {
        refused(
                client.trySubmit("--exec-start Caffe --model-main main.py", Upload.file("main.py", SCRIPT)),
                400,
                "--exec-start is 'Caffe'",
                "edtPyTorch");
        refused(client.trySubmit("--model-main main.py", Upload.file("main.py", SCRIPT)), 400, "--exec-start");
    }

    @ParameterizedTest
    @ValueSource(strings = {"0", "-1", "many", "1025", "2.5", "99999999999999999999"})
    void aNumberOfWorkersOutOfRangeIsNamed(String number) {
        refused(
                client.trySubmit(
                        "--exec-start edtPyTorch --numWorker " + number + " --model-main main.py",
                        Upload.file("main.py", SCRIPT)),
                400,
                "--numWorker",
                number,
                "1 to 1024");
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "/log", "/result"})
    void readingAnUnknownExecIsRefused(String below) {
        refused(client.get(Client.EXEC + "/execs/concertina-987654" + below), 400, "concertina-987654");
    }

    @ParameterizedTest
    @ValueSource(strings = {"..", "%2e%2e", "..%2f..%2fserver", "concertina-1%00", "a%0d%0aSet-Cookie:%20x=1"})
    void execIdsThatAreNoIdsAreRefused(String id) {
        HttpResponse<String> answer = client.get(Client.EXEC + "/execs/" + id + "/log");

        assertThat(answer.statusCode()).isBetween(400, 499);
        assertThat(answer.headers().firstValue("Set-Cookie")).isEmpty();
    }

    @Test
    void stoppingOrDeletingAnUnknownExecIsRefused() {
        refused(client.send("POST", Client.EXEC + "/execs/concertina-987654/stop"), 400, "concertina-987654");
        refused(client.send("DELETE", Client.EXEC + "/execs/concertina-987654"), 400, "concertina-987654");
    }

    @ParameterizedTest
    @ValueSource(strings = {"Basic", "Basic ", "Basic ***", "Basic YWRtaW4=", "Basic Og==", "Digest x", "Bearer", ""})
    void aMalformedLogonIsRefused(String header) {
        HttpResponse<String> answer =
                client.text("GET", "/auth/v1/logon", Map.of("Authorization", header), new byte[0]);

        assertThat(answer.statusCode()).isBetween(400, 401);
        assertThat(answer.body())
                .startsWith("Error " + answer.statusCode() + ": ")
                .doesNotContain("\tat ");
    }

    @Test
    void aWrongPasswordAndAnUnknownUserLookTheSame() {
        HttpResponse<String> wrong = logon(client.user(), "not the password");
        HttpResponse<String> unknown = logon("nobody-here", "not the password");

        refused(wrong, 401, "");
        assertThat(unknown.statusCode()).isEqualTo(401);
        assertThat(unknown.body()).isEqualTo(wrong.body());
    }

    @Test
    void aForgedOrForeignTokenIsRefusedOnEveryCall() {
        String token = client.token();
        String forged = token.substring(0, token.length() - 8) + "AAAAAAAA";
        String unsigned = "eyJhbGciOiJub25lIn0."
                + java.util.Base64.getUrlEncoder()
                        .withoutPadding()
                        .encodeToString(("{\"sub\":\"" + client.user() + "\"}").getBytes(StandardCharsets.UTF_8))
                + ".";
        for (String bad : new String[] {forged, unsigned, "nonsense", token + "x", ""}) {
            for (String path : new String[] {
                "/conf", "/execs", "/execs/frameworks", "/execs/concertina-1", "/scheduler/applications"
            }) {
                assertThat(client.text("GET", Client.EXEC + path, Map.of("X-Auth-Token", bad), new byte[0])
                                .statusCode())
                        .as(bad + " on " + path)
                        .isEqualTo(401);
            }
        }
        assertThat(client.text("GET", Client.EXEC + "/execs", Map.of(), new byte[0])
                        .statusCode())
                .isEqualTo(401);
        assertThat(client.text("GET", Client.NATIVE + "/cluster", Map.of(), new byte[0])
                        .statusCode())
                .isEqualTo(401);
    }

    @Test
    void aUsersTokenOpensNothingOfTheAgents() {
        assertThat(client.text(
                                "POST",
                                "/agent/v1/join",
                                Map.of("Authorization", "Bearer " + client.token(), "Content-Type", "application/json"),
                                "{}".getBytes(StandardCharsets.UTF_8))
                        .statusCode())
                .isIn(401, 403);
    }

    @Test
    void aBodyOverTheLimitIsRefused() {
        byte[] large = new byte[9 << 20];
        new java.util.Random(9).nextBytes(large);

        refused(client.trySubmit(SINGLE, Upload.file("main.py", large)), 413, "8");
    }

    @Test
    void aDamagedDataFormIsRefused() {
        Upload code = Upload.file("main.py", SCRIPT);

        refused(client.upload(Client.EXEC + "/execs", Upload.field("data", "{not json"), code), 400, "data");
        refused(client.upload(Client.EXEC + "/execs", Upload.field("data", "[]"), code), 400, "data");
        refused(client.upload(Client.EXEC + "/execs", code), 400, "args");
    }

    @Test
    void aDataPathOutsideTheDataFolderIsRefused() {
        refused(
                client.trySubmit(
                        SINGLE + " --cs-datastore-meta type=fs,data_path=../../server", Upload.file("main.py", SCRIPT)),
                400,
                "data_path");
    }

    private static HttpResponse<String> logon(String user, String password) {
        return client.text(
                "GET",
                "/auth/v1/logon",
                Map.of(
                        "Authorization",
                        "Basic "
                                + java.util.Base64.getEncoder()
                                        .encodeToString((user + ":" + password).getBytes(StandardCharsets.UTF_8))),
                new byte[0]);
    }

    /** One line of text in the contract's shape that holds all of the given pieces and nothing of the server's insides. */
    private static void refused(HttpResponse<String> answer, int status, String... pieces) {
        assertThat(answer.statusCode()).as(answer.body()).isEqualTo(status);
        assertThat(answer.body())
                .startsWith("Error " + status + ": ")
                .endsWith("\n")
                .contains(pieces)
                .doesNotContain("\tat ", "Exception", "java.");
        assertThat(answer.body().lines()).hasSize(1);
    }

    /** Everything on disk but the server's own database and logs, and a user's folder as long as nothing is in it. */
    private static TreeSet<String> files() throws IOException {
        TreeSet<String> names = new TreeSet<>();
        try (Stream<Path> walk = Files.walk(platform.data())) {
            walk.map(path -> platform.data().relativize(path).toString())
                    .filter(path -> !path.startsWith("server/concertina.db") && !path.startsWith("run"))
                    .filter(path -> !path.matches("results/[^/.]+(/batchworkdir|/uploads)?"))
                    .forEach(names::add);
        }
        return names;
    }
}
