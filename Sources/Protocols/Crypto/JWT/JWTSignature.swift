internal import COpenSSL

/// Signatures over a token's signing input.
package enum JWTSignature {
  /// The one algorithm that a public or private key is used with.
  static func algorithm(of key: OpaquePointer) throws(JWTError) -> JWTAlgorithm {
    if EVP_PKEY_is_a(key, "RSA") == 1 {
      guard EVP_PKEY_get_bits(key) >= 2048 else { throw .badKey("an RSA key needs at least 2048 bits") }
      return .rs256
    }
    if EVP_PKEY_is_a(key, "ED25519") == 1 { return .edDSA }
    var name = [CChar](repeating: 0, count: 64)
    if EVP_PKEY_is_a(key, "EC") == 1, EVP_PKEY_get_group_name(key, &name, name.count, nil) == 1 {
      let group = name.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } }
      if group == "prime256v1" { return .es256 }
    }
    throw .badKey("a key is RSA, P-256 or Ed25519")
  }

  package static func verify(_ signature: [UInt8], over input: [UInt8], with key: JWTKey) -> Bool {
    defer { OpenSSLFailure.clear() }
    if key.algorithm == .hs256 { return Digest.equal(Digest.hmac(.sha256, key: key.material, input), signature) }
    var wire = signature
    if key.algorithm == .es256 {
      guard let der = ECDSA.der(fromRaw: signature) else { return false }
      wire = der
    }
    return key.material.withUnsafeBufferPointer { der -> Bool in
      var cursor = der.baseAddress
      guard let pkey = d2i_PUBKEY(nil, &cursor, der.count) else { return false }
      defer { EVP_PKEY_free(pkey) }
      guard let context = EVP_MD_CTX_new() else { return false }
      defer { EVP_MD_CTX_free(context) }
      let digest = key.algorithm == .edDSA ? nil : EVP_sha256()
      return EVP_DigestVerifyInit(context, nil, digest, nil, pkey) == 1
        && EVP_DigestVerify(context, wire, wire.count, input, input.count) == 1
    }
  }

  static func sign(_ input: [UInt8], with key: JWTSigningKey) throws(JWTError) -> [UInt8] {
    defer { OpenSSLFailure.clear() }
    if key.algorithm == .hs256 { return Digest.hmac(.sha256, key: key.material, input) }
    guard let pkey = PEM.privateKey(key.material) else { throw .badKey("no private key in PEM form") }
    defer { EVP_PKEY_free(pkey) }
    guard let context = EVP_MD_CTX_new() else { throw .badKey("out of memory") }
    defer { EVP_MD_CTX_free(context) }
    let digest = key.algorithm == .edDSA ? nil : EVP_sha256()
    var size = 0
    guard EVP_DigestSignInit(context, nil, digest, nil, pkey) == 1, EVP_DigestSign(context, nil, &size, input, input.count) == 1 else {
      throw .badKey("the key cannot sign")
    }
    var signature = [UInt8](repeating: 0, count: size)
    guard EVP_DigestSign(context, &signature, &size, input, input.count) == 1 else { throw .badKey("the key cannot sign") }
    signature.removeLast(signature.count - size)
    guard key.algorithm == .es256 else { return signature }
    guard let raw = ECDSA.raw(fromDER: signature) else { throw .badKey("the key cannot sign") }
    return raw
  }
}

/// A P-256 signature as JOSE has it (RFC 7518 §3.4: r and s, 32 bytes each) and as OpenSSL has it (DER).
private enum ECDSA {
  static func der(fromRaw raw: [UInt8]) -> [UInt8]? {
    guard raw.count == 64 else { return nil }
    let body = integer(raw[..<32]) + integer(raw[32...])
    return [0x30, UInt8(body.count)] + body
  }

  /// At most 35 bytes, so every length fits in one byte.
  private static func integer(_ value: ArraySlice<UInt8>) -> [UInt8] {
    var digits = Array(value.drop { $0 == 0 })
    if digits.first.map({ $0 >= 0x80 }) ?? true { digits.insert(0, at: 0) }
    return [0x02, UInt8(digits.count)] + digits
  }

  static func raw(fromDER der: [UInt8]) -> [UInt8]? {
    var rest = der.dropFirst(2)
    var raw: [UInt8] = []
    for _ in 0..<2 {
      guard rest.count >= 2, rest[rest.startIndex] == 0x02 else { return nil }
      let length = Int(rest[rest.startIndex + 1])
      rest = rest.dropFirst(2)
      guard rest.count >= length else { return nil }
      let digits = rest.prefix(length).drop { $0 == 0 }
      guard digits.count <= 32 else { return nil }
      raw += [UInt8](repeating: 0, count: 32 - digits.count) + digits
      rest = rest.dropFirst(length)
    }
    return raw
  }
}
