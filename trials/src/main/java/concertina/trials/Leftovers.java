package concertina.trials;

import concertina.model.JobId;
import concertina.model.UserName;
import concertina.train.JobFiles;
import concertina.train.Jobs;
import java.io.IOException;
import java.time.InstantSource;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What searches leave behind when they are deleted, and what was uploaded for searches that never began: recorded before anything
 * else, under names that no search can have, so that a server that is killed meanwhile does not leave it for ever. Thread-safe once
 * {@link #sweep} was called.
 */
final class Leftovers {
    private static final Logger LOG = LoggerFactory.getLogger(Leftovers.class);

    private final SearchJournal journal;
    private final Jobs jobs;
    private final JobFiles files;
    private final InstantSource clock;

    /** What an earlier server did not come to; only until it is swept. */
    private final Map<String, SearchEvent.LeftBehind> found = new LinkedHashMap<>();

    Leftovers(SearchJournal journal, Jobs jobs, JobFiles files, InstantSource clock) {
        this.journal = journal;
        this.jobs = jobs;
        this.files = files;
        this.clock = clock;
    }

    void replay(String name, SearchEvent.LeftBehind left) {
        found.put(name, left);
    }

    /** Puts away what an earlier server did not come to; what fails waits for the next. */
    void sweep(Predicate<JobId> codeInUse) {
        found.forEach((name, left) -> {
            JobId code = left.code();
            boolean gone = code == null || codeInUse.test(code) || removed(code, left.creator());
            for (JobId job : left.jobs()) {
                gone &= stopped(job, left);
            }
            if (gone) {
                done(name);
            }
        });
        found.clear();
    }

    private boolean stopped(JobId job, SearchEvent.LeftBehind left) {
        try {
            if (jobs.find(job).isEmpty()) {
                return removed(job, left.creator());
            }
            jobs.stop(job, left.by());
            return true;
        } catch (RuntimeException failure) {
            LOG.warn("job {} of a deleted search could not be stopped", job, failure);
            return false;
        }
    }

    /** Removes files of a job that was never submitted. Returns whether none are left. */
    boolean removed(JobId job, UserName creator) {
        try {
            files.delete(job, creator);
            return true;
        } catch (IOException | RuntimeException failure) {
            LOG.warn("the files of {} could not be removed", job, failure);
            return false;
        }
    }

    /** Reserves an id for code that is about to be laid down. */
    JobId expectCode(UserName creator) {
        JobId code = jobs.nextId();
        journal.append(List.of(new SearchJournal.Entry(
                name(code), clock.instant(), new SearchEvent.LeftBehind(creator, creator, List.of(), code))));
        return code;
    }

    /** Code that was expected belongs to a search, or is gone. */
    void codeIsSettled(JobId code) {
        done(name(code));
    }

    /** Replaces all that is recorded of a search by what is left of it. Returns the name of that. */
    String leave(String search, SearchEvent.LeftBehind left) {
        String name = name(jobs.nextId());
        journal.replace(search, new SearchJournal.Entry(name, clock.instant(), left));
        return name;
    }

    void done(String name) {
        try {
            journal.forget(name);
        } catch (RuntimeException failure) {
            LOG.warn("what is left of a search is put away once more at the next start", failure);
        }
    }

    private static String name(JobId unique) {
        return "/" + unique;
    }
}
