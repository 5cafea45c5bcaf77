package concertina.search;

import java.util.SplittableRandom;
import java.util.random.RandomGenerator;

/** Random numbers that depend on a seed and a trial's number alone, so that they need no saving. */
final class Randomness {
    private Randomness() {}

    /** A generator for trial {@code number} of the search with this seed; the same in every process. */
    static RandomGenerator of(long seed, long number) {
        return new SplittableRandom(mix(mix(seed) + number));
    }

    /** The finalizer of SplitMix64: every input bit reaches every output bit. */
    private static long mix(long bits) {
        long mixed = bits + 0x9e3779b97f4a7c15L;
        mixed = (mixed ^ (mixed >>> 30)) * 0xbf58476d1ce4e5b9L;
        mixed = (mixed ^ (mixed >>> 27)) * 0x94d049bb133111ebL;
        return mixed ^ (mixed >>> 31);
    }
}
