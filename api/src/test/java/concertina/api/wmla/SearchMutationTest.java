package concertina.api.wmla;

import static org.assertj.core.api.Assertions.assertThat;

import concertina.api.Multipart;
import concertina.api.ServedTest;
import java.io.ByteArrayOutputStream;
import java.io.UncheckedIOException;
import java.net.URLEncoder;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.regex.Pattern;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.json.JsonMapper;

/** Whatever stands in a request of the search routes, the answer is no failure of the server and speaks the user's language. */
class SearchMutationTest extends ServedTest {
    private static final String SEARCHES = "/platform/rest/deeplearning/v1/hypersearch";
    private static final String OWN = "/concertina/v1/searches";
    private static final int MUTATIONS = 200;
    private static final Pattern INNARDS = Pattern.compile(
            "Exception|incident|\\b(java|javax|jdk|tools|org|com|io|concertina)(\\.[a-z]\\w*)+\\.[A-Z]");

    private static final String MODEL = "'modelSpec': {'args': '--exec-start PyTorch --model-main main.py'}, ";
    private static final String RATE =
            "{'name': 'rate', 'type': 'Range', 'dataType': 'DOUBLE', 'minDbVal': 0.001, 'maxDbVal': 0.1, 'step': '0.002'}";
    private static final List<String> CREATIONS = List.of(
            "{'hpoName': 'one', " + MODEL
                    + "'algoDef': {'algorithm': 'Random', 'objectiveMetric': 'loss', 'maxJobNum': 4,"
                    + " 'maxParalleJobNum': 2, 'maxRunTime': 60, 'hyperbandEta': 3, 'additionalMetrics': {'accuracy': 'maximize'},"
                    + " 'algoParams': [{'name': 'RandomSeed', 'value': '2'}]}, 'hyperParams': [" + RATE + "]}",
            "{" + MODEL + "'algoDef': {'algorithm': 'TPE', 'objectives': [{'metric': 'loss'}, {'metric': 'speed',"
                    + " 'objective': 'maximize'}], 'constraints': [{'metric': 'memory', 'atMost': 16}], 'algoParams': {'WarmUp': 5,"
                    + " 'GoodRatio': 0.2}, 'warmStart': {'searches': ['known']}}, 'hyperParams': [" + RATE
                    + ", {'name': 'kind', 'type': 'Discrete', 'dataType': 'STR', 'discreateStrVal': ['sgd', 'adam']},"
                    + " {'name': 'momentum', 'type': 'Range', 'dataType': 'DOUBLE', 'minDbVal': 1e-4, 'maxDbVal': 1, 'scale': 'log',"
                    + " 'when': {'name': 'kind', 'values': ['sgd']}}]}",
            "{" + MODEL
                    + "'algoDef': {'algorithm': 'Hyperband', 'objectiveMetric': 'loss', 'objective': 'Maximize', 'earlyStopping':"
                    + " {'rule': 'asha', 'maxSteps': 81}, 'stopWhenConverged': {'patience': 20, 'tolerance': 0.001}, 'algoParams':"
                    + " {'ResourceName': 'epochs', 'ResourceValue': '81', 'eta': 3}}, 'hyperParams': [{'name': 'layers', 'type':"
                    + " 'Range', 'dataType': 'INT', 'minIntVal': 1, 'maxIntVal': 4, 'power': 2}, {'name': 'batch', 'type': 'Fix',"
                    + " 'dataType': 'INT', 'fixedVal': '64'}]}",
            "{" + MODEL
                    + "'algoDef': {'algorithm': 'ExperimentGridSearch', 'objectiveMetric': 'loss'}, 'experiments': [{'id': 1,"
                    + " 'hyperParams': [{'name': 'rate', 'dataType': 'DOUBLE', 'fixedVal': '0.1'}]}]}");
    private static final String PLUGIN =
            "{'name': 'mine', 'hyperParams': [" + RATE + "], 'algoParams': [{'name': 'a', 'value': 1}]}";

    /** What is put in, and in the place of numbers. */
    private static final List<String> ODDITIES = List.of(
            "\\ud800",
            "\\u0000",
            "\\x00",
            "\0",
            "%",
            "%zz",
            "%ff",
            "'",
            "\"",
            "\\",
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            "None",
            "True",
            "[]",
            "{}",
            "''",
            "-",
            "é",
            "\uD83D\uDE00",
            "\u2028",
            "../",
            "/",
            ";",
            "\r\n",
            "--",
            "'''",
            "(((((((((",
            "nan",
            "1e5",
            "\t");

    private static final List<String> NUMBERS = List.of(
            "0",
            "-1",
            "1e308",
            "-1e308",
            "1e400",
            "5e-324",
            "1e-400",
            "9223372036854775807",
            "9223372036854775808",
            "2147483648",
            "1000000",
            "0.5",
            "None",
            "'x'",
            "[1]",
            "{}",
            "True",
            "''",
            "'NaN'",
            "'1e9999'",
            "0x10",
            "1_000");

    private static final Pattern NUMBER = Pattern.compile("-?\\d+(\\.\\d+)?(e-?\\d+)?");

    private Random random = new Random();

    @BeforeEach
    void makeWhatRequestsName() {
        String known = CREATIONS.getFirst().replace("'one'", "'known'");
        Multipart form = new Multipart().field("data", known).file("main.py", "main.py", "print(1)\n");
        assertThat(send("bob", "POST", SEARCHES, form.contentType(), form.bytes())
                        .statusCode())
                .isEqualTo(200);
        byte[] install = new Multipart()
                .field("data", "{'name': 'mine', 'path': '" + folder.resolve("shared") + "'}")
                .bytes();
        assertThat(send("ada", "POST", SEARCHES + "/algorithm/install", form.contentType(), install)
                        .statusCode())
                .isEqualTo(200);
    }

    private HttpResponse<String> send(String user, String method, String path, String type, byte[] body) {
        HttpRequest.Builder request = server.as(user, path).method(method, BodyPublishers.ofByteArray(body));
        request = body.length == 0 ? request : request.header("Content-Type", type);
        try {
            return server.send(request);
        } catch (UncheckedIOException ended) {
            // After a path that no server can read it ends the connection, which the client may notice too late.
            return server.send(request);
        }
    }

    @Test
    void noMutationOfAValidRequestMakesTheServerFail() {
        long seed = System.nanoTime();
        random = new Random(seed);
        for (int i = 0; i < MUTATIONS; i++) {
            String which = "seed " + seed + ", mutation " + i;
            switch (i % 10) {
                case 0, 1 -> create(which, "multipart");
                case 2 -> create(which, "part");
                case 3 -> create(which, "body");
                case 4 -> create(which, "urlencoded");
                case 5 -> create(which, "envelope");
                case 6 -> posted(which, "ada", SEARCHES + "/algorithm/debug", PLUGIN);
                case 7 ->
                    posted(
                            which,
                            "ada",
                            SEARCHES + "/algorithm/install",
                            "{'name': 'other" + i + "', 'path': '" + folder.resolve("shared")
                                    + "', 'logLevel': 'INFO'}");
                case 8 -> check(which, "POST", OWN + "/known/points", "application/json", mutated("{\"rate\": 0.005}"));
                default -> check(which, "GET", path(), "", new byte[0]);
            }
        }
        assertThat(server.get("bob", SEARCHES).statusCode()).isEqualTo(200);
        assertThat(server.get("bob", OWN).statusCode()).isEqualTo(200);
    }

    private void create(String which, String shape) {
        String data = CREATIONS.get(random.nextInt(CREATIONS.size()));
        Multipart form = new Multipart();
        HttpResponse<String> answer = switch (shape) {
            case "part" ->
                check(
                        which,
                        "POST",
                        SEARCHES,
                        form.contentType(),
                        form.file("data", "data", mutated(data))
                                .file("main.py", "main.py", "print(1)\n")
                                .bytes());
            case "body" -> check(which, "POST", SEARCHES, "application/json", mutated(data));
            case "urlencoded" ->
                check(
                        which,
                        "POST",
                        SEARCHES,
                        "application/x-www-form-urlencoded",
                        mutated("data=" + URLEncoder.encode(data, StandardCharsets.UTF_8)));
            case "envelope" ->
                check(
                        which,
                        "POST",
                        SEARCHES,
                        form.contentType(),
                        mutated(form.field("data", data)
                                .file("main.py", "main.py", "print(1)\n")
                                .bytes()));
            default -> check(which, "POST", SEARCHES, form.contentType(), fields(mutated(data), form));
        };
        if (answer.statusCode() == 200) {
            String name =
                    JsonMapper.shared().readTree(answer.body()).path("uid").asString();
            String search = SEARCHES + "/"
                    + URLEncoder.encode(name, StandardCharsets.UTF_8).replace("+", "%20");
            check(which, "GET", search, "", new byte[0]);
            check(which, "GET", search.replace(SEARCHES, OWN), "", new byte[0]);
            check(which, "DELETE", search, "", new byte[0]);
        }
    }

    private void posted(String which, String user, String path, String data) {
        Multipart form = new Multipart();
        checked(which, send(user, "POST", path, form.contentType(), fields(mutated(data), form)), path, data);
    }

    /** A form whose field has any bytes. */
    private static byte[] fields(byte[] data, Multipart form) {
        String mark = "the place of the data";
        String whole = new String(
                form.field("data", mark)
                        .file("main.py", "main.py", "print(1)\n")
                        .bytes(),
                StandardCharsets.ISO_8859_1);
        return whole.replace(mark, new String(data, StandardCharsets.ISO_8859_1))
                .getBytes(StandardCharsets.ISO_8859_1);
    }

    private String path() {
        List<String> queries = List.of(
                "?latest=20",
                "/trials?format=csv",
                "/importance?objective=loss",
                "/slice?parameter=rate",
                "/contour?first=rate&second=rate&grid=25",
                "/pareto-front");
        String query = new String(mutated(queries.get(random.nextInt(queries.size()))), StandardCharsets.UTF_8);
        String quoted = URLEncoder.encode(query, StandardCharsets.UTF_8)
                .replace("%3F", "?")
                .replace("%3D", "=")
                .replace("%26", "&")
                .replace("%2F", "/");
        return OWN + "/known" + quoted;
    }

    private HttpResponse<String> check(String which, String method, String path, String type, byte[] body) {
        return checked(
                which,
                send("bob", method, path, type, body),
                method + " " + path,
                new String(body, StandardCharsets.ISO_8859_1));
    }

    private static HttpResponse<String> checked(
            String which, HttpResponse<String> answer, String path, String request) {
        String what = which + ", " + path + ", " + request + ", answered " + answer.statusCode() + " " + answer.body();
        assertThat(answer.statusCode()).as(what).isLessThan(500);
        if (answer.statusCode() >= 400) {
            assertThat(INNARDS.matcher(answer.body()).find()).as(what).isFalse();
        }
        return answer;
    }

    private byte[] mutated(String text) {
        return mutated(text.getBytes(StandardCharsets.UTF_8));
    }

    private byte[] mutated(byte[] bytes) {
        byte[] result = bytes;
        for (int i = 0; i <= random.nextInt(3); i++) {
            result = mutatedOnce(result);
        }
        return result;
    }

    private byte[] mutatedOnce(byte[] bytes) {
        int from = random.nextInt(bytes.length + 1);
        int to = Math.min(bytes.length, from + 1 + random.nextInt(30));
        byte[] slice = Arrays.copyOfRange(bytes, from, to);
        return switch (random.nextInt(12)) {
            case 0 -> spliced(bytes, from, to, new byte[0]);
            case 1 -> spliced(bytes, from, from, slice);
            case 2 -> spliced(bytes, from, from, any(ODDITIES));
            case 3 -> spliced(bytes, from, Math.min(bytes.length, from + 1), new byte[] {(byte) random.nextInt(256)});
            case 4 -> spliced(bytes, from, from, HexFormat.of().parseHex(random.nextBoolean() ? "fffe" : "c0af"));
            default -> {
                List<int[]> numbers = NUMBER.matcher(new String(bytes, StandardCharsets.ISO_8859_1))
                        .results()
                        .map(found -> new int[] {found.start(), found.end()})
                        .toList();
                if (numbers.isEmpty()) {
                    yield spliced(bytes, from, to, any(ODDITIES));
                }
                int[] place = numbers.get(random.nextInt(numbers.size()));
                yield spliced(bytes, place[0], place[1], any(NUMBERS));
            }
        };
    }

    private byte[] any(List<String> texts) {
        return texts.get(random.nextInt(texts.size())).getBytes(StandardCharsets.UTF_8);
    }

    private static byte[] spliced(byte[] bytes, int from, int to, byte[] between) {
        ByteArrayOutputStream whole = new ByteArrayOutputStream();
        whole.write(bytes, 0, from);
        whole.writeBytes(between);
        whole.write(bytes, to, bytes.length - to);
        return whole.toByteArray();
    }
}
