package concertina.api;

/** One API with its own paths. The composition root hands over those it wants served. */
public interface Contract {
    /** Adds this API's routes; called once, before the server starts. */
    void register(Routes routes);
}
