package concertina.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import concertina.model.ConcertinaException;
import concertina.server.SubmitCommand.Submission;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SubmissionTest {
    @TempDir
    Path place;

    @BeforeEach
    void lay_out_code() throws IOException {
        Files.createDirectories(place.resolve("digits"));
        Files.writeString(place.resolve("digits/main.py"), "print(1)");
        Files.writeString(place.resolve("train.py"), "print(2)");
    }

    @Test
    void a_folder_is_sent_whole_and_named_by_its_last_part() {
        Submission sent = Submission.of(
                "edtPyTorch",
                List.of("--model-dir", place + "/digits/", "--model-main", "main.py", "--numWorker=4", "--lr", "0.1"));
        assertThat(sent.folder()).isEqualTo(place.resolve("digits"));
        assertThat(sent.fileName()).isEqualTo("digits.modelDir.tar");
        assertThat(sent.line())
                .isEqualTo("--exec-start edtPyTorch --model-dir digits --model-main main.py --numWorker=4 --lr 0.1");
    }

    @Test
    void a_single_script_is_sent_under_its_own_name() {
        Submission sent =
                Submission.of("PyTorch", List.of("--model-main=" + place.resolve("train.py"), "--epochs", "1"));
        assertThat(sent.folder()).isNull();
        assertThat(sent.file()).isEqualTo(place.resolve("train.py"));
        assertThat(sent.fileName()).isEqualTo("train.py");
        assertThat(sent.line()).isEqualTo("--exec-start PyTorch --model-main train.py --epochs 1");
    }

    @Test
    void a_script_that_is_not_here_is_left_to_the_server() {
        Submission sent = Submission.of("PyTorch", List.of("--model-main", "/srv/shared/train.py"));
        assertThat(sent.file()).isNull();
        assertThat(sent.line()).isEqualTo("--exec-start PyTorch --model-main /srv/shared/train.py");
    }

    @Test
    void words_after_a_double_dash_are_not_looked_at() {
        Submission sent = Submission.of(
                "distPyTorch",
                List.of("--model-dir", place + "/digits", "--user-cmd", "--", "bash", "run.sh", "--model-dir", "x y"));
        assertThat(sent.line())
                .isEqualTo("--exec-start distPyTorch --model-dir digits --user-cmd -- bash run.sh --model-dir 'x y'");
    }

    @Test
    void a_missing_folder_is_refused() {
        assertThatThrownBy(() -> Submission.of("PyTorch", List.of("--model-dir", place + "/absent")))
                .isInstanceOf(ConcertinaException.class)
                .hasMessage("--model-dir is '" + place + "/absent', accepted: a folder on this machine");
        assertThatThrownBy(() -> Submission.of("PyTorch", List.of("--model-main")))
                .isInstanceOf(ConcertinaException.class)
                .hasMessage("--model-main is '', accepted: a script");
    }

    @Test
    void words_with_blanks_and_quotes_are_quoted() {
        assertThat(ServerClient.quoted(List.of("a", "b c", "it's", "", "--x={\"k\":1}")))
                .isEqualTo("a 'b c' 'it'\"'\"'s' '' '--x={\"k\":1}'");
    }
}
