package concertina.trials;

import concertina.search.Sampler;

/** A sampler whose next suggestion depends on more than it was told, and which is therefore saved with every suggestion. */
interface SavingSampler extends Sampler, AutoCloseable {
    /** What an instance built anew needs to go on after the suggestion last made. */
    String saved();

    /** Lets a question that is being answered fail, and every further one. Comes from any thread; {@link #close} follows. */
    void cancel();

    @Override
    void close();
}
