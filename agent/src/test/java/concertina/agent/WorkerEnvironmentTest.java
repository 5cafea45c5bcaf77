package concertina.agent;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import concertina.model.AgentCommand;
import concertina.model.ConcertinaException;
import concertina.model.Framework;
import concertina.model.JobId;
import concertina.model.JobSpec;
import concertina.model.Slot;
import concertina.model.SlotId;
import concertina.model.UserName;
import concertina.model.WorkerId;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;

class WorkerEnvironmentTest {
    private static final Path RESULT = Path.of("/a/results/admin/batchworkdir/concertina-1");
    private final WorkerId worker = TestingAgent.worker("concertina-1", 2);

    private static Slot gpu(int index) {
        return new Slot(new SlotId("node1/" + index), Slot.Kind.GPU, "GPU-" + index, "H100", 1);
    }

    private static WorkerEnvironment.Node node(Path data) {
        return new WorkerEnvironment.Node(
                Map.of("PATH", "/usr/bin", "HOME", "/root"),
                "node1",
                "10.0.0.7",
                Path.of("/a/results"),
                data,
                null,
                Path.of("/a/fabric"),
                Path.of("/home/python"),
                8,
                List.of(gpu(0), gpu(1), gpu(2)),
                Path.of("/a/control/agent.sock"));
    }

    private Map<String, String> environment(JobSpec spec, Map<String, String> fromServer, String... slots) {
        AgentCommand.Start start = new AgentCommand.Start(
                worker,
                new UserName("admin"),
                spec,
                java.util.Arrays.stream(slots).map(SlotId::new).toList(),
                "log/task2.node1",
                true,
                fromServer);
        return WorkerEnvironment.of(
                node(Path.of("/data")),
                start,
                new WorkerEnvironment.Places(
                        RESULT, RESULT.resolve("log/task2.node1"), RESULT.resolve("_submitted_code/m")),
                Path.of("/env/bin/python"),
                "worker-token");
    }

    private static JobSpec spec(Framework framework, boolean gpu, String dataPath, Map<String, String> environment) {
        return new JobSpec(
                framework,
                "",
                "",
                "main.py",
                "m",
                List.of(),
                List.of(),
                4,
                2,
                gpu,
                5000,
                environment,
                dataPath,
                "",
                "",
                0);
    }

    @Test
    void aGpuWorkerSeesItsSlotsByUuidAndAShareOfTheProcessors() {
        Map<String, String> found =
                environment(spec(Framework.PYTORCH, true, "", Map.of()), Map.of(), "node1/0", "node1/2");
        assertThat(found)
                .containsEntry("CUDA_VISIBLE_DEVICES", "GPU-0,GPU-2")
                .containsEntry("NVIDIA_VISIBLE_DEVICES", "GPU-0,GPU-2")
                .containsEntry("OMP_NUM_THREADS", "5")
                .containsEntry("PATH", "/env/bin:/usr/bin")
                .containsEntry("PYTHONPATH", "/home/python:" + RESULT + "/_submitted_code/m");
    }

    @Test
    void whatOldScriptsLookUpIsThereAndEmptyUnlessTheUserSaysOtherwise() {
        Map<String, String> found =
                environment(spec(Framework.PYTORCH, false, "", Map.of("SPACE_ID", "s")), Map.of(), "node1/0");
        assertThat(found)
                .containsEntry("EXEC_TYPE", "")
                .containsEntry("RESUME_WEIGHT_PATH", "")
                .containsEntry("PS_PATH", "")
                .containsEntry("EMETRICS_STREAMING", "")
                .containsEntry("WMLA_USER_DATA_FILES", "")
                .containsEntry("SPACE_ID", "s");
    }

    @Test
    void onlyATrialHasANumber() {
        JobSpec job = spec(Framework.PYTORCH, false, "", Map.of());
        assertThat(environment(job, Map.of(), "node1/0")).doesNotContainKey("SUBID");
        assertThat(environment(job.asTrial(new JobSpec.Trial("s", 12, "{}", null, null)), Map.of(), "node1/0"))
                .containsEntry("SUBID", "12")
                .doesNotContainKey("CONCERTINA_PARENT_RESULT");
        JobId parent = new JobId("concertina-1");
        Map<String, String> child =
                environment(job.asTrial(new JobSpec.Trial("s", 13, "{}", null, parent)), Map.of(), "node1/0");
        assertThat(child).containsEntry("CONCERTINA_PARENT_RESULT", child.get("RESULT_DIR") + "/.parent");
    }

    @Test
    void aWorkerThatWantsNoGpuSeesNone() {
        assertThat(environment(spec(Framework.PYTORCH, false, "", Map.of()), Map.of(), "node1/0"))
                .containsEntry("CUDA_VISIBLE_DEVICES", "");
    }

    @Test
    void aUserMayChangeDefaultsButNotWhatThePlatformDecides() {
        Map<String, String> found = environment(
                spec(
                        Framework.PYTORCH,
                        true,
                        "",
                        Map.of(
                                "OMP_NUM_THREADS",
                                "1",
                                "CUDA_VISIBLE_DEVICES",
                                "0",
                                "USER",
                                "root",
                                "PYTHONPATH",
                                "/mine")),
                Map.of(),
                "node1/1");
        assertThat(found)
                .containsEntry("OMP_NUM_THREADS", "1")
                .containsEntry("CUDA_VISIBLE_DEVICES", "GPU-1")
                .containsEntry("USER", "admin")
                .containsEntry("PYTHONPATH", "/home/python:" + RESULT + "/_submitted_code/m:/mine");
    }

    @Test
    void anElasticWorkerKnowsItsSeedItsLogicalWorkersAndWhereToListen() {
        Map<String, String> found = environment(
                spec(Framework.EDT_PYTORCH, true, "", Map.of("CONCERTINA_SEED", "3", "CONCERTINA_SUMS", "float")),
                Map.of("CONCERTINA_JOB_SECRET", "s"),
                "node1/0");
        assertThat(found)
                .containsEntry("DLI_IS_ELASTIC", "true")
                .containsEntry("CONCERTINA_LOGICAL_WORKERS", "4")
                .containsEntry("CONCERTINA_SEED", "3")
                .containsEntry("CONCERTINA_SUMS", "float")
                .containsEntry("CONCERTINA_JOB_SECRET", "s")
                .containsEntry("CONCERTINA_LISTEN_HOST", "10.0.0.7")
                .containsEntry("CONCERTINA_CONTROL", "/a/control/agent.sock")
                .containsEntry("CONCERTINA_WORKER", "concertina-1.2")
                .containsEntry("CONCERTINA_WORKER_TOKEN", "worker-token");
    }

    @Test
    void aGangsShellScriptFindsItsRankAndSize() {
        assertThat(environment(
                        spec(Framework.DIST_PYTORCH, true, "", Map.of()),
                        Map.of("RANK", "1", "WORLD_SIZE", "4", "MASTER_ADDR", "h", "MASTER_PORT", "1"),
                        "node1/0"))
                .containsEntry("NODE_RANK", "1")
                .containsEntry("WMLA_NWORKER", "4")
                .containsEntry("WMLA_WORKER_NDEVICE", "2")
                .containsEntry("WORLD_SIZE", "4");
    }

    @Test
    void aDataPathStaysInsideTheDataFolder() {
        assertThat(environment(spec(Framework.PYTORCH, true, "digits/a", Map.of()), Map.of(), "node1/0"))
                .containsEntry("DATA_DIR", "/data/digits/a")
                .containsEntry("DLI_CS_DATASTORE_META", "type=fs,data_path=digits/a");
        for (String escape : List.of("../x", "/etc", "a/../../b")) {
            assertThatThrownBy(() -> environment(spec(Framework.PYTORCH, true, escape, Map.of()), Map.of(), "node1/0"))
                    .isInstanceOf(ConcertinaException.class)
                    .hasMessageContaining("data_path")
                    .hasMessageContaining(escape);
        }
    }

    @Test
    void ofTheAgentsEnvironmentOnlyHarmlessVariablesAreInherited() {
        assertThat(WorkerEnvironment.inherited(
                        Map.of(
                                "HOME", "/root",
                                "PATH", "/bin",
                                "https_proxy", "p",
                                "NCCL_DEBUG", "INFO",
                                "CONCERTINA_TOKEN", "t",
                                "AWS_SECRET_ACCESS_KEY", "k",
                                "MINE", "m"),
                        Set.of("MINE")))
                .containsOnlyKeys("HOME", "PATH", "https_proxy", "NCCL_DEBUG", "MINE");
    }

    @Test
    void aVariableThatOnlyANewInterpreterNoticesRulesOutAFork() {
        assertThat(WorkerEnvironment.needsNewInterpreter(spec(Framework.PYTORCH, true, "", Map.of("A", "1"))))
                .isFalse();
        assertThat(WorkerEnvironment.needsNewInterpreter(spec(Framework.PYTORCH, true, "", Map.of("PYTHONPATH", "/x"))))
                .isFalse();
        for (String name : List.of("PYTHONHASHSEED", "LD_PRELOAD", "OMP_PROC_BIND", "MKL_CBWR", "TORCH_LOGS")) {
            assertThat(WorkerEnvironment.needsNewInterpreter(spec(Framework.PYTORCH, true, "", Map.of(name, "1"))))
                    .as(name)
                    .isTrue();
        }
    }

    @Test
    void secretsAreKnownByTheirNames() {
        assertThat(List.of("CONCERTINA_WORKER_TOKEN", "CONCERTINA_JOB_SECRET", "db_password", "AWS_ACCESS_KEY_ID"))
                .allMatch(WorkerEnvironment::secret);
        assertThat(List.of("PATH", "RESULT_DIR", "KEYBOARD")).noneMatch(WorkerEnvironment::secret);
    }
}
