package concertina.api.wmla;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import concertina.model.Framework;
import concertina.model.JobSpec;
import concertina.train.JobFiles.StoredCode;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.json.JsonMapper;

class SubmitLineTest {
    private static final String START = "--exec-start PyTorch --model-main main.py ";

    private static JobSpec parse(String line) {
        return SubmitLine.parse(line, null, false);
    }

    private static JobSpec parse(String line, String data) {
        return SubmitLine.parse(line, JsonMapper.shared().readTree(data), false);
    }

    private static void refused(String line, String messageStart) {
        assertThatThrownBy(() -> parse(line))
                .isInstanceOf(ConcertinaException.class)
                .hasMessageStartingWith(messageStart)
                .satisfies(thrown ->
                        assertThat(((ConcertinaException) thrown).code()).isEqualTo(ErrorCode.INVALID_ARGUMENT));
    }

    @Test
    void unknownWordsReachTheScriptInOrderAndNothingIsAdded() {
        JobSpec spec = parse("--exec-start tensorflow --train_dir /tmp --cs-datastore-meta type=fs   --lr -0.5 "
                + "--model-main main.py pos  -v --weights=1e-3 --debug-level debug --batch_size 64 -1 x=y");
        assertThat(spec.scriptArguments())
                .containsExactly(
                        "--train_dir",
                        "/tmp",
                        "--lr",
                        "-0.5",
                        "pos",
                        "-v",
                        "--weights=1e-3",
                        "--batch_size",
                        "64",
                        "-1",
                        "x=y");
        assertThat(spec.framework()).isEqualTo(Framework.TENSORFLOW);
    }

    @Test
    void aFlagTakesItsValueAfterASpaceOrAnEqualsSign() {
        for (String line : List.of("--numWorker 3", "--numWorker=3", "--numWorker    3", "\"--numWorker=3\"")) {
            assertThat(parse("--exec-start=edtPyTorch --model-main=main.py " + line)
                            .workers())
                    .as(line)
                    .isEqualTo(3);
        }
    }

    @ParameterizedTest
    @EnumSource(Flag.class)
    void noPlatformFlagEverReachesTheScript(Flag flag) {
        String value = switch (flag) {
            case EXEC_START -> "PyTorch";
            case MODEL_MAIN -> "main.py";
            case CS_DATASTORE_META -> "type=fs";
            case DATA_SOURCE -> "[]";
            case EDT_OPTIONS -> "maxWorkers=1";
            case MSD_ENV -> "A=b";
            case OUTPUT -> "json";
            case NUM_WORKER -> "1";
            case MPIARG -> "--x";
            default ->
                switch (flag.form()) {
                    case NONE -> "";
                    case TEXT, ANYTHING, SECRET, OUTPUT_STYLE -> "value";
                    case MAYBE -> "yes";
                    case COUNT, POSITIVE, NUMBER -> "1";
                    case SIZE -> "4G";
                    case DEVICE_TYPE -> "cpu";
                    case PULL_POLICY -> "Never";
                    case AFFINITY -> "required";
                };
        };
        boolean command = flag == Flag.USER_CMD;
        boolean prebuilt = flag == Flag.PBMODEL_NAME || flag == Flag.PBMODEL_CMD;
        for (String name : flag.names()) {
            String line = command ? "--exec-start PyTorch " + name + " -- a b" : START + name + " " + value + " last";
            if (prebuilt) {
                refused(line, "--pbmodel-name is '");
            } else {
                assertThat(parse(line).scriptArguments()).isEqualTo(command ? List.of() : List.of("last"));
            }
            if (!command && !prebuilt && name.startsWith("--")) {
                assertThat(parse(START + name + "=" + value + " last").scriptArguments())
                        .containsExactly("last");
            }
        }
    }

    @Test
    void everythingAfterALoneDoubleDashBelongsToTheScript() {
        JobSpec spec = parse(START + "--a 1 -- --numWorker 5 -- --password x");
        assertThat(spec.scriptArguments()).containsExactly("--a", "1", "--numWorker", "5", "--", "--password", "x");
        assertThat(spec.workers()).isEqualTo(1);
    }

    @Test
    void aUserCommandReplacesTheScript() {
        JobSpec spec = parse("--exec-start distPyTorch --numWorker 2 --user-cmd -- bash run.sh 'a b' --model-main x");
        assertThat(spec.userCommand()).containsExactly("bash", "run.sh", "a b", "--model-main", "x");
        assertThat(spec.modelMain()).isEmpty();
        assertThat(spec.scriptArguments()).isEmpty();
        refused("--exec-start distPyTorch --user-cmd", "--user-cmd is ''");
        refused("--exec-start distPyTorch --user-cmd --", "--user-cmd is ''");
        refused("--exec-start distPyTorch --user-cmd=x -- y", "--user-cmd is 'x'");
        refused("--exec-start distPyTorch --lost --user-cmd -- y", "args is '--lost'");
        refused("--exec-start distPyTorch --model-main m.py --user-cmd -- y", "--model-main is 'm.py'");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '~',
            value = {
                "a 'b c' d|a,b c,d",
                "\"a \\\"b\\\" \\$x \\n\"|a \"b\" $x \\n",
                "a\\ b|a b",
                "x'y'\"z\"|xyz",
                "\\'|'",
                "''|~~",
                "'$HOME' *|$HOME,*",
            })
    void quotesAndBackslashesWorkAsInAShellButNothingIsExpanded(String line, String words) {
        List<String> expected = words == null || words.isEmpty() ? List.of("") : List.of(words.split(","));
        assertThat(parse(START + line).scriptArguments()).isEqualTo(expected);
    }

    @Test
    void lineContinuationsAndRunsOfBlanksSeparateAndTheLineIsKeptAsItCame() {
        String line = "--exec-start PyTorch \\\n   --model-main main.py\t--a   b  ";
        JobSpec spec = parse(line);
        assertThat(spec.scriptArguments()).containsExactly("--a", "b");
        assertThat(spec.arguments()).isEqualTo(line);
    }

    @Test
    void aQuoteThatIsNeverClosedIsRefusedByItsPosition() {
        refused("--exec-start PyTorch --model-main 'main.py", "args has a quote at character 35");
        refused("--exec-start PyTorch --model-main \"main.py", "args has a quote at character 35");
    }

    @Test
    void secretsAreStruckOutOfTheLineThatIsKept() {
        String line = START + "--password  'p w'   --jwt-token=abc.def --cs-url-bearer xyz --user me --password=";
        JobSpec spec = parse(line);
        assertThat(spec.arguments())
                .isEqualTo(START + "--password  ***   --jwt-token=*** --cs-url-bearer *** --user me --password=");
        assertThat(spec.scriptArguments()).containsExactly("--user", "me");
        assertThat(SubmitLine.withoutSecrets(line)).isEqualTo(spec.arguments());
    }

    @Test
    void anOutputFileOfTheScriptsOwnStaysTheScripts() {
        assertThat(parse(START + "-o out.txt --output dir").scriptArguments())
                .containsExactly("-o", "out.txt", "--output", "dir");
        assertThat(parse(START + "-o json --output custom-columns=id,state x").scriptArguments())
                .containsExactly("x");
    }

    @ParameterizedTest
    @ValueSource(strings = {"0", "-1", "1025", "two", "1.5", "99999999999", "+2", "0x2", "''"})
    void aNumberOfWorkersOutsideItsRangeIsRefusedByName(String value) {
        String shown = value.equals("''") ? "" : value;
        refused(
                "--exec-start edtPyTorch --model-main m.py --numWorker " + value,
                "--numWorker is '" + shown + "', accepted: a whole number from 1 to 1024");
        refused(
                "--exec-start edtPyTorch --model-main m.py --edt-options maxWorkers=" + value,
                "--edt-options maxWorkers is '" + shown + "'");
    }

    @Test
    void workersComeFromTheFlagTheOldOptionOrTheHardware() {
        String start = "--exec-start edtPyTorch --model-main m.py";
        String data = "{\"hardwareSpec\":{\"nodes\":{\"num_nodes\":4,\"gpu\":{\"num_gpu\":2}}}}";
        assertThat(parse(start + " --numWorker 1024").workers()).isEqualTo(1024);
        assertThat(parse(start + " --edt-options maxWorkers=5").workers()).isEqualTo(5);
        assertThat(parse(start + " --edt-options maxWorkers=5 --numWorker 6").workers())
                .isEqualTo(6);
        assertThat(parse(start, data).workers()).isEqualTo(4);
        assertThat(parse(start, data).slotsPerWorker()).isEqualTo(2);
        assertThat(parse(start + " --numWorker 3", data).workers()).isEqualTo(3);
        assertThat(parse(start).workers()).isEqualTo(1);
        refused("--exec-start PyTorch --model-main m.py --numWorker 2", "--numWorker is '2', accepted: 1 for");
        assertThatThrownBy(() -> parse(start, "{\"hardwareSpec\":{\"nodes\":{\"num_nodes\":0}}}"))
                .hasMessageStartingWith("hardwareSpec.nodes.num_nodes is '0'");
        assertThatThrownBy(() -> parse(start, "{\"hardwareSpec\":7}")).hasMessageStartingWith("hardwareSpec is '7'");
        assertThatThrownBy(() -> parse(start, "{\"hardwareSpec\":{\"nodes\":{\"mem\":{\"size\":\"much\"}}}}"))
                .hasMessageStartingWith("hardwareSpec.nodes.mem.size is 'much'");
    }

    @Test
    void devicesAreCountedAndTheirTypeFollowsTheFlagOrTheCluster() {
        assertThat(parse(START + "--workerDeviceNum 2").slotsPerWorker()).isEqualTo(2);
        assertThat(parse(START + "--gpuPerWorker 4").slotsPerWorker()).isEqualTo(4);
        assertThat(parse(START + "--workerDeviceNum 0 --workerDeviceType cpu").slotsPerWorker())
                .isEqualTo(1);
        assertThat(SubmitLine.parse(START, null, true).gpu()).isTrue();
        assertThat(SubmitLine.parse(START, null, false).gpu()).isFalse();
        assertThat(SubmitLine.parse(START + "--workerDeviceType cpu", null, true)
                        .gpu())
                .isFalse();
        assertThat(SubmitLine.parse(START + "--workerDeviceType gpu", null, false)
                        .gpu())
                .isTrue();
        refused(START + "--workerDeviceType tpu", "--workerDeviceType is 'tpu', accepted: one of cpu, gpu");
        refused(START + "--workerDeviceNum 65", "--workerDeviceNum is '65', accepted: a whole number from 0 to 64");
    }

    @Test
    void dataLiesBelowTheDataFolder() {
        assertThat(parse(START + "--cs-datastore-meta type=fs").dataPath()).isEmpty();
        assertThat(parse(START + "--cs-datastore-meta type=fs,data_path=./a//b/")
                        .dataPath())
                .isEqualTo("a/b");
        assertThat(parse(START
                                + "--cs-datastore-meta type=fs,data_path=a"
                                + " --data-source '[{\"type\":\"fs\",\"location\":{\"paths\":\"mnist\"}}]'")
                        .dataPath())
                .isEqualTo("mnist");
        assertThat(parse(START + "--data-source [{\"type\":\"fs\",\"location\":{\"paths\":\"mnist\"}}]")
                        .dataPath())
                .isEqualTo("mnist");
        for (String path : List.of("../x", "a/../../b", "/etc", "a/..", "'a\\b'")) {
            refused(START + "--cs-datastore-meta type=fs,data_path=" + path, "--cs-datastore-meta data_path is '");
        }
        refused(START + "--cs-datastore-meta type=s3", "--cs-datastore-meta is 'type=s3'");
        refused(START + "--data-source '[{\"type\":\"s3\"}]'", "--data-source is '");
        refused(START + "--data-source nonsense", "--data-source is 'nonsense'");
    }

    @Test
    void theEnvironmentIsTheUsersExceptWhatThePlatformSets() {
        assertThat(parse(START + "--msd-env A=1 --msd-env 'B=x y' --msd-env=C=d=e --msd-env LD_PRELOAD=f.so")
                        .environment())
                .containsEntry("A", "1")
                .containsEntry("B", "x y")
                .containsEntry("C", "d=e")
                .containsEntry("LD_PRELOAD", "f.so");
        refused(START + "--msd-env CONCERTINA_CONTROL=/tmp/x", "--msd-env is 'CONCERTINA_CONTROL'");
        refused(START + "--msd-env 1A=b", "--msd-env is '1A'");
        refused(START + "--msd-env A", "--msd-env is 'A'");
        refused(START + "--msd-env " + "A".repeat(256) + "=b", "--msd-env is 'AAA");
        refused(START + "--msd-env =secret", "--msd-env is ''");
    }

    @Test
    void aSubmissionMayChooseHowGradientsAreAddedUpAndWhenCheckpointsAreWritten() {
        assertThat(parse(START + "--msd-env CONCERTINA_SUMS=float --msd-env CONCERTINA_CHECKPOINT_SECONDS=5"
                                + " --msd-env CONCERTINA_BUCKET_BYTES=65536")
                        .environment())
                .containsEntry("CONCERTINA_BUCKET_BYTES", "65536")
                .containsEntry("CONCERTINA_SUMS", "float")
                .containsEntry("CONCERTINA_CHECKPOINT_SECONDS", "5");
        refused(
                START + "--msd-env CONCERTINA_SUMS=quick",
                "--msd-env CONCERTINA_SUMS is 'quick', accepted: one of exact, float");
        for (String wrong : List.of("1e300", "NaN", "-1", "soon", "12345678901")) {
            refused(
                    START + "--msd-env CONCERTINA_HANG_SECONDS=" + wrong,
                    "--msd-env CONCERTINA_HANG_SECONDS is '" + wrong + "', accepted: a number from 0");
        }
    }

    @Test
    void schedulingAndNamesAreTaken() {
        JobSpec spec = parse(START + "--msd-priority 7 --msd-pending-timeout 60 --appName 'my job'"
                + " --conda-env-name dlipy3-cpu --consumer /a/b --workerMemory 32G --workerCPULimit 0.5");
        assertThat(spec.priority()).isEqualTo(7);
        assertThat(spec.pendingTimeoutSeconds()).isEqualTo(60);
        assertThat(spec.applicationName()).isEqualTo("my job");
        assertThat(spec.condaEnvironment()).isEqualTo("dlipy3-cpu");
        assertThat(spec.consumer()).isEqualTo("/a/b");
        assertThat(parse(START).priority()).isEqualTo(5000);
        assertThat(parse(START).applicationName()).isEqualTo("SingleNodePytorchTrain");
        refused(START + "--msd-priority 0", "--msd-priority is '0', accepted: a whole number from 1");
        refused(START + "--msd-pending-timeout soon", "--msd-pending-timeout is 'soon'");
        refused(START + "--workerMemory much", "--workerMemory is 'much', accepted: an amount of memory");
        refused(START + "--workerMemory 0G", "--workerMemory is '0G'");
        refused(START + "--conda-env-name ../bin", "--conda-env-name is '../bin'");
        refused(START + "--msd-image-pull-policy Sometimes", "--msd-image-pull-policy is 'Sometimes'");
    }

    @Test
    void aMissingOrUnknownFrameworkOrScriptIsNamed() {
        refused(
                "--model-main main.py",
                "--exec-start is '', accepted: one of PyTorch, tensorflow, distPyTorch, disttensorflow, edtPyTorch,"
                        + " edtTensorflow");
        refused(
                "--exec-start PowerAICaffeIBM --model-main a.py",
                "--exec-start is 'PowerAICaffeIBM', accepted: one of PyTorch");
        refused("--exec-start --model-main a.py", "--exec-start is ''");
        refused("--exec-start PyTorch", "--model-main is ''");
        refused("--exec-start PyTorch --model-main", "--model-main is ''");
        refused("--exec-start PyTorch --model-main=", "--model-main is ''");
        refused("--exec-start PyTorch --model-main ''", "--model-main is ''");
        refused("--exec-start PyTorch --model-main ../a.py", "--model-main is '../a.py'");
        refused(START + "--appName", "--appName is ''");
        refused("", "--exec-start is ''");
    }

    @Test
    void theScriptIsFoundInTheUploadWhateverModelDirSays() {
        JobSpec spec = parse("--exec-start PyTorch --model-dir /home/me/digits/ --model-main ./src/main.py");
        StoredCode inFolder = new StoredCode("other", List.of("other/README", "other/src/main.py"));
        assertThat(SubmitLine.withCode(spec, inFolder).modelDirectory()).isEqualTo("other");
        assertThat(SubmitLine.withCode(spec, inFolder).modelMain()).isEqualTo("src/main.py");
        StoredCode flat = new StoredCode("", List.of("README", "src/main.py"));
        assertThat(SubmitLine.withCode(spec, flat).modelDirectory()).isEmpty();
        JobSpec named = parse("--exec-start PyTorch --model-main other/src/main.py");
        assertThat(SubmitLine.withCode(named, inFolder).modelMain()).isEqualTo("src/main.py");
        JobSpec uploaded = parse("--exec-start PyTorch --model-main /home/me/train.py");
        assertThat(SubmitLine.withCode(uploaded, new StoredCode("", List.of("train.py")))
                        .modelMain())
                .isEqualTo("train.py");
        assertThatThrownBy(() -> SubmitLine.withCode(spec, new StoredCode("", List.of("a.py", "b.py"))))
                .hasMessage("--model-main is './src/main.py', accepted: a file of the upload such as a.py, b.py");
        assertThat(spec.modelDirectory()).isEqualTo("digits");
        assertThat(SubmitLine.withoutCode(spec).modelDirectory()).isEmpty();
    }

    @Test
    void wordsThatWereQuotedComeBackWhateverTheyHold() {
        long seed = new Random().nextLong();
        Random random = new Random(seed);
        String letters = "ab '\"\\$`*\t\n=-é";
        for (int round = 0; round < 2000; round++) {
            List<String> words = new ArrayList<>();
            StringBuilder line = new StringBuilder(START + "-- ");
            for (int count = random.nextInt(5); count > 0; count--) {
                StringBuilder word = new StringBuilder();
                for (int length = random.nextInt(8); length > 0; length--) {
                    word.append(letters.charAt(random.nextInt(letters.length())));
                }
                words.add(word.toString());
                line.append('\'')
                        .append(word.toString().replace("'", "'\"'\"'"))
                        .append("'   ");
            }
            assertThat(parse(line.toString()).scriptArguments())
                    .as("seed %d", seed)
                    .isEqualTo(words);
        }
    }

    @Test
    void anyTextAtAllIsEitherReadOrRefusedAsTheUsersMistake() {
        long seed = new Random().nextLong();
        Random random = new Random(seed);
        List<String> pieces = new ArrayList<>(
                List.of("--", "'", "\"", "\\", "=", " ", "1", "PyTorch", "a.py", "\u0000", "../", "{", "[]"));
        for (Flag flag : Flag.values()) {
            pieces.addAll(flag.names());
        }
        for (int round = 0; round < 5000; round++) {
            StringBuilder line = new StringBuilder(random.nextBoolean() ? START : "");
            for (int count = random.nextInt(8); count > 0; count--) {
                line.append(pieces.get(random.nextInt(pieces.size()))).append(random.nextBoolean() ? " " : "");
            }
            try {
                parse(line.toString());
            } catch (ConcertinaException expected) {
                assertThat(expected.code().httpStatus()).as("seed %d", seed).isBetween(400, 499);
            }
        }
    }
}
