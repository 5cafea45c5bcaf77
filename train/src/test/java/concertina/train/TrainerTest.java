package concertina.train;

import static concertina.train.FakeCluster.ADA;
import static concertina.train.FakeCluster.spec;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import concertina.model.AgentCommand;
import concertina.model.AgentReport;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.Framework;
import concertina.model.JobId;
import concertina.model.JobState;
import concertina.model.UserName;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** Jobs from submission to their end, whatever their framework. */
class TrainerTest {
    private static <T extends AgentCommand> List<T> executed(FakeAgent agent, Class<T> type) {
        return agent.executed.stream().filter(type::isInstance).map(type::cast).toList();
    }

    @Test
    void idsAreNeverGivenTwiceEvenAfterARestart() {
        FakeCluster cluster = new FakeCluster();
        assertThat(cluster.trainer.nextId()).isEqualTo(new JobId("concertina-1"));
        cluster.startServer();
        assertThat(cluster.trainer.nextId()).isEqualTo(new JobId("concertina-2"));
    }

    @Test
    void aJobCannotBeSubmittedTwice() {
        FakeCluster cluster = new FakeCluster();
        JobId job = cluster.submit(spec(Framework.PYTORCH, 1));
        assertThatThrownBy(() -> cluster.trainer.submit(job, ADA, spec(Framework.PYTORCH, 1), false))
                .isInstanceOfSatisfying(
                        ConcertinaException.class,
                        refused -> assertThat(refused.code()).isEqualTo(ErrorCode.CONFLICT));
    }

    @Test
    void unfinishedJobsOfAUserAreLimited() {
        FakeCluster cluster = new FakeCluster("node1:1");
        cluster.options = TrainOptions.DEFAULT.withUnfinishedJobsPerUser(2);
        cluster.startServer();
        cluster.submit(spec(Framework.PYTORCH, 1));
        JobId second = cluster.submit(spec(Framework.PYTORCH, 1));
        assertThatThrownBy(() -> cluster.submit(spec(Framework.PYTORCH, 1)))
                .isInstanceOfSatisfying(
                        ConcertinaException.class,
                        refused -> assertThat(refused.code()).isEqualTo(ErrorCode.QUOTA_EXCEEDED))
                .hasMessage("user 'ada' has 2 unfinished jobs, accepted: at most 2");
        assertThatThrownBy(() -> cluster.trainer.checkQuota(ADA)).isInstanceOf(ConcertinaException.class);
        cluster.trainer.checkQuota(new UserName("bob"));
        cluster.trainer.stop(second, ADA);
        cluster.trainer.checkQuota(ADA);
    }

    @Test
    void whoeverListensIsToldOfEveryEnd() {
        FakeCluster cluster = new FakeCluster();
        List<JobId> ended = new ArrayList<>();
        cluster.trainer.whenEnded(ended::add);
        JobId stopped = cluster.submit(spec(Framework.PYTORCH, 1));
        JobId deleted = cluster.submit(spec(Framework.PYTORCH, 1));
        cluster.submit(spec(Framework.PYTORCH, 1));

        cluster.trainer.stop(stopped, ADA);
        cluster.trainer.delete(deleted, ADA);

        assertThat(ended).containsExactly(stopped, deleted);
    }

    @Test
    void whatIsNotKnownCannotBeStoppedOrDeleted() {
        FakeCluster cluster = new FakeCluster();
        JobId unknown = new JobId("concertina-99");
        assertThat(cluster.trainer.find(unknown)).isEmpty();
        assertThatThrownBy(() -> cluster.trainer.stop(unknown, ADA))
                .isInstanceOfSatisfying(
                        ConcertinaException.class,
                        refused -> assertThat(refused.code()).isEqualTo(ErrorCode.UNKNOWN_TASK));
        assertThatThrownBy(() -> cluster.trainer.delete(unknown, ADA)).isInstanceOf(ConcertinaException.class);
    }

    @Test
    void aSingleProcessRunsAndIsFinishedOnceItsFilesHaveArrived() {
        FakeCluster cluster = new FakeCluster("node1:2");
        JobId job = cluster.submit(spec(Framework.PYTORCH, 1));
        assertThat(cluster.view(job).state()).isEqualTo(JobState.PENDING);
        assertThat(cluster.view(job).reason()).contains("no agent is connected");
        cluster.agent("node1").exchange();
        assertThat(cluster.view(job).state()).isEqualTo(JobState.STARTING);
        cluster.settle();
        JobView running = cluster.view(job);
        assertThat(running.state()).isEqualTo(JobState.RUNNING);
        assertThat(running.startedAt()).isEqualTo(cluster.clock.instant());
        assertThat(running.workers().getFirst().logFolder()).isEqualTo("log/task1.node1");
        assertThat(running.workers().getFirst().processId()).isEqualTo(1001);
        FakeWorker worker = cluster.worker(job, 1);
        worker.exitUnshipped(0);
        cluster.settle();
        assertThat(cluster.view(job).state()).isEqualTo(JobState.RUNNING);
        assertThat(cluster.slotsTaken()).isZero();
        worker.ship();
        cluster.settle();
        JobView ended = cluster.view(job);
        assertThat(ended.state()).isEqualTo(JobState.FINISHED);
        assertThat(ended.endedAt()).isNotNull();
        assertThat(ended.workers().getFirst().exitCode()).isZero();
        assertThat(executed(cluster.agent("node1"), AgentCommand.Forget.class))
                .containsExactly(new AgentCommand.Forget(job));
    }

    @Test
    void theReasonQuotesTheLastLineOfWhatTheScriptLeftOnItsStandardError() {
        FakeCluster cluster = new FakeCluster("node1:1");
        JobId job = cluster.submit(spec(Framework.PYTORCH, 1));
        cluster.settle();
        cluster.worker(job, 1).exit(1, 0, "ModuleNotFoundError: No module named 'tea'");
        cluster.settle();
        assertThat(cluster.view(job).reason())
                .isEqualTo("worker concertina-1.1 ended with exit code 1; its standard error ends with:"
                        + " ModuleNotFoundError: No module named 'tea'");
    }

    @Test
    void anotherExitCodeMakesAnErrorThatNamesWorkerAndCode() {
        FakeCluster cluster = new FakeCluster("node1:1");
        JobId job = cluster.submit(spec(Framework.TENSORFLOW, 1));
        cluster.settle();
        cluster.worker(job, 1).exit(3, 0);
        cluster.settle();
        assertThat(cluster.view(job).state()).isEqualTo(JobState.ERROR);
        assertThat(cluster.view(job).reason()).isEqualTo("worker concertina-1.1 ended with exit code 3");
        assertThat(cluster.view(job).workers().getFirst().exitCode()).isEqualTo(3);
    }

    @Test
    void aProcessThatCouldNotBeStartedSaysWhy() {
        FakeCluster cluster = new FakeCluster("node1:1");
        JobId job = cluster.elastic(1, 5);
        cluster.prepareAtOnce = false;
        cluster.settle();
        FakeWorker worker = cluster.worker(job, 1);
        worker.alive = false;
        worker.agent.tell(new AgentReport.Exited(worker.id, -1, 0, "no Python environment 'dl'\n"));
        worker.agent.tell(new AgentReport.Shipped(worker.id));
        cluster.settle();
        assertThat(cluster.view(job).state()).isEqualTo(JobState.ERROR);
        assertThat(cluster.view(job).reason())
                .isEqualTo("worker concertina-1.1 could not be started on node1: no Python environment 'dl'");
    }

    @Test
    void aSingleProcessEndedBySignalIsAnError() {
        FakeCluster cluster = new FakeCluster("node1:1");
        JobId job = cluster.submit(spec(Framework.PYTORCH, 1));
        cluster.settle();
        cluster.worker(job, 1).exit(-1, 9);
        cluster.settle();
        assertThat(cluster.view(job).reason()).isEqualTo("worker concertina-1.1 was ended by signal 9");
        assertThat(cluster.view(job).workers().getFirst().signal()).isEqualTo(9);
        assertThat(cluster.view(job).workers().getFirst().exitCode()).isNull();
    }

    @Test
    void aJobThatWaitsWithoutASlotIsKilledAtOnce() {
        FakeCluster cluster = new FakeCluster();
        JobId job = cluster.submit(spec(Framework.PYTORCH, 1));
        cluster.trainer.stop(job, ADA);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.KILLED);
        assertThat(cluster.view(job).reason()).isEqualTo("stopped by ada");
        cluster.trainer.stop(job, ADA);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.KILLED);
    }

    @Test
    void aStoppedJobIsKilledOnceItsProcessesAreGone() {
        FakeCluster cluster = new FakeCluster("node1:4");
        JobId job = cluster.elastic(4, 50);
        cluster.steps(2);
        cluster.trainer.stop(job, ADA);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.RUNNING);
        assertThat(cluster.view(job).reason()).isEqualTo("stopped by ada");
        cluster.settle();
        assertThat(cluster.view(job).state()).isEqualTo(JobState.KILLED);
        assertThat(executed(cluster.agent("node1"), AgentCommand.Stop.class)).hasSize(4);
        assertThat(cluster.slotsTaken()).isZero();
        assertThat(cluster.view(job).step()).isEqualTo(2);
    }

    @Test
    void aStoppedJobWhoseAgentVanishedEndsToo() {
        FakeCluster cluster = new FakeCluster("node1:4");
        JobId job = cluster.elastic(4, 50);
        cluster.steps(2);
        cluster.agent("node1").kill();
        cluster.trainer.stop(job, ADA);
        cluster.pass(Duration.ofSeconds(29));
        assertThat(cluster.view(job).state()).isEqualTo(JobState.RUNNING);
        cluster.pass(Duration.ofSeconds(2));
        assertThat(cluster.view(job).state()).isEqualTo(JobState.KILLED);
        assertThat(cluster.trainer.cluster().agents().getFirst().connected()).isFalse();
    }

    @Test
    void aStopThatTheServerCouldNotDeliverIsRepeatedAfterItsRestart() {
        FakeCluster cluster = new FakeCluster("node1:1");
        JobId job = cluster.submit(spec(Framework.PYTORCH, 1));
        cluster.settle();
        cluster.trainer.stop(job, ADA);
        cluster.killServer();
        cluster.startServer();
        cluster.settle();
        assertThat(cluster.view(job).state()).isEqualTo(JobState.KILLED);
    }

    @Test
    void aDeletedJobIsForgottenAtOnceAndItsSlotsReturnLater() {
        FakeCluster cluster = new FakeCluster("node1:1");
        JobId job = cluster.submit(spec(Framework.PYTORCH, 1));
        cluster.settle();
        cluster.trainer.delete(job, ADA);
        assertThat(cluster.trainer.find(job)).isEmpty();
        assertThat(cluster.trainer.list()).isEmpty();
        assertThat(cluster.journal.entries).isEmpty();
        assertThat(cluster.slotsTaken()).isEqualTo(1);
        cluster.settle();
        assertThat(cluster.slotsTaken()).isZero();
        assertThat(cluster.agent("node1").workers).isEmpty();
        assertThat(cluster.journal.entries).isEmpty();
    }

    @Test
    void aServerKilledAfterADeleteStillEndsTheProcessesAndGivesTheirSlotsToNobodyBefore() {
        FakeCluster cluster = new FakeCluster("node1:2");
        JobId job = cluster.submit(spec(Framework.PYTORCH, 1));
        cluster.settle();
        cluster.trainer.delete(job, ADA);
        cluster.killServer();
        cluster.startServer();
        JobId next = cluster.submit(spec(Framework.PYTORCH, 1));
        cluster.agent("node1").exchange();
        assertThat(cluster.view(next).state()).isEqualTo(JobState.PENDING);
        cluster.settle();
        assertThat(cluster.view(next).state()).isEqualTo(JobState.RUNNING);
        assertThat(cluster.livingWorkers(job)).isEmpty();
    }

    @Test
    void resultsLostWithTheirAgentMakeAnError() {
        FakeCluster cluster = new FakeCluster("node1:1");
        JobId job = cluster.submit(spec(Framework.PYTORCH, 1));
        cluster.settle();
        cluster.worker(job, 1).exitUnshipped(0);
        cluster.settle();
        cluster.agent("node1").kill();
        cluster.pass(Duration.ofSeconds(31));
        assertThat(cluster.view(job).state()).isEqualTo(JobState.ERROR);
        assertThat(cluster.view(job).reason())
                .isEqualTo("agent node1 was lost before all files of worker concertina-1.1 had arrived");
    }

    @Test
    void aJobEndsWhenItWaitedTooLongForItsFirstSlot() {
        FakeCluster cluster = new FakeCluster("node1:1");
        JobId running = cluster.submit(spec(Framework.PYTORCH, 1));
        JobId waiting = cluster.submit(spec(Framework.PYTORCH, 1, 1, 60, Map.of()));
        cluster.pass(Duration.ofSeconds(59));
        assertThat(cluster.view(waiting).state()).isEqualTo(JobState.PENDING);
        cluster.pass(Duration.ofSeconds(1));
        assertThat(cluster.view(waiting).state()).isEqualTo(JobState.ERROR);
        assertThat(cluster.view(waiting).reason())
                .isEqualTo("waited longer than the pending timeout of 60 s for a first slot");
        assertThat(cluster.view(running).state()).isEqualTo(JobState.RUNNING);
    }

    @Test
    void aGangStartsWholeAndItsWorkersFindEachOther() {
        FakeCluster cluster = new FakeCluster("node1:2", "node2:2");
        JobId job = cluster.submit(spec(Framework.DIST_PYTORCH, 3));
        cluster.settle();
        List<FakeWorker> workers = cluster.livingWorkers(job);
        assertThat(workers).hasSize(3);
        for (FakeWorker worker : workers) {
            assertThat(worker.environment)
                    .containsEntry("MASTER_ADDR", cluster.worker(job, 1).agent.id + ".example")
                    .containsEntry("MASTER_PORT", "41001")
                    .containsEntry("WORLD_SIZE", "3")
                    .containsEntry("RANK", Integer.toString(worker.id.ordinal() - 1))
                    .containsEntry("WMLA_NWORKER", "3")
                    .containsEntry("WMLA_WORKER_NDEVICE", "1")
                    .containsEntry("NODE_RANK", Integer.toString(worker.id.ordinal() - 1))
                    .doesNotContainKey("CONCERTINA_JOB_SECRET");
        }
        assertThat(workers)
                .extracting(worker -> worker.environment.get("LOCAL_RANK"))
                .containsOnly("0", "1");
        workers.forEach(worker -> worker.exit(0, 0));
        cluster.settle();
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
    }

    @Test
    void everyWorkerOfATensorflowGangHasAnAddressOfItsOwn() {
        FakeCluster cluster = new FakeCluster("node1:2", "node2:2");
        List<String> seen = new ArrayList<>();
        for (int gang = 0; gang < 2; gang++) {
            cluster.agent("node1").ports = List.of(41001, 41002);
            cluster.agent("node2").ports = List.of(41001, 41002);
            JobId job = cluster.submit(spec(Framework.DIST_TENSORFLOW, 2));
            cluster.settle();
            List<FakeWorker> workers = cluster.livingWorkers(job);
            assertThat(workers).hasSize(2);
            String addresses = workers.stream()
                    .map(worker -> "\"" + worker.environment.get("CONCERTINA_LISTENS_AT") + "\"")
                    .collect(Collectors.joining(","));
            for (int rank = 0; rank < 2; rank++) {
                Map<String, String> environment = workers.get(rank).environment;
                assertThat(environment)
                        .containsEntry("RANK", Integer.toString(rank))
                        .containsEntry(
                                "TF_CONFIG",
                                "{\"cluster\":{\"worker\":[" + addresses + "]},\"task\":{\"index\":" + rank
                                        + ",\"type\":\"worker\"}}");
                seen.add(environment.get("CONCERTINA_LISTENS_AT"));
            }
        }
        assertThat(seen).doesNotHaveDuplicates().allMatch(each -> each.matches("node[12]\\.example:4100[12]"));
    }

    @Test
    void aGangThatDoesNotFitStartsNobody() {
        FakeCluster cluster = new FakeCluster("node1:2");
        JobId job = cluster.submit(spec(Framework.DIST_PYTORCH, 3));
        cluster.settle();
        assertThat(cluster.view(job).state()).isEqualTo(JobState.PENDING);
        assertThat(cluster.view(job).workers()).isEmpty();
        assertThat(cluster.view(job).reason()).contains("needs 3");
    }

    @Test
    void aGangWaitsForAPortOfItsFirstNode() {
        FakeCluster cluster = new FakeCluster("node1:2");
        cluster.agent("node1").ports = List.of();
        JobId job = cluster.submit(spec(Framework.DIST_PYTORCH, 2));
        cluster.settle();
        assertThat(cluster.view(job).state()).isEqualTo(JobState.PENDING);
        assertThat(cluster.view(job).reason()).startsWith("waits for a free port");
        assertThat(cluster.slotsTaken()).isZero();
        cluster.agent("node1").ports = List.of(45555);
        cluster.settle();
        assertThat(cluster.worker(job, 1).environment).containsEntry("MASTER_PORT", "45555");
    }

    @Test
    void gangsOnTheSameNodeGetDifferentPorts() {
        FakeCluster cluster = new FakeCluster("node1:4");
        JobId first = cluster.submit(spec(Framework.DIST_PYTORCH, 2));
        JobId second = cluster.submit(spec(Framework.DIST_PYTORCH, 2));
        cluster.settle();
        assertThat(cluster.worker(first, 1).environment.get("MASTER_PORT"))
                .isNotEqualTo(cluster.worker(second, 1).environment.get("MASTER_PORT"));
    }

    @Test
    void oneFailingWorkerOfAGangStopsTheOthers() {
        FakeCluster cluster = new FakeCluster("node1:3");
        JobId job = cluster.submit(spec(Framework.DIST_PYTORCH, 3));
        cluster.settle();
        cluster.worker(job, 2).exit(7, 0);
        cluster.settle();
        assertThat(cluster.view(job).state()).isEqualTo(JobState.ERROR);
        assertThat(cluster.view(job).reason()).isEqualTo("worker concertina-1.2 ended with exit code 7");
        assertThat(cluster.livingWorkers(job)).isEmpty();
        assertThat(executed(cluster.agent("node1"), AgentCommand.Stop.class)).hasSize(2);
    }

    @Test
    void aGangIsNotToppedUpWhileItsWorkersEndOneByOne() {
        FakeCluster cluster = new FakeCluster("node1:3");
        JobId job = cluster.submit(spec(Framework.DIST_PYTORCH, 3));
        cluster.settle();
        cluster.worker(job, 2).exit(0, 0);
        cluster.pass(Duration.ofSeconds(40));
        assertThat(cluster.view(job).state()).isEqualTo(JobState.RUNNING);
        assertThat(cluster.view(job).workers()).hasSize(3);
        cluster.worker(job, 1).exit(0, 0);
        cluster.worker(job, 3).exit(0, 0);
        cluster.settle();
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
    }

    @Test
    void aGangThatLostAnAgentIsAnErrorThatNamesIt() {
        FakeCluster cluster = new FakeCluster("node1:1", "node2:1");
        JobId job = cluster.submit(spec(Framework.DIST_PYTORCH, 2));
        cluster.settle();
        FakeAgent dead = cluster.worker(job, 2).agent;
        dead.kill();
        cluster.pass(Duration.ofSeconds(31));
        assertThat(cluster.view(job).state()).isEqualTo(JobState.ERROR);
        assertThat(cluster.view(job).reason()).isEqualTo("worker concertina-1.2 was lost with agent " + dead.id);
    }

    @Test
    void anElasticWorkerIsToldItsJobsSecretSeedAndSize() {
        FakeCluster cluster = new FakeCluster("node1:2");
        JobId job = cluster.elastic(2, 9);
        JobId seeded = cluster.trainer.nextId();
        cluster.trainings.put(seeded, new FakeTraining(cluster, seeded, 1, 9));
        cluster.trainer.submit(
                seeded, ADA, spec(Framework.EDT_PYTORCH, 1, 1, 0, Map.of("CONCERTINA_SEED", "42")), true);
        cluster.settle();
        assertThat(cluster.worker(job, 1).environment)
                .containsEntry("CONCERTINA_LOGICAL_WORKERS", "2")
                .containsEntry("CONCERTINA_JOB_SECRET", "secret-1")
                .containsEntry("CONCERTINA_SEED", "0")
                .containsEntry("CONCERTINA_LISTEN_HOST", "node1.example");
        assertThat(cluster.worker(seeded, 1).environment)
                .containsEntry("CONCERTINA_SEED", "42")
                .containsEntry("CONCERTINA_JOB_SECRET", "secret-2");
    }

    @Test
    void allWorkersOfAnElasticJobComputeWithTheThreadsOfItsFirstAlsoAfterARestart() {
        FakeCluster cluster = new FakeCluster("node1:2", "node2:2");
        cluster.agent("node1").processors = 16;
        JobId job = cluster.elastic(4, 90);
        cluster.agent("node2").reachable = false;
        cluster.steps(2);
        cluster.killServer();
        cluster.startServer();
        cluster.agent("node2").reachable = true;
        cluster.steps(2);
        for (int ordinal = 1; ordinal <= 4; ordinal++) {
            assertThat(cluster.worker(job, ordinal).environment)
                    .containsEntry("OMP_NUM_THREADS", "8")
                    .containsEntry("MKL_NUM_THREADS", "8");
        }
        assertThat(cluster.worker(job, 4).agent.id.value()).isEqualTo("node2");
    }

    @Test
    void threadsThatTheUserChoseAreLeftAlone() {
        FakeCluster cluster = new FakeCluster("node1:1");
        JobId job = cluster.trainer.nextId();
        cluster.trainings.put(job, new FakeTraining(cluster, job, 1, 9));
        cluster.trainer.submit(job, ADA, spec(Framework.EDT_PYTORCH, 1, 1, 0, Map.of("OMP_NUM_THREADS", "3")), true);
        cluster.settle();
        assertThat(cluster.worker(job, 1).environment)
                .doesNotContainKey("OMP_NUM_THREADS")
                .containsEntry("MKL_NUM_THREADS", "4");
    }

    @Test
    void theSecretSurvivesARestartAndIsNeverShown() {
        FakeCluster cluster = new FakeCluster("node1:1", "node2:1");
        JobId job = cluster.elastic(2, 90);
        cluster.agent("node2").reachable = false;
        cluster.steps(2);
        cluster.killServer();
        cluster.startServer();
        cluster.agent("node2").reachable = true;
        cluster.steps(2);
        assertThat(cluster.worker(job, 2).environment).containsEntry("CONCERTINA_JOB_SECRET", "secret-1");
        assertThat(cluster.view(job).toString()).doesNotContain("secret-1");
        assertThat(cluster.journal.events(job).toString()).doesNotContain("secret-1");
    }

    @Test
    void whatCannotBeStoredHasNotHappened() {
        FakeCluster cluster = new FakeCluster("node1:1");
        cluster.journal.appendsUntilFailure = 0;
        assertThatThrownBy(() -> cluster.submit(spec(Framework.PYTORCH, 1))).hasMessage("disk full");
        assertThat(cluster.trainer.list()).isEmpty();
        JobId job = cluster.submit(spec(Framework.PYTORCH, 1));
        cluster.settle();
        cluster.journal.appendsUntilFailure = 0;
        assertThatThrownBy(() -> cluster.trainer.stop(job, ADA)).hasMessage("disk full");
        cluster.settle();
        assertThat(cluster.view(job).state()).isEqualTo(JobState.RUNNING);
        cluster.worker(job, 1).exit(0, 0);
        cluster.journal.appendsUntilFailure = 0;
        assertThatThrownBy(cluster::settle).hasMessage("disk full");
        cluster.settle();
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
    }

    @Test
    void aPlannerThatFailsStopsNothingElse() {
        FakeCluster cluster = new FakeCluster("node1:1");
        cluster.planning = (view, demands, policy, now) -> {
            throw new IllegalStateException("no idea");
        };
        cluster.startServer();
        JobId job = cluster.submit(spec(Framework.PYTORCH, 1));
        cluster.settle();
        assertThat(cluster.view(job).state()).isEqualTo(JobState.PENDING);
        cluster.trainer.stop(job, ADA);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.KILLED);
    }

    @Test
    void nonsenseFromAWorkerChangesNothing() {
        FakeCluster cluster = new FakeCluster("node1:2");
        JobId job = cluster.elastic(2, 20);
        cluster.steps(2);
        JobView before = cluster.view(job);
        FakeWorker worker = cluster.worker(job, 1);
        for (Map<String, Object> message : List.<Map<String, Object>>of(
                Map.of(),
                Map.of("type", 7),
                Map.of("type", "rejoice"),
                Map.of("type", "broken"),
                Map.of("type", "broken", "generation", "one", "step", 1),
                Map.of("type", "formed", "generation", 1_000_000_000_000L),
                Map.of("type", "broken", "generation", 77, "step", 1),
                Map.of("type", "switched", "generation", 9, "step", 1000, "pauseMillis", Double.NaN),
                Map.of("type", "progress", "generation", 0, "epoch", 9, "step", 900, "steps", 1),
                Map.of("type", "left", "generation", -1))) {
            worker.agent.tell(new AgentReport.Message(worker.id, message));
        }
        cluster.settle();
        assertThat(cluster.view(job).generation()).isEqualTo(before.generation());
        assertThat(cluster.view(job).step()).isEqualTo(before.step());
        cluster.steps(3);
        assertThat(cluster.view(job).generation()).isEqualTo(1);
        assertThat(cluster.training(job).announced).hasSize(1);
    }
}
