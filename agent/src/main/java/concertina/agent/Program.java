package concertina.agent;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** What a worker's process runs. */
sealed interface Program {
    /** The command line a person would have typed for it. */
    List<String> commandLine();

    /**
     * A Python script.
     *
     * @param python interpreter to run it with
     * @param file absolute path of the script
     * @param name what the script finds as its own name in sys.argv
     * @param forkable whether a fork of the warm interpreter does the same as a new one
     */
    record Script(Path python, Path file, String name, List<String> arguments, boolean forkable) implements Program {
        public Script {
            arguments = List.copyOf(arguments);
        }

        /** Name and arguments, the script's sys.argv. */
        List<String> words() {
            List<String> words = new ArrayList<>();
            words.add(name);
            words.addAll(arguments);
            return words;
        }

        @Override
        public List<String> commandLine() {
            List<String> line = new ArrayList<>();
            line.add(python.toString());
            line.addAll(words());
            return line;
        }
    }

    /** A whole command of the user. */
    record Command(List<String> words) implements Program {
        public Command {
            words = List.copyOf(words);
        }

        @Override
        public List<String> commandLine() {
            return words;
        }
    }
}
