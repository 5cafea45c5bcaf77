package concertina.it;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Code arrives in every shape that clients send, and the script gets its own arguments, in order, and nothing else. */
class SubmissionTest {
    private static final Duration LIMIT = Duration.ofSeconds(60);
    /** Shows where it runs, what lies there and what it was given. */
    private static final String SCRIPT = """
            import json, os, sys
            print("folder", os.path.basename(os.getcwd()))
            print("files", " ".join(sorted(os.listdir("."))))
            print("arguments", json.dumps(sys.argv[1:]))
            """;

    private static final byte[] BYTES = SCRIPT.getBytes(StandardCharsets.UTF_8);
    private static final byte[] HELPER = "VALUE = 1\n".getBytes(StandardCharsets.UTF_8);

    private static Platform platform;
    private static Client client;

    @BeforeAll
    static void start(@TempDir Path folder) {
        platform = Platform.start(folder, 2);
        client = platform.administrator();
    }

    @AfterAll
    static void stop() {
        platform.close();
    }

    @Test
    void aGzippedTarThatIsNamedTarUnpacksWithItsTopFolder() {
        byte[] archive = Archives.gzippedTar(Map.of("resnet/main.py", BYTES, "resnet/helper.py", HELPER));

        String log = run("--model-dir resnet --model-main main.py", Upload.file("resnet.modelDir.tar", archive));

        assertThat(log).contains("folder resnet", "files helper.py main.py");
    }

    @Test
    void aPlainTarWithoutATopFolderUnpacksAsItIs() {
        byte[] archive = Archives.tar(Map.of("./main.py", BYTES, "./helper.py", HELPER));

        String log = run("--model-dir whatever --model-main main.py", Upload.file("x.modelDir.tar", archive));

        assertThat(log).contains("files helper.py main.py");
    }

    @Test
    void aZipUnpacks() {
        byte[] archive = Archives.zip(Map.of("code/main.py", BYTES, "code/helper.py", HELPER));

        String log = run("--model-dir code --model-main main.py", Upload.file("code.zip", archive));

        assertThat(log).contains("folder code", "files helper.py main.py");
    }

    @Test
    void aSingleScriptNeedsNoFolderAndItsPartMayHaveAnyName() {
        String log = run(
                "--model-main WMLA_HPO_pytorch.py", new Upload("WMLA_HPO_pytorch.py", "WMLA_HPO_pytorch.py", BYTES));

        assertThat(log).contains("files WMLA_HPO_pytorch.py");
    }

    @Test
    void anAbsoluteScriptOnTheServerNeedsNoFile() throws IOException {
        Path script = platform.data().resolve("shared/main.py");
        Files.createDirectories(script.getParent());
        Files.writeString(script, SCRIPT);

        String log = run("--model-main " + script + " --depth 3");

        assertThat(log).contains("arguments [\"--depth\", \"3\"]");
    }

    @Test
    void everythingMayTravelInTheDataForm() {
        HttpResponse<String> answer = client.upload(
                Client.EXEC + "/execs",
                Upload.field("data", """
                        {"args":"--exec-start PyTorch --model-dir code --model-main main.py --epochs 2",
                         "hardwareSpec":{"nodes":{"num_nodes":1,"mem":{"size":"2g"},"gpu":{"num_gpu":0},"cpu":{"units":"0.25"}}}}"""),
                Upload.file("code.modelDir.tar", Archives.gzippedTar(Map.of("code/main.py", BYTES))));

        String id = Client.json(answer).get("id").asString();
        client.awaitState(id, "FINISHED", LIMIT);
        assertThat(client.log(id, "")).contains("arguments [\"--epochs\", \"2\"]");
    }

    @Test
    void unknownArgumentsReachTheScriptInOrderAndPlatformFlagsDoNot() {
        String log = run(
                "--cs-datastore-meta type=fs --zeta 1 --workerDeviceNum 1 --workerMemory 2G --alpha=b --model-main main.py"
                        + " --debug-level debug --msd-env A=1 -k v --consumer x/y --conda-env-name dlipy3"
                        + " --name \"two words\" --flag",
                Upload.file("main.py", SCRIPT));

        assertThat(log)
                .contains(
                        "arguments [\"--zeta\", \"1\", \"--alpha=b\", \"-k\", \"v\", \"--name\", \"two words\", \"--flag\"]");
    }

    @Test
    void aScriptThatCountsItsArgumentsSeesExactlyItsFourPairs() {
        String log = run(
                "--cs-datastore-meta type=fs --model-main main.py --epochs 5 --batch 20 --lr 0.1 --momentum 0.9"
                        + " --workerDeviceType cpu",
                Upload.file("main.py", """
                        import sys
                        assert len(sys.argv) == 9, sys.argv
                        print("epochs", sys.argv[2], "batch", sys.argv[4], "lr", sys.argv[6], "momentum", sys.argv[8])
                        """));

        assertThat(log).isEqualTo("epochs 5 batch 20 lr 0.1 momentum 0.9\n");
    }

    @Test
    void nothingIsAppendedForAStrictParser() {
        String log = run("--model-main main.py", Upload.file("main.py", """
                        import argparse, sys
                        argparse.ArgumentParser().parse_args()
                        print("given", sys.argv[1:])
                        """));

        assertThat(log).isEqualTo("given []\n");
    }

    @Test
    void aUserCommandRunsInsideTheUnpackedArchive() {
        byte[] script = "echo \"in $(basename \"$PWD\") with $*\"; cat note.txt\n".getBytes(StandardCharsets.UTF_8);
        byte[] archive = Archives.gzippedTar(
                Map.of("code/run.sh", script, "code/note.txt", "a note\n".getBytes(StandardCharsets.UTF_8)));

        String log = run(
                "--msd-env HF_HOME=/tmp --model-dir code --user-cmd -- bash run.sh train.py --deepspeed ds.config",
                Upload.file("code.modelDir.tar", archive));

        assertThat(log).contains("in code with train.py --deepspeed ds.config", "a note");
    }

    @Test
    void theEnvironmentAndFoldersOfAJobAreThere() {
        String log = run(
                "--cs-datastore-meta type=fs,data_path=mnist --msd-env EXTRA=yes --model-main main.py",
                Upload.file("main.py", """
                        import os
                        e = os.environ
                        assert e["RESULT_DIR"] == os.path.join(e["DLI_RESULT_FS"], e["USER"], "batchworkdir", e["DLI_EXECID"])
                        assert e["DATA_DIR"] == os.path.join(e["DLI_DATA_FS"], "mnist"), e["DATA_DIR"]
                        assert e["SAVED_MODEL_DIR"] == os.path.join(e["RESULT_DIR"], "model")
                        assert e["APP_ID"] == e["DLI_EXECID"] and e["EXTRA"] == "yes"
                        assert e["DLI_IS_ELASTIC"] == "false"
                        assert e["DLI_SUBMIT_USERNAME"] == e["USER"]
                        assert os.path.realpath(e["DLI_WORK_DIR"]) == os.path.realpath(os.getcwd())
                        for name in ("RESULT_DIR", "SAVED_MODEL_DIR", "LOG_DIR", "CHECKPOINT_DIR"):
                            assert os.path.isdir(e[name]), name
                        assert e["LOG_DIR"].startswith(os.path.join(e["RESULT_DIR"], "log") + "/")
                        print("all there")
                        """));

        assertThat(log).isEqualTo("all there\n");
    }

    @Test
    void aTensorflowJobMakesItsModelFolderItself() {
        String id = client.submit(
                        "--exec-start tensorflow --cs-datastore-meta type=fs --model-main main.py",
                        Upload.file("main.py", """
                                import os
                                os.mkdir(os.path.join(os.environ["RESULT_DIR"], "model"))
                                print("made")
                                """))
                .get("id")
                .asString();

        client.awaitState(id, "FINISHED", LIMIT);
        assertThat(client.log(id, "")).isEqualTo("made\n");
        assertThat(client.exec(id).get("appName").asString()).isEqualTo("SingleNodeTensorflowTrain");
    }

    @Test
    void aScriptThatFailsEndsInErrorWithItsLastLineAsReason() {
        String id = client.submit(
                        "--exec-start PyTorch --model-main main.py",
                        Upload.file("main.py", "print('so far')\nraise ValueError('no such layer')\n"))
                .get("id")
                .asString();

        client.awaitState(id, "ERROR", LIMIT);

        assertThat(client.log(id, "")).isEqualTo("so far\n");
        assertThat(client.log(id, "errlog")).contains("ValueError: no such layer");
        assertThat(client.job(id).get("reason").asString()).contains("exit");
    }

    private static String run(String arguments, Upload... parts) {
        String id = client.submit("--exec-start PyTorch " + arguments, parts)
                .get("id")
                .asString();
        client.awaitState(id, "FINISHED", LIMIT);
        assertThat(List.of("", "outlog").stream()
                        .map(type -> client.log(id, type))
                        .distinct())
                .hasSize(1);
        return client.log(id, "");
    }
}
