package concertina.agent;

import static concertina.agent.TestingAgent.spec;
import static concertina.agent.TestingAgent.start;
import static concertina.agent.TestingAgent.worker;
import static org.assertj.core.api.Assertions.assertThat;

import concertina.model.AgentReport;
import concertina.model.Framework;
import concertina.model.WorkerId;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** One real agent against a server in memory, with real Python processes. */
@Timeout(120)
class AgentTest {
    @TempDir
    Path folder;

    private TestingServer server;
    private TestingAgent agent;

    @BeforeEach
    void openServer() throws IOException {
        server = new TestingServer(null);
    }

    @AfterEach
    void close() throws InterruptedException {
        if (agent != null) {
            agent.close();
        }
        server.close();
    }

    private void startAgent(String... more) throws IOException {
        agent = TestingAgent.start(folder, server, more);
    }

    @Test
    void aScriptRunsInItsFolderAndItsOutputArrivesBeforeItCountsAsShipped() throws Exception {
        startAgent();
        WorkerId worker = worker("concertina-1", 1);
        server.code("concertina-1", "digits.modelDir.zip", TestingAgent.zip("digits/main.py", """
                import os, sys
                print("arguments", sys.argv)
                print("here", os.getcwd())
                open(os.environ["RESULT_DIR"] + "/model/model.bin", "wb").write(b"weights")
                print("to stderr", file=sys.stderr)
                sys.exit(3)
                """));
        server.command(start(worker, spec(Framework.PYTORCH, "main.py", "digits", "--epochs", "3"), true));
        server.awaitReport(worker, AgentReport.Started.class);
        assertThat(server.awaitReport(worker, AgentReport.Exited.class))
                .isEqualTo(new AgentReport.Exited(worker, 3, 0, ""));
        server.awaitReport(worker, AgentReport.Shipped.class);
        assertThat(server.text("log/task1.node1/stdout"))
                .isEqualTo("arguments ['main.py', '--epochs', '3']\nhere "
                        + agent.result("concertina-1").toRealPath().resolve("_submitted_code/digits") + "\n");
        assertThat(server.text("log/task1.node1/stderr")).isEqualTo("to stderr\n");
        assertThat(server.text("model/model.bin")).isEqualTo("weights");
        assertThat(server.text("log/task1.node1/launcher"))
                .contains("Exposed the environment variable RESULT_DIR to: ")
                .contains("Command: ")
                .contains("exited with code 3")
                .doesNotContain("secret-of-the-job")
                .contains("CONCERTINA_WORKER_TOKEN to: (not shown)");
    }
}
