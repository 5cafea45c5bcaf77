package concertina.trials;

import concertina.model.UserName;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A search as it looked at one moment.
 *
 * @param reason why it is in its state, or what it waits for
 * @param duration how long it has run, without the time for which it was stopped
 * @param trials in order of their numbers
 * @param best the measured trial with the best value of the first objective, else the best that was stopped early; null before
 * @param warmStart what the algorithm was told of earlier searches; null for nothing
 * @param running trials under way
 * @param complete trials that ended, failed ones among them
 * @param failed trials that ended without a value
 */
public record SearchView(
        String name,
        UserName creator,
        SearchSpec spec,
        SearchState state,
        String reason,
        Instant createdAt,
        Duration duration,
        List<TrialView> trials,
        @Nullable TrialView best,
        @Nullable WarmStart warmStart,
        int running,
        int complete,
        int failed) {}
