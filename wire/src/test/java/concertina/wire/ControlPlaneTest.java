package concertina.wire;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class ControlPlaneTest {
    private static final Path SETSID = Path.of("/usr/bin/setsid");

    /** What the test starts: yields and says what its session weighs then. */
    static final class Yielding {
        public static void main(String[] arguments) throws IOException {
            ControlPlane.yieldToTraining();
            System.out.print(Files.readString(Path.of("/proc/self/autogroup")));
        }
    }

    @BeforeAll
    static void whereTheKernelWeighsSessions() {
        assumeTrue(Files.exists(Path.of("/proc/self/autogroup")) && Files.isExecutable(SETSID));
    }

    private static String weight(List<String> before) throws IOException {
        List<String> command = new ArrayList<>(before);
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), Yielding.class.getName()));
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        return new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
    }

    @Test
    void aSessionOfItsOwnWeighsLess() throws IOException {
        assertThat(weight(List.of(SETSID.toString()))).endsWith(" nice 5");
    }

    @Test
    void aSessionThatOthersBeganStaysAsItIs() throws IOException {
        String mine = Files.readString(Path.of("/proc/self/autogroup")).strip();
        assertThat(weight(List.of())).isEqualTo(mine);
    }
}
