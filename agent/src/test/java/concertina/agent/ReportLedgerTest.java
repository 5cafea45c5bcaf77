package concertina.agent;

import static org.assertj.core.api.Assertions.assertThat;

import concertina.model.AgentReport;
import concertina.model.JobId;
import concertina.model.WorkerId;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class ReportLedgerTest {
    private final ReportLedger ledger = new ReportLedger();
    private final WorkerId worker = TestingAgent.worker("concertina-1", 1);
    private final WorkerId other = TestingAgent.worker("concertina-2", 1);

    private AgentReport.Message said(String type, int number) {
        return new AgentReport.Message(worker, Map.of("type", type, "number", number));
    }

    private List<AgentReport> waiting() throws InterruptedException {
        return ledger.oldest(100_000).stream().map(ReportLedger.Entry::report).toList();
    }

    @Test
    void reportsStayInOrderUntilTheyAreAcknowledged() throws Exception {
        ledger.know(worker);
        AgentReport started = new AgentReport.Started(worker, 7);
        ledger.add(started);
        ledger.add(said("prepared", 1));
        assertThat(waiting()).containsExactly(started, said("prepared", 1));
        List<ReportLedger.Entry> first = ledger.oldest(1);
        ledger.add(said("formed", 2));
        ledger.acknowledge(first.getLast().number());
        assertThat(waiting()).containsExactly(said("prepared", 1), said("formed", 2));
    }

    @Test
    void aSnapshotHoldsTheLastMessageOfEachTypeInOrderAndTheEnd() {
        ledger.know(worker);
        ledger.know(other);
        ledger.add(new AgentReport.Started(worker, 7));
        ledger.add(said("prepared", 1));
        ledger.add(said("formed", 2));
        ledger.add(said("prepared", 3));
        ledger.add(new AgentReport.Exited(worker, 0, 0, ""));
        ReportLedger.Snapshot snapshot = ledger.snapshot();
        assertThat(snapshot.workers()).hasSize(2);
        assertThat(snapshot.workers().getFirst().reports())
                .containsExactly(
                        new AgentReport.Started(worker, 7),
                        said("formed", 2),
                        said("prepared", 3),
                        new AgentReport.Exited(worker, 0, 0, ""));
        assertThat(snapshot.workers().getLast().reports()).isEmpty();
    }

    @Test
    void whatASnapshotCoversIsNotSentAgainButWhatFollowsIs() throws Exception {
        ledger.know(worker);
        ledger.add(said("formed", 1));
        ReportLedger.Snapshot snapshot = ledger.snapshot();
        ledger.add(said("switched", 2));
        ledger.acknowledge(snapshot.covers());
        assertThat(waiting()).containsExactly(said("switched", 2));
    }

    @Test
    void ofAWorkerWhoseEndTheServerHasOnlyStartAndEndAreKept() throws Exception {
        AgentReport started = new AgentReport.Started(worker, 7);
        AgentReport exited = new AgentReport.Exited(worker, 0, 0, "");
        AgentReport shipped = new AgentReport.Shipped(worker);
        ledger.know(worker);
        List.of(started, said("done", 1), exited, shipped).forEach(ledger::add);
        List<ReportLedger.Entry> entries = ledger.oldest(10);
        ledger.acknowledge(entries.get(2).number());
        assertThat(ledger.snapshot().workers().getFirst().reports()).contains(said("done", 1));
        ledger.acknowledge(entries.get(3).number());
        assertThat(ledger.snapshot().workers().getFirst().reports()).containsExactly(started, exited, shipped);
        assertThat(ledger.know(worker)).isFalse();
    }

    @Test
    void aWorkerIsNewOnlyOnce() {
        assertThat(ledger.know(worker)).isTrue();
        assertThat(ledger.know(worker)).isFalse();
    }

    @Test
    void aForgottenJobLeavesNothingAndItsLateReportsAreDropped() throws Exception {
        ledger.know(worker);
        ledger.know(other);
        ledger.add(said("formed", 1));
        ledger.add(new AgentReport.Started(other, 8));
        ledger.forget(new JobId("concertina-1"));
        ledger.add(said("done", 2));
        assertThat(waiting()).containsExactly(new AgentReport.Started(other, 8));
        assertThat(ledger.snapshot().workers()).hasSize(1);
    }

    @Test
    void whileTheServerIsAwayProgressIsThinnedAndNothingElse() throws Exception {
        ledger.know(worker);
        for (int i = 0; i < 3000; i++) {
            ledger.add(said("progress", i));
        }
        ledger.add(said("broken", 1));
        ledger.add(said("broken", 2));
        assertThat(waiting()).hasSizeLessThan(1100);
        assertThat(waiting().subList(waiting().size() - 3, waiting().size()))
                .containsExactly(said("progress", 2999), said("broken", 1), said("broken", 2));
    }
}
