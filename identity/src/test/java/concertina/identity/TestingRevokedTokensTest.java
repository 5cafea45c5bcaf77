package concertina.identity;

class TestingRevokedTokensTest extends RevokedTokensContract {
    private final RevokedTokens revokedTokens = new TestingRevokedTokens();

    @Override
    protected RevokedTokens revokedTokens() {
        return revokedTokens;
    }
}
