package concertina.agent;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import concertina.model.AgentCommand;
import concertina.model.AgentHello;
import concertina.model.AgentReport;
import concertina.model.WorkerId;
import concertina.wire.Json;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Executors;
import java.util.function.Predicate;
import java.util.function.Supplier;
import java.util.stream.Stream;
import javax.net.ssl.SSLContext;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * A server as an agent sees it, in memory: sessions, numbered commands, reports, files. Can lose its sessions, go away and
 * come back. Thread-safe; its lock is the object itself.
 */
final class TestingServer implements AutoCloseable {
    static final String TOKEN = "token-of-agents";
    private final JsonMapper json = Json.mapper();
    private final SSLContext tls;
    private HttpServer http;
    private int port;
    final List<AgentHello> hellos = new CopyOnWriteArrayList<>();
    final List<AgentReport> reports = new CopyOnWriteArrayList<>();
    final List<List<Integer>> ports = new CopyOnWriteArrayList<>();
    final Map<String, byte[]> files = new ConcurrentSkipListMap<>();
    final Map<String, Integer> writes = new ConcurrentHashMap<>();
    final Map<String, byte[]> checkpoints = new LinkedHashMap<>();
    private final Map<String, byte[]> codes = new HashMap<>();
    private final Set<String> codesAway = new HashSet<>();
    private final Map<String, String> codeNames = new HashMap<>();
    final Map<String, Integer> codeFetches = new ConcurrentHashMap<>();
    private final List<AgentCommand> commands = new ArrayList<>();
    private final List<Long> acknowledgements = new ArrayList<>();
    private String session = "";
    private boolean repeatCommands;
    private int refusals;
    String refusedPath = "";

    TestingServer(SSLContext tls) throws IOException {
        this.tls = tls;
        open();
    }

    private void open() throws IOException {
        InetSocketAddress address = new InetSocketAddress(InetAddress.getLoopbackAddress(), port);
        if (tls == null) {
            http = HttpServer.create(address, 50);
        } else {
            HttpsServer https = HttpsServer.create(address, 50);
            https.setHttpsConfigurator(new HttpsConfigurator(tls));
            http = https;
        }
        port = http.getAddress().getPort();
        http.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
        http.createContext("/agent/v1", this::answer);
        http.start();
    }

    URI address() {
        return URI.create((tls == null ? "http" : "https") + "://127.0.0.1:" + port);
    }

    /** Connections break, nobody answers. */
    synchronized void goAway() {
        http.stop(0);
    }

    /** Is there again, with no memory of sessions and commands, as after a restart. */
    synchronized void comeBack() throws IOException {
        session = "";
        commands.clear();
        open();
    }

    synchronized void forgetSession() {
        session = "";
        commands.clear();
        notifyAll();
    }

    /** Answers the next calls with 503. */
    synchronized void refuse(int calls) {
        refusals = calls;
    }

    synchronized void command(AgentCommand command) {
        commands.add(command);
        notifyAll();
    }

    /** Sends all commands with every poll, acknowledged or not. */
    synchronized void repeatCommands() {
        repeatCommands = true;
    }

    synchronized void code(String job, String name, byte[] bytes) {
        codes.put(job, bytes);
        codeNames.put(job, name);
    }

    /** The code cannot be had at the moment. */
    synchronized void codeAway(String job) {
        codesAway.add(job);
    }

    synchronized List<Long> acknowledgements() {
        return List.copyOf(acknowledgements);
    }

    synchronized String text(String path) {
        return new String(files.getOrDefault(path, new byte[0]), StandardCharsets.UTF_8);
    }

    /** Waits until there is something, at most a minute. */
    synchronized <T> T await(String what, Supplier<T> something) throws InterruptedException {
        long deadline = System.nanoTime() + 60_000_000_000L;
        while (true) {
            T found = something.get();
            if (found != null) {
                return found;
            }
            long left = (deadline - System.nanoTime()) / 1_000_000;
            if (left <= 0) {
                throw new AssertionError("no " + what + "; reports " + reports + ", files " + files.keySet());
            }
            wait(Math.min(left, 50));
        }
    }

    <T extends AgentReport> T awaitReport(WorkerId worker, Class<T> type) throws InterruptedException {
        return awaitReport(worker, type, report -> true);
    }

    <T extends AgentReport> T awaitReport(WorkerId worker, Class<T> type, Predicate<T> accepted)
            throws InterruptedException {
        return await(
                type.getSimpleName() + " of " + worker,
                () -> reports.stream()
                        .filter(report -> report.worker().equals(worker))
                        .filter(type::isInstance)
                        .map(type::cast)
                        .filter(accepted)
                        .findFirst()
                        .orElse(null));
    }

    /** Whether a report arrived by itself or in the last hello. */
    synchronized boolean heardOf(WorkerId worker, Class<? extends AgentReport> type) {
        return Stream.concat(
                        reports.stream(),
                        hellos.getLast().workers().stream().flatMap(known -> known.reports().stream()))
                .anyMatch(report -> type.isInstance(report) && report.worker().equals(worker));
    }

    AgentHello awaitHello(int number) throws InterruptedException {
        return await("hello " + number, () -> hellos.size() < number ? null : hellos.get(number - 1));
    }

    private void answer(HttpExchange exchange) throws IOException {
        try (exchange) {
            byte[] body = exchange.getRequestBody().readAllBytes();
            List<String> path = Arrays.asList(exchange.getRequestURI()
                    .getPath()
                    .substring("/agent/v1/".length())
                    .split("/"));
            if (!("Bearer " + TOKEN).equals(exchange.getRequestHeaders().getFirst("Authorization"))) {
                reply(exchange, 401, "{}");
                return;
            }
            synchronized (this) {
                if (refusals > 0) {
                    refusals--;
                    reply(exchange, 503, "{}");
                    return;
                }
            }
            switch (path.getFirst()) {
                case "join" -> join(exchange, body);
                case "agents" -> {
                    if (path.get(2).equals("poll")) {
                        poll(exchange, json.readTree(body));
                    } else {
                        report(exchange, json.readTree(body));
                    }
                }
                case "jobs" -> job(exchange, path.get(1), path.get(2), body);
                default -> reply(exchange, 404, "{}");
            }
        }
    }

    private synchronized void join(HttpExchange exchange, byte[] body) throws IOException {
        AgentHello hello = json.readValue(body, AgentHello.class);
        session = hello.session();
        hellos.add(hello);
        notifyAll();
        reply(exchange, 204, "");
    }

    private void poll(HttpExchange exchange, JsonNode body) throws IOException {
        List<Map<String, Object>> answer = new ArrayList<>();
        synchronized (this) {
            String asked = body.path("session").asString();
            long acknowledged = body.path("acknowledged").asLong();
            acknowledgements.add(acknowledged);
            List<Integer> offered = new ArrayList<>();
            body.path("ports").forEach(each -> offered.add(each.asInt()));
            ports.add(offered);
            notifyAll();
            long deadline = System.nanoTime() + 2_000_000_000L;
            while (asked.equals(session) && commands.size() <= acknowledged && System.nanoTime() < deadline) {
                try {
                    wait(100);
                } catch (InterruptedException e) {
                    return;
                }
            }
            if (!asked.equals(session)) {
                reply(exchange, 409, "{\"error\":\"unknown session\"}");
                return;
            }
            for (int i = repeatCommands ? 0 : (int) acknowledged; i < commands.size(); i++) {
                JsonNode command =
                        json.readTree(json.writerFor(AgentCommand.class).writeValueAsString(commands.get(i)));
                answer.add(Map.of("sequence", i + 1, "command", command));
            }
        }
        reply(exchange, 200, json.writeValueAsString(Map.of("commands", answer)));
    }

    private synchronized void report(HttpExchange exchange, JsonNode body) throws IOException {
        if (!body.path("session").asString().equals(session)) {
            reply(exchange, 409, "{\"error\":\"unknown session\"}");
            return;
        }
        for (JsonNode each : body.path("reports")) {
            reports.add(json.treeToValue(each, AgentReport.class));
        }
        notifyAll();
        reply(exchange, 204, "");
    }

    private synchronized void job(HttpExchange exchange, String job, String what, byte[] body) throws IOException {
        Map<String, String> query = new HashMap<>();
        String raw = exchange.getRequestURI().getRawQuery();
        if (raw != null) {
            for (String pair : raw.split("&")) {
                query.put(
                        pair.substring(0, pair.indexOf('=')),
                        URLDecoder.decode(pair.substring(pair.indexOf('=') + 1), StandardCharsets.UTF_8));
            }
        }
        if (what.equals("code")) {
            codeFetches.merge(job, 1, Integer::sum);
            notifyAll();
            if (codesAway.contains(job)) {
                reply(exchange, 503, "{}");
                return;
            }
            if (!codes.containsKey(job)) {
                reply(exchange, 404, "{}");
                return;
            }
            exchange.getResponseHeaders().set("Concertina-Code-Name", codeNames.get(job));
            reply(exchange, 200, codes.get(job));
        } else if (what.equals("checkpoints")) {
            reply(exchange, 200, json.writeValueAsString(checkpoints.keySet()));
        } else if (exchange.getRequestMethod().equals("GET")) {
            reply(exchange, 200, checkpoints.get(query.get("path")));
        } else if (exchange.getRequestMethod().equals("DELETE")) {
            files.remove(query.get("path"));
            notifyAll();
            reply(exchange, 204, "");
        } else {
            put(exchange, query.get("path"), query.get("offset"), body);
        }
    }

    private void put(HttpExchange exchange, String path, String offset, byte[] body) throws IOException {
        if (path.equals(refusedPath)) {
            reply(exchange, 400, "{}");
            return;
        }
        byte[] present = files.getOrDefault(path, new byte[0]);
        if (offset == null) {
            files.put(path, body);
        } else {
            int from = Integer.parseInt(offset);
            if (from > present.length) {
                reply(exchange, 409, "{\"size\":" + present.length + "}");
                return;
            }
            ByteArrayOutputStream merged = new ByteArrayOutputStream();
            merged.write(present, 0, from);
            merged.write(body);
            if (from + body.length < present.length) {
                merged.write(present, from + body.length, present.length - from - body.length);
            }
            files.put(path, merged.toByteArray());
        }
        writes.merge(path, 1, Integer::sum);
        notifyAll();
        reply(exchange, 204, "");
    }

    private static void reply(HttpExchange exchange, int status, String text) throws IOException {
        reply(exchange, status, text.getBytes(StandardCharsets.UTF_8));
    }

    private static void reply(HttpExchange exchange, int status, byte[] bytes) throws IOException {
        exchange.sendResponseHeaders(status, bytes.length == 0 ? -1 : bytes.length);
        exchange.getResponseBody().write(bytes);
    }

    @Override
    public void close() {
        http.stop(0);
    }
}
