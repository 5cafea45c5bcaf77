package concertina.server;

import concertina.model.ConcertinaException;
import concertina.model.ErrorCode;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.math.BigInteger;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.Signature;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.PKCS8EncodedKeySpec;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.Date;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x509.BasicConstraints;
import org.bouncycastle.asn1.x509.ExtendedKeyUsage;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.GeneralName;
import org.bouncycastle.asn1.x509.GeneralNames;
import org.bouncycastle.asn1.x509.KeyPurposeId;
import org.bouncycastle.asn1.x509.KeyUsage;
import org.bouncycastle.cert.X509v3CertificateBuilder;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.cert.jcajce.JcaX509ExtensionUtils;
import org.bouncycastle.cert.jcajce.JcaX509v3CertificateBuilder;
import org.bouncycastle.operator.OperatorCreationException;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;

/**
 * The server's key and certificate: the owner's own PEM files, or a self-signed pair made at first start and made anew
 * when it has expired or lacks a name. The key never leaves its file, which only its owner may read.
 */
public final class ServerCertificate {
    private static final Pattern PRIVATE_KEY =
            Pattern.compile("-----BEGIN PRIVATE KEY-----([A-Za-z0-9+/=\\s]+)-----END PRIVATE KEY-----");
    private static final String ALIAS = "server";
    private static final String LOOPBACK = "127.0.0.1";
    private static final Duration LIFE = Duration.ofDays(825);
    private static final Duration EARLY = Duration.ofDays(30);
    private static final Pattern NUMERIC_ADDRESS = Pattern.compile("[0-9.]+|[0-9a-fA-F:]*:[0-9a-fA-F:.]*");

    private final KeyStore keyStore;
    private final String password;
    private final Path certificateFile;

    private ServerCertificate(KeyStore keyStore, String password, Path certificateFile) {
        this.keyStore = keyStore;
        this.password = password;
        this.certificateFile = certificateFile;
    }

    /** Holds key and chain under one alias. */
    public KeyStore keyStore() {
        return keyStore;
    }

    /** Opens the key store; lives in memory only. */
    public String password() {
        return password;
    }

    /** The name by which clients on this machine reach the server so that the certificate fits. */
    public String hostName() {
        try {
            X509Certificate certificate = (X509Certificate) keyStore.getCertificate(ALIAS);
            Collection<List<?>> alternatives = certificate.getSubjectAlternativeNames();
            List<String> held = alternatives == null
                    ? List.of()
                    : alternatives.stream()
                            .map(name -> name.get(1).toString())
                            .filter(name -> !name.contains("*"))
                            .toList();
            return held.contains(LOOPBACK) || held.isEmpty() ? LOOPBACK : held.getFirst();
        } catch (GeneralSecurityException damaged) {
            throw new IllegalStateException(damaged);
        }
    }

    /** PEM file that a client may trust. */
    public Path certificateFile() {
        return certificateFile;
    }

    /** The owner's own certificate. Throws INVALID_ARGUMENT when the files do not hold a matching pair. */
    public static ServerCertificate given(Path certificateFile, Path privateKeyFile) {
        return load(certificateFile, privateKeyFile);
    }

    /** The self-signed certificate of a folder, made or renewed as needed. */
    public static ServerCertificate selfSigned(Path folder, Collection<String> extraNames, Instant now) {
        Path certificateFile = folder.resolve("certificate.pem");
        Path keyFile = folder.resolve("key.pem");
        Set<String> names = names(extraNames);
        try {
            if (!usable(certificateFile, keyFile, names, now)) {
                Files.createDirectories(folder);
                make(certificateFile, keyFile, names, now);
            }
        } catch (IOException failed) {
            throw new UncheckedIOException(failed);
        }
        return load(certificateFile, keyFile);
    }

    /** Names a client may use for this machine, beside those the owner adds. */
    static Set<String> names(Collection<String> extraNames) {
        Set<String> names = new LinkedHashSet<>(List.of("localhost", LOOPBACK, "::1"));
        try {
            String host = InetAddress.getLocalHost().getHostName();
            if (host.matches("[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")) {
                names.add(host);
            }
        } catch (UnknownHostException nameless) {
            names.add("localhost");
        }
        names.addAll(extraNames);
        return names;
    }

    private static boolean usable(Path certificateFile, Path keyFile, Set<String> names, Instant now) {
        if (!Files.isReadable(certificateFile) || !Files.isReadable(keyFile)) {
            return false;
        }
        try {
            X509Certificate certificate = (X509Certificate) chain(certificateFile)[0];
            Set<String> held = new LinkedHashSet<>();
            Collection<List<?>> alternatives = certificate.getSubjectAlternativeNames();
            if (alternatives != null) {
                alternatives.forEach(name -> held.add(canonical(name.get(1).toString())));
            }
            return now.plus(EARLY).isBefore(certificate.getNotAfter().toInstant())
                    && held.containsAll(
                            names.stream().map(ServerCertificate::canonical).toList());
        } catch (GeneralSecurityException | IOException damaged) {
            return false;
        }
    }

    private static String canonical(String name) {
        if (!NUMERIC_ADDRESS.matcher(name).matches()) {
            return name;
        }
        try {
            return InetAddress.getByName(name).getHostAddress();
        } catch (UnknownHostException notAddress) {
            return name;
        }
    }

    private static void make(Path certificateFile, Path keyFile, Set<String> names, Instant now) throws IOException {
        try {
            KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
            generator.initialize(new ECGenParameterSpec("secp256r1"));
            KeyPair pair = generator.generateKeyPair();
            X500Name subject = new X500Name("CN=Concertina");
            X509v3CertificateBuilder builder = new JcaX509v3CertificateBuilder(
                    subject,
                    new BigInteger(127, new SecureRandom()),
                    Date.from(now.minus(Duration.ofHours(1))),
                    Date.from(now.plus(LIFE)),
                    subject,
                    pair.getPublic());
            List<GeneralName> alternatives = new ArrayList<>();
            for (String name : names) {
                boolean address = NUMERIC_ADDRESS.matcher(name).matches();
                alternatives.add(new GeneralName(address ? GeneralName.iPAddress : GeneralName.dNSName, name));
            }
            builder.addExtension(
                    Extension.subjectAlternativeName,
                    false,
                    new GeneralNames(alternatives.toArray(GeneralName[]::new)));
            JcaX509ExtensionUtils identifiers = new JcaX509ExtensionUtils();
            builder.addExtension(
                    Extension.subjectKeyIdentifier, false, identifiers.createSubjectKeyIdentifier(pair.getPublic()));
            builder.addExtension(
                    Extension.authorityKeyIdentifier,
                    false,
                    identifiers.createAuthorityKeyIdentifier(pair.getPublic()));
            builder.addExtension(Extension.basicConstraints, true, new BasicConstraints(true));
            builder.addExtension(
                    Extension.keyUsage, true, new KeyUsage(KeyUsage.digitalSignature | KeyUsage.keyCertSign));
            builder.addExtension(
                    Extension.extendedKeyUsage, false, new ExtendedKeyUsage(KeyPurposeId.id_kp_serverAuth));
            X509Certificate certificate = new JcaX509CertificateConverter()
                    .getCertificate(
                            builder.build(new JcaContentSignerBuilder("SHA256withECDSA").build(pair.getPrivate())));
            DataFolder.writeSecret(keyFile, pem("PRIVATE KEY", pair.getPrivate().getEncoded()));
            Files.writeString(certificateFile, pem("CERTIFICATE", certificate.getEncoded()));
        } catch (GeneralSecurityException | OperatorCreationException impossible) {
            throw new IllegalStateException("this Java cannot make an EC certificate", impossible);
        } catch (IllegalArgumentException badName) {
            throw ConcertinaException.invalid(
                    "certificate-names", String.join(", ", names), "host names and numeric addresses");
        }
    }

    private static String pem(String kind, byte[] encoded) {
        String body = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(encoded);
        return "-----BEGIN " + kind + "-----\n" + body + "\n-----END " + kind + "-----\n";
    }

    private static ServerCertificate load(Path certificateFile, Path keyFile) {
        try {
            Certificate[] chain = chain(certificateFile);
            PublicKey certified = chain[0].getPublicKey();
            PrivateKey key = privateKey(keyFile, certified.getAlgorithm());
            if (!match(key, certified)) {
                throw new IOException("the key is not that of the certificate");
            }
            String password = new BigInteger(256, new SecureRandom()).toString(36);
            // Never leaves memory, so that PKCS #12's thousands of key derivation rounds would only delay the start.
            KeyStore store = KeyStore.getInstance("JKS");
            store.load(null, password.toCharArray());
            store.setKeyEntry(ALIAS, key, password.toCharArray(), chain);
            return new ServerCertificate(store, password, certificateFile);
        } catch (GeneralSecurityException | IOException unusable) {
            throw new ConcertinaException(
                    ErrorCode.INVALID_ARGUMENT,
                    "certificate-file is '" + certificateFile + "' with private-key-file '" + keyFile
                            + "', accepted: a PEM certificate chain, server first, and its unencrypted PKCS#8 key (BEGIN PRIVATE KEY)",
                    unusable);
        }
    }

    private static Certificate[] chain(Path certificateFile) throws IOException, GeneralSecurityException {
        Collection<? extends Certificate> certificates = CertificateFactory.getInstance("X.509")
                .generateCertificates(new ByteArrayInputStream(Files.readAllBytes(certificateFile)));
        if (certificates.isEmpty()) {
            throw new IOException("no certificate in " + certificateFile);
        }
        return certificates.toArray(Certificate[]::new);
    }

    private static PrivateKey privateKey(Path keyFile, String algorithm) throws IOException, GeneralSecurityException {
        Matcher body = PRIVATE_KEY.matcher(Files.readString(keyFile));
        if (!body.find()) {
            throw new IOException("no private key in " + keyFile);
        }
        byte[] encoded = Base64.getMimeDecoder().decode(body.group(1));
        return KeyFactory.getInstance(algorithm).generatePrivate(new PKCS8EncodedKeySpec(encoded));
    }

    private static boolean match(PrivateKey key, PublicKey certified) throws GeneralSecurityException {
        Signature signature = Signature.getInstance(
                switch (key.getAlgorithm()) {
                    case "EC" -> "SHA256withECDSA";
                    case "RSA" -> "SHA256withRSA";
                    default -> key.getAlgorithm();
                });
        byte[] probe = {1, 2, 3};
        signature.initSign(key);
        signature.update(probe);
        byte[] signed = signature.sign();
        signature.initVerify(certified);
        signature.update(probe);
        return signature.verify(signed);
    }

    @Override
    public String toString() {
        return "ServerCertificate[" + certificateFile + "]";
    }
}
