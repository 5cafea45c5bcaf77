package concertina.trials;

import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;

/** Tests that each have a scene of their own. */
abstract class SceneTest {
    @TempDir
    Path folder;

    SearchScene scene;

    @BeforeEach
    void begin() {
        scene = new SearchScene(folder);
    }

    @AfterEach
    void end() {
        scene.close();
    }
}
