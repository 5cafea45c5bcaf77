package concertina.agent;

import static org.assertj.core.api.Assertions.assertThat;

import concertina.model.AgentId;
import concertina.model.JobId;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class FileShipperTest {
    @TempDir
    Path folder;

    private TestingServer server;
    private final LogLimit limit = new LogLimit();
    private FileShipper shipper;

    @BeforeEach
    void open() throws IOException {
        server = new TestingServer(null);
        ServerLink link = new ServerLink(new AgentId("node1"), server.address(), () -> TestingServer.TOKEN, null);
        shipper = new FileShipper(new JobId("concertina-1"), folder, link, limit);
        Files.createDirectories(folder.resolve("log/task1.node1"));
        Files.createDirectories(folder.resolve("model"));
    }

    @AfterEach
    void close() {
        shipper.end();
        server.close();
    }

    private void append(String path, String text) throws IOException {
        Files.writeString(folder.resolve(path), text, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    }

    @Test
    void aLogArrivesWhileItGrows() throws Exception {
        shipper.follow();
        append("log/task1.node1/stdout", "one\n");
        server.await("first line", () -> server.text("log/task1.node1/stdout").equals("one\n") ? true : null);
        append("log/task1.node1/stdout", "two\n");
        server.await("second line", () -> server.text("log/task1.node1/stdout").equals("one\ntwo\n") ? true : null);
    }

    @Test
    void aFileThatStoppedChangingArrivesByItself() throws Exception {
        shipper.follow();
        append("model/x.pth", "weights");
        server.await("file", () -> server.text("model/x.pth").equals("weights") ? true : null);
    }

    @Test
    void aCheckpointThatIsRemovedHereIsRemovedThereButNothingElseIs() throws Exception {
        Files.createDirectories(folder.resolve("checkpoint"));
        append("checkpoint/step-1.state", "one");
        append("checkpoint/step-2.state", "two");
        append("model/x.pth", "weights");
        shipper.drain();
        Files.delete(folder.resolve("checkpoint/step-1.state"));
        Files.delete(folder.resolve("model/x.pth"));
        shipper.drain();
        assertThat(server.files).containsOnlyKeys("checkpoint/step-2.state", "model/x.pth");
    }

    @Test
    void theServerKeepsTheLastCheckpointUntilItHasANewerOne() throws Exception {
        Files.createDirectories(folder.resolve("checkpoint"));
        append("checkpoint/step-1.state", "one");
        shipper.drain();
        Files.delete(folder.resolve("checkpoint/step-1.state"));
        shipper.drain();
        assertThat(server.files).containsOnlyKeys("checkpoint/step-1.state");
        append("checkpoint/step-2.state", "two");
        shipper.drain();
        assertThat(server.files).containsOnlyKeys("checkpoint/step-2.state");
    }

    @Test
    void everythingThatIsThereIsSentOnceAtTheEndAndOnlyChangesAgain() throws Exception {
        append("model/x.pth", "weights");
        append("val_dict_list.json", "[]");
        append("log/task1.node1/stdout", "line\n");
        append("log/task1.node1/stderr", "");
        shipper.drain();
        shipper.drain();
        assertThat(server.files)
                .containsOnlyKeys(
                        "model/x.pth", "val_dict_list.json", "log/task1.node1/stdout", "log/task1.node1/stderr");
        assertThat(server.writes.values()).containsOnly(1);
        append("model/x.pth", " more");
        shipper.drain();
        assertThat(server.text("model/x.pth")).isEqualTo("weights more");
        assertThat(server.writes).containsEntry("model/x.pth", 2).containsEntry("val_dict_list.json", 1);
    }

    @Test
    void linksCodeAndTemporaryFilesStayHere() throws Exception {
        Path secret = Files.writeString(folder.resolveSibling("secret-" + folder.getFileName()), "secret");
        Files.createSymbolicLink(folder.resolve("model/link"), secret);
        Files.createSymbolicLink(folder.resolve("model/folder"), secret.getParent());
        Files.createDirectories(folder.resolve("_submitted_code/digits"));
        append("_submitted_code/digits/main.py", "x");
        append("model/.x.pth.tmp", "half");
        Files.createDirectories(folder.resolve("model/.cache"));
        append("model/.cache/y", "y");
        append("model/ein Name & ä?", "odd name");
        shipper.drain();
        assertThat(server.files).containsOnlyKeys("model/ein Name & ä?");
        Files.delete(secret);
    }

    @Test
    void aLogThatIsWrittenAnewReplacesTheOldOne() throws Exception {
        append("log/task1.node1/metrics", "a long first version\n");
        shipper.drain();
        Files.writeString(folder.resolve("log/task1.node1/metrics"), "short\n");
        shipper.drain();
        assertThat(server.text("log/task1.node1/metrics")).isEqualTo("short\n");
        append("log/task1.node1/metrics", "and more\n");
        shipper.drain();
        assertThat(server.text("log/task1.node1/metrics")).isEqualTo("short\nand more\n");
    }

    @Test
    void whenTheServerHasLessThanWasSentTheRestIsSentAgain() throws Exception {
        append("log/task1.node1/stdout", "0123456789");
        shipper.drain();
        server.files.put("log/task1.node1/stdout", "0123".getBytes(StandardCharsets.UTF_8));
        append("log/task1.node1/stdout", "abc");
        shipper.drain();
        assertThat(server.text("log/task1.node1/stdout")).isEqualTo("0123456789abc");
    }

    @Test
    void aServerThatIsAwayIsWaitedFor() throws Exception {
        append("model/x.pth", "weights");
        server.refuse(3);
        shipper.drain();
        assertThat(server.text("model/x.pth")).isEqualTo("weights");
    }

    @Test
    void aFileTheServerRefusesDoesNotHoldUpTheOthers() throws Exception {
        server.refusedPath = "model/a";
        append("model/a", "a");
        append("model/b", "b");
        append("log/task1.node1/stdout", "line\n");
        shipper.drain();
        assertThat(server.files).containsOnlyKeys("model/b", "log/task1.node1/stdout");
    }

    @Test
    void aLogThatIsCutArrivesAsItIsThen() throws Exception {
        Path file = folder.resolve("log/task1.node1/stdout");
        limit.watch(List.of(file), new LogLimit.Kept(1, 1));
        for (int part = 0; part < 5; part++) {
            append("log/task1.node1/stdout", ("part " + part + " " + "x".repeat(1000) + "\n").repeat(900));
            shipper.drain();
        }
        limit.release(List.of(file));
        shipper.drain();
        assertThat(server.text("log/task1.node1/stdout"))
                .isEqualTo(Files.readString(file))
                .startsWith("part 0 ")
                .contains(" bytes are left out here")
                .endsWith("x\n")
                .contains("part 4 ");
        assertThat(Files.size(file)).isLessThan(3 << 20);
    }

    @Test
    void aLogMuchLargerThanAPieceArrivesWhole() throws Exception {
        try (RandomAccessFile file =
                new RandomAccessFile(folder.resolve("log/task1.node1/stdout").toFile(), "rw")) {
            file.setLength(9 << 20);
            file.seek((9 << 20) - 4);
            file.writeBytes("last");
        }
        shipper.drain();
        byte[] arrived = server.files.get("log/task1.node1/stdout");
        assertThat(arrived).hasSize(9 << 20).endsWith("last".getBytes(StandardCharsets.UTF_8));
        assertThat(server.writes.get("log/task1.node1/stdout")).isGreaterThan(1);
    }
}
