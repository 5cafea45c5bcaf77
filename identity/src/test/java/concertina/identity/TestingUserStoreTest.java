package concertina.identity;

class TestingUserStoreTest extends UserStoreContract {
    private final UserStore users = new TestingUserStore();

    @Override
    protected UserStore users() {
        return users;
    }
}
