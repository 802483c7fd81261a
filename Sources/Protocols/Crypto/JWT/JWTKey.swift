internal import COpenSSL
internal import MartletPrimitives

/// Signature algorithms of JSON Web Tokens (RFC 7518 §3.1, RFC 8037 §3.1). `none` does not exist here.
package enum JWTAlgorithm: String, Sendable {
  case hs256 = "HS256", rs256 = "RS256", es256 = "ES256", edDSA = "EdDSA"
}

/// What signatures are checked with. A key is for one algorithm, told by its kind and never by the token: so no token can
/// turn a public key into an HMAC secret.
package struct JWTKey: Sendable {
  package let algorithm: JWTAlgorithm
  /// Tokens that name a key (`kid`) are checked with that one only; a key without a name is tried for any.
  package var id: String?
  /// The secret, or a public key in DER form.
  internal let material: [UInt8]

  /// HS256.
  ///
  /// - Parameter secret: RFC 7518 §3.2 asks for 32 bytes; fewer than 16 are refused.
  package init(secret: [UInt8], id: String? = nil) throws(JWTError) {
    guard secret.count >= 16 else { throw .badKey("an HS256 secret needs at least 16 bytes, better 32") }
    (algorithm, material, self.id) = (.hs256, secret, id)
  }

  /// RS256, ES256 or EdDSA, by the kind of key: RSA of at least 2048 bits, P-256 or Ed25519. Takes a public key or a
  /// certificate.
  package init(publicKeyPEM pem: [UInt8], id: String? = nil) throws(JWTError) {
    defer { OpenSSLFailure.clear() }
    var key = PEM.publicKey(pem)
    if key == nil {
      let certificates = PEM.certificates(pem)
      defer { certificates.forEach(X509_free) }
      key = certificates.first.flatMap(X509_get_pubkey)
    }
    guard let key else { throw .badKey("no public key in PEM form") }
    defer { EVP_PKEY_free(key) }
    algorithm = try JWTSignature.algorithm(of: key)
    var der: UnsafeMutablePointer<UInt8>?
    let count = i2d_PUBKEY(key, &der)
    guard count > 0, let der else { throw .badKey("the public key cannot be encoded") }
    material = Array(UnsafeBufferPointer(start: der, count: Int(count)))
    CRYPTO_free(der, nil, 0)
    self.id = id
  }
}

/// What tokens are signed with.
package struct JWTSigningKey: Sendable {
  package let algorithm: JWTAlgorithm
  package var id: String?
  /// The secret, or a private key in PEM form.
  internal let material: [UInt8]

  package init(secret: [UInt8], id: String? = nil) throws(JWTError) {
    let key = try JWTKey(secret: secret, id: id)
    (algorithm, material, self.id) = (.hs256, key.material, id)
  }

  /// RS256, ES256 or EdDSA, by the kind of key.
  package init(privateKeyPEM pem: [UInt8], id: String? = nil) throws(JWTError) {
    defer { OpenSSLFailure.clear() }
    guard let key = PEM.privateKey(pem) else { throw .badKey("no private key in PEM form") }
    defer { EVP_PKEY_free(key) }
    algorithm = try JWTSignature.algorithm(of: key)
    (material, self.id) = (pem, id)
  }
}
