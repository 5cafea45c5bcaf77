package concertina.wire;

import com.fasterxml.jackson.annotation.JsonTypeInfo;
import concertina.model.AgentCommand;
import concertina.model.AgentId;
import concertina.model.AgentReport;
import concertina.model.JobId;
import concertina.model.SlotId;
import concertina.model.UserName;
import concertina.model.WorkerId;
import java.util.function.Function;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.JsonParser;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.DeserializationContext;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.SerializationContext;
import tools.jackson.databind.ValueDeserializer;
import tools.jackson.databind.ValueSerializer;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.module.SimpleModule;

/**
 * The one JSON form of the nouns, shared by server, agent and store: ids as strings, alternatives of a sealed interface
 * told apart by a {@code kind} member holding the record's simple name. Thread-safe.
 */
public final class Json {
    /** Tells the alternatives of a sealed interface apart. */
    @JsonTypeInfo(use = JsonTypeInfo.Id.SIMPLE_NAME, property = "kind")
    private interface ByKind {}

    private Json() {}

    /** A mapper for the nouns; unknown members are ignored so that older agents and servers understand newer ones. */
    public static JsonMapper mapper(Class<?>... sealedInterfaces) {
        return mapper(new JsonFactory(), sealedInterfaces);
    }

    /** The same for what this program keeps: reads all that it wrote, however long its texts, names and numbers are. */
    public static JsonMapper keeping(Class<?>... sealedInterfaces) {
        return mapper(
                JsonFactory.builder()
                        .streamReadConstraints(StreamReadConstraints.builder()
                                .maxNameLength(Integer.MAX_VALUE)
                                .maxStringLength(Integer.MAX_VALUE)
                                .maxNumberLength(Integer.MAX_VALUE)
                                .build())
                        .build(),
                sealedInterfaces);
    }

    private static JsonMapper mapper(JsonFactory factory, Class<?>... sealedInterfaces) {
        SimpleModule nouns = new SimpleModule("nouns");
        text(nouns, JobId.class, JobId::new);
        text(nouns, AgentId.class, AgentId::new);
        text(nouns, SlotId.class, SlotId::new);
        text(nouns, UserName.class, UserName::new);
        text(nouns, WorkerId.class, WorkerId::parse);
        JsonMapper.Builder builder = JsonMapper.builder(factory)
                .addModule(nouns)
                .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
                .addMixIn(AgentCommand.class, ByKind.class)
                .addMixIn(AgentReport.class, ByKind.class);
        for (Class<?> type : sealedInterfaces) {
            builder.addMixIn(type, ByKind.class);
        }
        return builder.build();
    }

    private static <T> void text(SimpleModule module, Class<T> type, Function<String, T> reader) {
        module.addSerializer(type, new ValueSerializer<T>() {
            @Override
            public void serialize(T value, JsonGenerator generator, SerializationContext context) {
                generator.writeString(value.toString());
            }
        });
        module.addDeserializer(type, new ValueDeserializer<T>() {
            @Override
            public T deserialize(JsonParser parser, DeserializationContext context) {
                return reader.apply(parser.getValueAsString(""));
            }
        });
    }
}
