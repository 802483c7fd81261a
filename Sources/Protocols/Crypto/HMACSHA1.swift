internal import COpenSSL

/// HMAC-SHA-1 (RFC 2104) under one key for many messages, truncated as the protocol says. The key is set up once; at each message
/// OpenSSL 3.0 still copies its digest's state, which is two small allocations.
package final class HMACSHA1 {
  package static let byteCount = 20
  private let context: OpaquePointer?

  package init(key: [UInt8]) {
    let algorithm = EVP_MAC_fetch(nil, "HMAC", nil)
    defer { EVP_MAC_free(algorithm) }
    context = EVP_MAC_CTX_new(algorithm)
    var digest = Array("SHA1".utf8CString)
    let done = digest.withUnsafeMutableBufferPointer { digest in
      // A parameter keeps the address of its name.
      OSSL_MAC_PARAM_DIGEST.withCString { name in
        var parameters = [OSSL_PARAM_construct_utf8_string(name, digest.baseAddress, 0), OSSL_PARAM_construct_end()]
        // OpenSSL takes a null key to mean "the previous one", so an empty key still passes an address.
        return EVP_MAC_init(context, key.isEmpty ? [0] : key, key.count, &parameters)
      }
    }
    precondition(done == 1, "OpenSSL provides HMAC-SHA-1")
  }

  deinit { EVP_MAC_CTX_free(context) }

  /// Writes as much of the code over `message` and then `word`, big-endian, as fits `code`: at most 20 bytes.
  package func authenticate(_ message: UnsafeRawBufferPointer, then word: UInt32? = nil, into code: UnsafeMutableRawBufferPointer) {
    withCode(message, word) { code.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<min(code.count, $0.count)])) }
  }

  /// Compares in constant time with `code`, which may be truncated but not empty.
  package func verify(_ message: UnsafeRawBufferPointer, then word: UInt32? = nil, against code: UnsafeRawBufferPointer) -> Bool {
    guard let expected = code.baseAddress, (1...Self.byteCount).contains(code.count) else { return false }
    return withCode(message, word) { CRYPTO_memcmp($0.baseAddress, expected, code.count) == 0 }
  }

  private func withCode<R>(_ message: UnsafeRawBufferPointer, _ word: UInt32?, _ body: (UnsafeRawBufferPointer) -> R) -> R {
    withUnsafeTemporaryAllocation(byteCount: Self.byteCount, alignment: 8) { output in
      var done = EVP_MAC_init(context, nil, 0, nil) == 1 && update(message)
      if let word { done = done && withUnsafeBytes(of: word.bigEndian) { update($0) } }
      var count = 0
      done = done && EVP_MAC_final(context, output.bindMemory(to: UInt8.self).baseAddress, &count, output.count) == 1
      precondition(done && count == Self.byteCount, "OpenSSL authenticates under a key it has accepted")
      return body(UnsafeRawBufferPointer(output))
    }
  }

  private func update(_ bytes: UnsafeRawBufferPointer) -> Bool {
    bytes.isEmpty || EVP_MAC_update(context, bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count) == 1
  }
}
