package concertina.identity;

import java.io.IOException;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyPairGenerator;
import java.security.interfaces.RSAPrivateCrtKey;
import java.security.interfaces.RSAPublicKey;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.RSAPublicKeySpec;
import java.util.Base64;

/** The RSA pair that signs tokens, made at the first start and kept in one file of mode 600. Its text form shows nothing. */
public record TokenKeys(RSAPrivateCrtKey privateKey, RSAPublicKey publicKey) {
    private static final int BITS = 2048;
    private static final String BEGIN = "-----BEGIN PRIVATE KEY-----\n";
    private static final String END = "\n-----END PRIVATE KEY-----\n";

    /** Reads the key file (PEM, PKCS #8); makes it when there is none. */
    public static TokenKeys open(Path file) throws IOException {
        String pem = SecretFile.readOrCreate(file, TokenKeys::generate);
        if (!pem.startsWith(BEGIN) || !pem.endsWith(END)) {
            throw new IOException("token key file '" + file + "' is not a private key in PEM form");
        }
        try {
            byte[] der = Base64.getMimeDecoder().decode(pem.substring(BEGIN.length(), pem.length() - END.length()));
            KeyFactory rsa = KeyFactory.getInstance("RSA");
            if (rsa.generatePrivate(new PKCS8EncodedKeySpec(der)) instanceof RSAPrivateCrtKey key) {
                RSAPublicKey publicKey = (RSAPublicKey)
                        rsa.generatePublic(new RSAPublicKeySpec(key.getModulus(), key.getPublicExponent()));
                return new TokenKeys(key, publicKey);
            }
        } catch (GeneralSecurityException | IllegalArgumentException e) {
            throw new IOException("token key file '" + file + "' holds no RSA key", e);
        }
        throw new IOException("token key file '" + file + "' holds no complete RSA key");
    }

    @Override
    public String toString() {
        return "TokenKeys";
    }

    private static String generate() {
        try {
            KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA");
            generator.initialize(BITS);
            byte[] der = generator.generateKeyPair().getPrivate().getEncoded();
            return BEGIN + Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(der) + END;
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException(e);
        }
    }
}
