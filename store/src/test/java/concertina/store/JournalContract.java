package concertina.store;

import static org.assertj.core.api.Assertions.assertThat;

import concertina.model.JobId;
import concertina.model.JobSpec;
import concertina.model.UserName;
import concertina.train.JobEvent;
import concertina.train.Journal;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.RecordComponent;
import java.lang.reflect.Type;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;

/** What every journal promises; an implementation's test extends this. */
public abstract class JournalContract {
    private static final Instant NOON = Instant.parse("2030-01-01T12:00:00.123456789Z");

    /** The journal under test, empty at first, the same one until it is reopened. */
    protected abstract Journal journal();

    /** Closes the journal and opens it again, as a restart of the server does. */
    protected abstract Journal reopened();

    static Journal.Entry entry(String job, int number) {
        return new Journal.Entry(new JobId(job), NOON.plusMillis(number), sample(JobEvent.Submitted.class, number));
    }

    static List<Journal.Entry> all(Journal journal) {
        List<Journal.Entry> entries = new ArrayList<>();
        journal.replay(entries::add);
        return entries;
    }

    @Test
    void anEmptyJournalReplaysNothing() {
        assertThat(all(journal())).isEmpty();
        journal().append(List.of());
        assertThat(all(reopened())).isEmpty();
    }

    @Test
    void entriesComeBackInTheOrderOfEntryWhateverTheirTimes() {
        List<Journal.Entry> entries = List.of(entry("b-2", 9), entry("a-1", 1), entry("b-2", 5));
        journal().append(entries.subList(0, 1));
        journal().append(entries.subList(1, 3));

        assertThat(all(journal())).isEqualTo(entries);
        assertThat(all(reopened())).isEqualTo(entries);
    }

    @Test
    void everyKindOfEventComesBackAsItWas() {
        List<Journal.Entry> entries = new ArrayList<>();
        for (Class<?> kind : JobEvent.class.getPermittedSubclasses()) {
            entries.add(new Journal.Entry(new JobId("a-1"), NOON, (JobEvent) sample(kind, entries.size())));
        }
        journal().append(entries);

        assertThat(all(reopened())).isEqualTo(entries);
    }

    @Test
    void anyTextComesBackAsItWas() {
        String text = "line\nquote\" ' \\ 'ünï😀 \u0001 end";
        JobEvent.Submitted plain = sample(JobEvent.Submitted.class, 1);
        Journal.Entry entry = new Journal.Entry(
                new JobId("a-1"), NOON, new JobEvent.Submitted(new UserName(text), plain.spec(), true));
        journal().append(List.of(entry));

        assertThat(all(reopened())).containsExactly(entry);
    }

    @Test
    void aNameOfAnyLengthComesBackAsItWas() {
        JobEvent.Submitted plain = sample(JobEvent.Submitted.class, 1);
        JobSpec job = plain.spec();
        JobSpec spec = new JobSpec(
                job.framework(),
                job.applicationName(),
                job.arguments(),
                job.modelMain(),
                job.modelDirectory(),
                job.userCommand(),
                job.scriptArguments(),
                job.workers(),
                job.slotsPerWorker(),
                job.gpu(),
                job.priority(),
                Map.of("X".repeat(1 << 20), "1"),
                job.dataPath(),
                job.condaEnvironment(),
                job.consumer(),
                job.pendingTimeoutSeconds());
        Journal.Entry entry =
                new Journal.Entry(new JobId("a-1"), NOON, new JobEvent.Submitted(plain.creator(), spec, true));
        journal().append(List.of(entry));

        assertThat(all(reopened())).containsExactly(entry);
    }

    @Test
    void forgettingAJobRemovesItsEntriesOnly() {
        journal().append(List.of(entry("a-1", 1), entry("a-10", 2), entry("a-1", 3)));

        journal().forget(new JobId("a-1"));
        journal().forget(new JobId("never"));

        assertThat(all(journal())).containsExactly(entry("a-10", 2));
        assertThat(all(reopened())).containsExactly(entry("a-10", 2));
    }

    @Test
    void randomAppendsAndForgetsEndAsInAModel() {
        for (long seed = 0; seed < 10; seed++) {
            Random random = new Random(seed);
            List<Journal.Entry> model = all(journal());
            for (int step = 0; step < 30; step++) {
                if (random.nextInt(5) == 0) {
                    JobId job = new JobId("a-" + random.nextInt(6));
                    journal().forget(job);
                    model.removeIf(entry -> entry.job().equals(job));
                } else {
                    List<Journal.Entry> batch = new ArrayList<>();
                    for (int i = random.nextInt(5); i >= 0; i--) {
                        batch.add(entry("a-" + random.nextInt(6), random.nextInt(1000)));
                    }
                    journal().append(batch);
                    model.addAll(batch);
                }
            }
            assertThat(all(journal())).as("seed %d", seed).isEqualTo(model);
        }
    }

    @Test
    void numbersCountFromOneAndSurviveForgettingAndRestart() {
        assertThat(journal().nextNumber()).isEqualTo(1);
        assertThat(journal().nextNumber()).isEqualTo(2);
        journal().append(List.of(entry("a-2", 1)));
        journal().forget(new JobId("a-2"));
        assertThat(reopened().nextNumber()).isEqualTo(3);
    }

    @Test
    void noNumberIsGivenToTwoCallers() throws Exception {
        Set<Long> given = ConcurrentHashMap.newKeySet();
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<?>> callers = new ArrayList<>();
            for (int caller = 0; caller < 4; caller++) {
                callers.add(threads.submit(() -> {
                    for (int i = 0; i < 25; i++) {
                        assertThat(given.add(journal().nextNumber())).isTrue();
                    }
                }));
            }
            for (Future<?> caller : callers) {
                caller.get();
            }
        }
        assertThat(given).hasSize(100).contains(1L, 100L);
    }

    @Test
    void aReaderMayAppendWhileItReplays() {
        journal().append(List.of(entry("a-1", 1), entry("a-1", 2)));

        List<Journal.Entry> seen = new ArrayList<>();
        journal().replay(entry -> {
            seen.add(entry);
            if (seen.size() == 1) {
                journal().append(List.of(entry("a-2", 3)));
            }
        });

        assertThat(seen).startsWith(entry("a-1", 1), entry("a-1", 2));
        assertThat(all(journal())).containsExactly(entry("a-1", 1), entry("a-1", 2), entry("a-2", 3));
    }

    /** Some value of that type; different seeds give different values. */
    @SuppressWarnings("unchecked")
    static <T> T sample(Class<T> type, int seed) {
        return (T) value(type, seed);
    }

    private static Object value(Type type, int seed) {
        if (type instanceof ParameterizedType generic) {
            Type[] arguments = generic.getActualTypeArguments();
            return generic.getRawType() == Map.class
                    ? Map.of("KEY" + seed, value(arguments[1], seed))
                    : List.of(value(arguments[0], seed), value(arguments[0], seed + 1));
        }
        Class<?> raw = (Class<?>) type;
        if (raw == int.class || raw == Integer.class) {
            return 1 + seed;
        }
        if (raw == long.class || raw == Long.class) {
            return (1L << 40) + seed;
        }
        if (raw == double.class || raw == Double.class) {
            return 0.1 + seed;
        }
        if (raw == boolean.class || raw == Boolean.class) {
            return seed % 2 == 0;
        }
        if (raw == String.class) {
            return "text" + seed;
        }
        if (raw == Instant.class) {
            return NOON.plusSeconds(seed);
        }
        if (raw.isEnum()) {
            return raw.getEnumConstants()[seed % raw.getEnumConstants().length];
        }
        RecordComponent[] components = raw.getRecordComponents();
        Object[] arguments = new Object[components.length];
        for (int i = 0; i < components.length; i++) {
            arguments[i] = value(components[i].getGenericType(), seed + i);
        }
        try {
            var constructor = raw.getDeclaredConstructor(
                    Arrays.stream(components).map(RecordComponent::getType).toArray(Class<?>[]::new));
            constructor.setAccessible(true);
            return constructor.newInstance(arguments);
        } catch (ReflectiveOperationException e) {
            throw new AssertionError("no sample of " + raw, e);
        }
    }
}
