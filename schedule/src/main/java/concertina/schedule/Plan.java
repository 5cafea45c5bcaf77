package concertina.schedule;

import concertina.model.JobId;
import concertina.model.SlotId;
import java.util.List;

/** What to do now, one assignment for every demand, in the order in which they were considered. */
public record Plan(List<Assignment> assignments) {
    public Plan {
        assignments = List.copyOf(assignments);
    }

    /**
     * The decision about one job.
     *
     * @param target workers it should have once every start and leave of this and other jobs is through
     * @param starts workers to start now, each with its slots, all free at this moment
     * @param leaves ordinals of workers to take back now
     * @param reason one sentence for the job's owner: what it holds or waits for, and why
     */
    public record Assignment(JobId job, int target, List<List<SlotId>> starts, List<Integer> leaves, String reason) {
        public Assignment {
            starts = starts.stream().map(List::copyOf).toList();
            leaves = List.copyOf(leaves);
        }

        /** Whether there is nothing to do for this job now. */
        public boolean idle() {
            return starts.isEmpty() && leaves.isEmpty();
        }
    }

    /** Whether there is nothing to do at all. */
    public boolean idle() {
        return assignments.stream().allMatch(Assignment::idle);
    }
}
