package concertina.train;

import static concertina.train.FakeCluster.spec;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

import concertina.model.AgentCommand;
import concertina.model.AgentHello;
import concertina.model.AgentId;
import concertina.model.AgentReport;
import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.Framework;
import concertina.model.JobId;
import concertina.model.JobState;
import concertina.model.WorkerId;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What agents may rely on: sessions, commands, and what becomes of workers whose agent is silent. */
class AgentsTest {
    private static final AgentId NODE = new AgentId("node1");
    private static final Duration NONE = Duration.ZERO;

    private final FakeCluster cluster = new FakeCluster("node1:2");

    private List<Agents.NumberedCommand> poll(String session, long acknowledged) throws InterruptedException {
        return cluster.trainer.poll(NODE, session, acknowledged, List.of(41001), NONE);
    }

    @Test
    void anAgentThatWasLostLongAgoExcusesNoWorkerThatEndsInTheMiddle() {
        FakeCluster two = new FakeCluster("node1:2", "node2:1");
        JobId job = two.elastic(3, 60);
        two.steps(3);
        two.agent("node2").kill();
        two.pass(Duration.ofSeconds(40));
        two.steps(5);
        assertThat(two.view(job).workers()).hasSize(3);
        two.worker(job, 2).exit(0, 0);
        two.steps(3);
        two.pass(Duration.ofMinutes(2));
        assertThat(two.view(job).state()).isEqualTo(JobState.ERROR);
        assertThat(two.view(job).reason())
                .startsWith("worker " + job + ".2 ended with exit code 0 in the middle of training, after step");
    }

    @Test
    void whoEndsBesideAWorkerOfALostAgentIsBelieved() {
        FakeCluster two = new FakeCluster("node1:2", "node2:1");
        JobId job = two.elastic(3, 60);
        two.steps(3);
        for (int ordinal : List.of(1, 2, 3)) {
            FakeWorker worker = two.worker(job, ordinal);
            if (worker.agent == two.agent("node1")) {
                worker.exit(0, 0);
            }
        }
        two.agent("node2").kill();
        two.pass(Duration.ofMinutes(2));
        assertThat(two.view(job).reason()).doesNotContain("in the middle of training");
        assertThat(two.view(job).state().finalState()).isFalse();
    }

    @Test
    void aCommandIsDeliveredUntilItIsAcknowledged() throws InterruptedException {
        cluster.trainer.join(new AgentHello(NODE, "s1", "host", 4, cluster.agent("node1").slots, List.of()));
        cluster.submit(spec(Framework.PYTORCH, 1));
        assertThat(poll("s1", 0))
                .singleElement()
                .satisfies(first -> assertThat(first.sequence()).isEqualTo(1));
        assertThat(poll("s1", 0)).hasSize(1);
        cluster.submit(spec(Framework.PYTORCH, 1));
        assertThat(poll("s1", 0)).extracting(Agents.NumberedCommand::sequence).containsExactly(1L, 2L);
        assertThat(poll("s1", 1)).extracting(Agents.NumberedCommand::sequence).containsExactly(2L);
        assertThat(poll("s1", 2)).isEmpty();
    }

    @Test
    void anUnknownSessionIsToldToJoinAgain() throws InterruptedException {
        assertThatThrownBy(() -> poll("s1", 0))
                .isInstanceOfSatisfying(
                        ConcertinaException.class,
                        refused -> assertThat(refused.code()).isEqualTo(ErrorCode.CONFLICT))
                .hasMessage("unknown session");
        cluster.trainer.join(new AgentHello(NODE, "s1", "host", 4, List.of(), List.of()));
        assertThat(poll("s1", 0)).isEmpty();
        cluster.trainer.join(new AgentHello(NODE, "s2", "host", 4, List.of(), List.of()));
        assertThatThrownBy(() -> poll("s1", 0)).hasMessage("unknown session");
        assertThatThrownBy(() -> cluster.trainer.report(NODE, "s1", List.of())).hasMessage("unknown session");
        assertThat(poll("s2", 0)).isEmpty();
    }

    @Test
    @Timeout(30)
    void aWaitingPollReturnsAsSoonAsThereIsACommandAndHoldsUpNobody()
            throws InterruptedException, ExecutionException, TimeoutException {
        cluster.trainer.join(new AgentHello(NODE, "s1", "host", 4, cluster.agent("node1").slots, List.of()));
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            CountDownLatch begun = new CountDownLatch(1);
            CompletableFuture<List<Agents.NumberedCommand>> waiting = CompletableFuture.supplyAsync(
                    () -> {
                        begun.countDown();
                        try {
                            return cluster.trainer.poll(NODE, "s1", 0, List.of(), Duration.ofSeconds(20));
                        } catch (InterruptedException interrupted) {
                            throw new IllegalStateException(interrupted);
                        }
                    },
                    threads);
            begun.await();
            JobId job = cluster.submit(spec(Framework.PYTORCH, 1));
            assertThat(waiting.get(10, TimeUnit.SECONDS))
                    .singleElement()
                    .satisfies(numbered -> assertThat(numbered.command())
                            .isInstanceOfSatisfying(
                                    AgentCommand.Start.class,
                                    start -> assertThat(start.worker()).isEqualTo(new WorkerId(job, 1))));
        }
    }

    @Test
    @Timeout(30)
    void aPollOfAReplacedSessionIsWokenAndRefused() throws InterruptedException {
        cluster.trainer.join(new AgentHello(NODE, "s1", "host", 4, List.of(), List.of()));
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            CompletableFuture<String> waiting = CompletableFuture.supplyAsync(
                    () -> {
                        try {
                            cluster.trainer.poll(NODE, "s1", 0, List.of(), Duration.ofSeconds(20));
                            return "answered";
                        } catch (ConcertinaException refused) {
                            return refused.getMessage();
                        } catch (InterruptedException interrupted) {
                            throw new IllegalStateException(interrupted);
                        }
                    },
                    threads);
            cluster.trainer.join(new AgentHello(NODE, "s2", "host", 4, List.of(), List.of()));
            assertThat(waiting.join()).isEqualTo("unknown session");
        }
    }

    @Test
    void anAgentIsLostAfterThirtySilentSecondsWithAllItsWorkers() {
        JobId job = cluster.elastic(2, 50);
        cluster.steps(3);
        cluster.agent("node1").reachable = false;
        cluster.pass(Duration.ofSeconds(29));
        assertThat(cluster.trainer.cluster().agents().getFirst().connected()).isTrue();
        assertThat(cluster.view(job).slotsHeld()).isEqualTo(2);
        cluster.pass(Duration.ofSeconds(1));
        assertThat(cluster.trainer.cluster().agents().getFirst().connected()).isFalse();
        assertThat(cluster.view(job).state()).isEqualTo(JobState.PENDING);
        assertThat(cluster.view(job).workers()).allSatisfy(worker -> {
            assertThat(worker.alive()).isFalse();
            assertThat(worker.exitCode()).isNull();
        });
    }

    @Test
    void nobodyIsLostBeforeTheServerHasRunForThirtySeconds() {
        JobId job = cluster.elastic(2, 50);
        cluster.steps(3);
        cluster.killServer();
        cluster.clock.advance(Duration.ofMinutes(10));
        cluster.agent("node1").reachable = false;
        cluster.startServer();
        cluster.pass(Duration.ofSeconds(29));
        assertThat(cluster.view(job).slotsHeld()).isEqualTo(2);
        cluster.pass(Duration.ofSeconds(1));
        assertThat(cluster.view(job).slotsHeld()).isZero();
        assertThat(cluster.view(job).state()).isEqualTo(JobState.PENDING);
    }

    @Test
    void workersOfAnAgentThatComesBackTooLateAreStoppedAndBlockTheirSlotsUntilGone() {
        JobId job = cluster.elastic(2, 50);
        cluster.steps(3);
        FakeAgent agent = cluster.agent("node1");
        List<FakeWorker> former = cluster.livingWorkers(job);
        agent.reachable = false;
        cluster.pass(Duration.ofSeconds(31));
        agent.reachable = true;
        agent.exchange();
        agent.exchange();
        assertThat(cluster.view(job).slotsHeld()).isZero();
        cluster.settle();
        assertThat(former).noneMatch(worker -> worker.alive);
        assertThat(cluster.view(job).slotsHeld()).isEqualTo(2);
        cluster.steps(60);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
    }

    @Test
    void workersThatANewAgentProcessDoesNotNameAreReplaced() {
        JobId job = cluster.elastic(2, 50);
        cluster.steps(3);
        cluster.agent("node1").kill();
        cluster.agent("node1").restart();
        cluster.steps(2);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.RUNNING);
        assertThat(cluster.view(job).workers())
                .extracting(JobView.WorkerView::alive)
                .containsExactly(false, false, true, true);
        cluster.steps(60);
        assertThat(cluster.view(job).state()).isEqualTo(JobState.FINISHED);
    }

    @Test
    void survivorsOnOtherNodesGoOnWhenAnAgentIsLost() {
        FakeCluster two = new FakeCluster("node1:2", "node2:2");
        JobId job = two.elastic(4, 60);
        two.steps(5);
        two.agent("node2").kill();
        two.pass(Duration.ofSeconds(31));
        assertThat(two.view(job).slotsHeld()).isEqualTo(2);
        two.steps(3);
        two.agent("node2").restart();
        two.steps(60);
        assertThat(two.view(job).state()).isEqualTo(JobState.FINISHED);
        assertThat(two.view(job).switches()).extracting(JobView.Switch::members).containsExactly(4, 2, 4);
        assertThat(two.training(job).repeated).isLessThanOrEqualTo(1);
    }

    @Test
    void aWorkerOfAnUnknownJobIsStoppedAndItsAgentsSlotsStayBlockedUntilItIsGone() throws InterruptedException {
        WorkerId stranger = new WorkerId(new JobId("concertina-77"), 1);
        cluster.trainer.join(new AgentHello(
                NODE,
                "s1",
                "host",
                4,
                cluster.agent("node1").slots,
                List.of(new AgentHello.KnownWorker(stranger, List.of(new AgentReport.Started(stranger, 5))))));
        JobId job = cluster.submit(spec(Framework.PYTORCH, 1));
        assertThat(poll("s1", 0))
                .extracting(Agents.NumberedCommand::command)
                .containsExactly(new AgentCommand.Stop(stranger, 10));
        assertThat(cluster.view(job).state()).isEqualTo(JobState.PENDING);
        cluster.trainer.report(NODE, "s1", List.of(new AgentReport.Exited(stranger, -1, 15, "")));
        assertThat(cluster.view(job).state()).isEqualTo(JobState.STARTING);
        assertThat(poll("s1", 1))
                .extracting(Agents.NumberedCommand::command)
                .first()
                .isEqualTo(new AgentCommand.Forget(stranger.job()));
    }

    @Test
    void aJobOfAnotherAgentCannotBeReportedOn() {
        FakeCluster two = new FakeCluster("node1:1", "node2:1");
        JobId job = two.submit(spec(Framework.PYTORCH, 1));
        two.settle();
        FakeWorker worker = two.worker(job, 1);
        FakeAgent other = two.agent(worker.agent.id.value().equals("node1") ? "node2" : "node1");
        other.tell(new AgentReport.Exited(worker.id, 0, 0, ""));
        two.settle();
        assertThat(two.view(job).state()).isEqualTo(JobState.RUNNING);
    }

    @Test
    void anAgentWhoseNameOrSlotsCouldLeadAstrayIsRefused() {
        for (String name : List.of("../x", "a/b", "-a", "a b", "a".repeat(64))) {
            assertThatThrownBy(() -> cluster.trainer.join(
                            new AgentHello(new AgentId(name), "s1", "host", 4, List.of(), List.of())))
                    .hasMessageContaining("agent is '" + name + "', accepted: ");
        }
        assertThatThrownBy(() -> cluster.trainer.join(
                        new AgentHello(new AgentId("node2"), "s1", "host", 4, cluster.agent("node1").slots, List.of())))
                .hasMessage("slots is 'node1/0', accepted: different ids that begin with 'node2/'");
        assertThat(cluster.trainer.cluster().agents()).isEmpty();
    }

    @Test
    void theClusterShowsWhoHoldsWhichSlot() {
        JobId job = cluster.submit(spec(Framework.PYTORCH, 1, 1, 0, Map.of()));
        cluster.settle();
        ClusterStatus.AgentStatus agent = cluster.trainer.cluster().agents().getFirst();
        assertThat(agent.host()).isEqualTo("node1.example");
        assertThat(agent.slots())
                .extracting(ClusterStatus.SlotStatus::job, ClusterStatus.SlotStatus::worker)
                .containsExactlyInAnyOrder(tuple(job, 1), tuple(null, null));
    }
}
