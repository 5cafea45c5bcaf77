package concertina.it;

import static com.tngtech.archunit.core.domain.JavaClass.Predicates.equivalentTo;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.fields;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noFields;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaAnnotation;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.time.Instant;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The arrows between modules, each with the reason why it does not point further, and the few rules of the house that
 * byte code shows.
 */
class LayeringTest {
    private static final JavaClasses PRODUCT = new ClassFileImporter()
            .withImportOption(new ImportOption.DoNotIncludeTests())
            .importPackages("concertina");

    /** Modules a module may see, besides itself, and why no others. */
    private record Arrow(String module, Set<String> sees, String reason) {}

    private static final List<Arrow> ARROWS = List.of(
            new Arrow(
                    "model",
                    Set.of(),
                    "the nouns are what all others share; were they to see one of them, everybody would"),
            new Arrow(
                    "wire",
                    Set.of("model"),
                    "it gives the nouns their JSON form; whoever knows jobs or agents would drag them into both ends"),
            new Arrow(
                    "schedule",
                    Set.of("model"),
                    "a plan is a pure function of what it is given; it can be simulated only while it sees no running system"),
            new Arrow(
                    "search",
                    Set.of("model"),
                    "a sampler is a function of what it is told; it knows no jobs, so it can be replayed and measured alone"),
            new Arrow(
                    "train",
                    Set.of("model", "schedule"),
                    "a job's life is decided without HTTP, SQL or files; those come in through the interfaces it owns"),
            new Arrow(
                    "trials",
                    Set.of("model", "search", "train"),
                    "a search leads jobs as any user does, through what train offers; neither train nor search knows of it"),
            new Arrow("identity", Set.of("model"), "who somebody is does not depend on what they run"),
            new Arrow(
                    "store",
                    Set.of("model", "wire", "search", "train", "trials", "identity"),
                    "it implements what its users own and is asked by nobody by name"),
            new Arrow(
                    "artifacts",
                    Set.of("model", "train", "trials"),
                    "it implements what its users own; it moves files and knows no HTTP, SQL or plan"),
            new Arrow(
                    "api",
                    Set.of("model", "wire", "search", "train", "trials", "identity"),
                    "HTTP is a translation; storage and processes are reached only through the modules that decide"),
            new Arrow(
                    "agent",
                    Set.of("model", "wire", "artifacts"),
                    "an agent obeys leases and decides nothing; it talks to the server in wire form alone"),
            new Arrow(
                    "server",
                    Set.of("model", "wire", "schedule", "train", "trials", "store", "artifacts", "identity", "api"),
                    "the composition root wires the server; an agent is a process of its own"));

    static Stream<Arguments> arrows() {
        return ARROWS.stream().map(arrow -> Arguments.of(arrow.module(), arrow));
    }

    @ParameterizedTest(name = "{0} sees only what it may")
    @MethodSource("arrows")
    void aModuleSeesOnlyWhatItMay(String module, Arrow arrow) {
        String[] forbidden = ARROWS.stream()
                .map(Arrow::module)
                .filter(other -> !other.equals(module) && !arrow.sees().contains(other))
                .map(LayeringTest::packagesOf)
                .toArray(String[]::new);
        noClasses()
                .that()
                .resideInAPackage(packagesOf(module))
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage(forbidden)
                .because(arrow.reason())
                .allowEmptyShould(false)
                .check(PRODUCT);
    }

    @Test
    void everyModuleHasItsArrows() {
        Set<String> found = PRODUCT.stream()
                .map(type -> type.getPackageName().split("\\.", 3))
                .filter(parts -> parts.length > 1)
                .map(parts -> parts[1])
                .collect(Collectors.toCollection(TreeSet::new));
        assertThat(found)
                .as("modules with classes; a new one needs a line in this test that says what it may see, and why")
                .isEqualTo(new TreeSet<>(ARROWS.stream().map(Arrow::module).toList()));
    }

    @Test
    void nobodySeesTheProgramsServerAndAgent() {
        for (String program : List.of("server", "agent")) {
            noClasses()
                    .that()
                    .resideOutsideOfPackage(packagesOf(program))
                    .should()
                    .dependOnClassesThat()
                    .resideInAPackage(packagesOf(program))
                    .because(program
                            + " is a program: whatever another module needs of it belongs in a module of its own")
                    .check(PRODUCT);
        }
    }

    @Test
    void theNounsAndTheScheduleNeedTheJdkAlone() {
        classes()
                .that()
                .resideInAnyPackage(packagesOf("model"), packagesOf("schedule"))
                .should()
                .onlyDependOnClassesThat(resideInAnyPackage(
                        packagesOf("model"), packagesOf("schedule"), "java..", "org.jspecify.annotations.."))
                .because("they are shared by everything and run anywhere, in a server, a simulator or a test")
                .check(PRODUCT);
    }

    @Test
    void aPlanComesFromItsInputAlone() {
        DescribedPredicate<JavaClass> outside = resideInAnyPackage(
                        "java.io..",
                        "java.net..",
                        "java.nio..",
                        "java.sql..",
                        "java.util.concurrent..",
                        "java.util.random..")
                .or(equivalentTo(Random.class));
        String because = "the same view and demands must give the same plan, in the server as in the simulator";
        noClasses()
                .that()
                .resideInAPackage(packagesOf("schedule"))
                .should()
                .dependOnClassesThat(outside)
                .because(because)
                .check(PRODUCT);
        noClasses()
                .that()
                .resideInAPackage(packagesOf("schedule"))
                .should()
                .callMethod(System.class, "currentTimeMillis")
                .orShould()
                .callMethod(System.class, "nanoTime")
                .orShould()
                .callMethod(Instant.class, "now")
                .orShould()
                .callMethod(Math.class, "random")
                .because(because)
                .check(PRODUCT);
        fields().that()
                .areDeclaredInClassesThat()
                .resideInAPackage(packagesOf("schedule"))
                .and()
                .areStatic()
                .should()
                .beFinal()
                .because(because)
                .check(PRODUCT);
    }

    @Test
    void loggingGoesThroughOneInterface() {
        noClasses()
                .should()
                .dependOnClassesThat()
                .resideInAPackage("java.util.logging..")
                .because("logs go through slf4j, so that one configuration governs them all")
                .check(PRODUCT);
    }

    /** Classes that pace themselves by sleeping; the list may only become shorter. */
    private static final Set<String> SLEEPERS = Set.of(
            "concertina.agent.Agent$Backoff",
            "concertina.agent.FileShipper",
            "concertina.agent.JobFolder",
            "concertina.agent.WorkerStarter",
            "concertina.api.platform.LogFollower",
            "concertina.server.DemoCommand");

    @Test
    void nobodyElseSleeps() {
        Set<String> sleeping = PRODUCT.stream()
                .flatMap(type -> type.getMethodCallsFromSelf().stream())
                .filter(call -> call.getTargetOwner().isEquivalentTo(Thread.class)
                        && call.getTarget().getName().equals("sleep"))
                .map(call -> call.getOriginOwner().getName())
                .collect(Collectors.toCollection(TreeSet::new));
        assertThat(sleeping)
                .as(
                        "classes that call Thread.sleep; code waits for a condition with a limit instead, so that it goes on at"
                                + " once and can be told to stop. A class that no longer sleeps leaves the list")
                .isEqualTo(new TreeSet<>(SLEEPERS));
    }

    @Test
    void whatAnObjectNeedsComesThroughItsConstructor() {
        Set<String> injecting = Set.of("Inject", "Autowired", "Resource");
        noFields()
                .should()
                .beAnnotatedWith(DescribedPredicate.<JavaAnnotation<?>>describe(
                        "an injection annotation",
                        annotation -> injecting.contains(annotation.getRawType().getSimpleName())))
                .because("the one composition root passes everything in, in plain sight")
                .check(PRODUCT);
    }

    @Test
    void aClassIsNamedForWhatItIs() {
        noClasses()
                .should()
                .haveNameMatching(".*(Utils?|Manager|Impl|Dto|DTO|Helpers?)(\\$.*)?")
                .because("such a name says nothing about the one thing its class is for")
                .check(PRODUCT);
        noClasses()
                .should()
                .resideInAnyPackage("..util..", "..utils..", "..common..", "..impl..", "..dto..", "..manager..")
                .because("a package is named for the one job of its module")
                .check(PRODUCT);
    }

    private static String packagesOf(String module) {
        return "concertina." + module + "..";
    }
}
