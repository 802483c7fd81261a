internal import COpenSSL

/// AES in counter mode (NIST SP 800-38A §6.5) under one key: a key stream that is combined with the bytes, so that encrypting
/// and decrypting are the same. The key schedule is made once; each message only sets its first counter block.
package final class AESCTR {
  /// The first counter block, big-endian.
  package struct Counter: Equatable, Sendable {
    package var high: UInt64
    package var low: UInt64

    package init(high: UInt64, low: UInt64) {
      self.high = high
      self.low = low
    }
  }

  private let context: OpaquePointer?

  /// - Parameter key: 16 or 32 bytes.
  package init(key: [UInt8]) {
    precondition(key.count == 16 || key.count == 32, "an AES-CTR key has 16 or 32 bytes")
    let cipher = EVP_CIPHER_fetch(nil, key.count == 16 ? "AES-128-CTR" : "AES-256-CTR", nil)
    defer { EVP_CIPHER_free(cipher) }
    context = EVP_CIPHER_CTX_new()
    precondition(EVP_EncryptInit_ex(context, cipher, nil, key, nil) == 1, "OpenSSL provides AES-CTR")
  }

  deinit { EVP_CIPHER_CTX_free(context) }

  /// Writes `bytes` combined with the key stream to the start of `destination`, which has room and may be where `bytes` are.
  package func apply(_ counter: Counter, to bytes: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer) {
    precondition(destination.count >= bytes.count, "encrypted bytes fit their destination")
    if bytes.isEmpty { return }
    var written: Int32 = 0
    let done = withUnsafeBytes(of: (counter.high.bigEndian, counter.low.bigEndian)) {
      EVP_EncryptInit_ex(context, nil, nil, nil, $0.bindMemory(to: UInt8.self).baseAddress) == 1
        && EVP_EncryptUpdate(
          context, destination.baseAddress?.assumingMemoryBound(to: UInt8.self), &written,
          bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), Int32(truncatingIfNeeded: bytes.count)) == 1
    }
    precondition(done, "OpenSSL encrypts under a key it has accepted")
  }

  /// The first `count` bytes of the key stream.
  package func keyStream(_ counter: Counter, count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    bytes.withUnsafeMutableBytes { apply(counter, to: UnsafeRawBufferPointer($0), into: $0) }
    return bytes
  }
}
