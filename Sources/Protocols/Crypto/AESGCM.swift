internal import COpenSSL

/// AES in Galois/counter mode (NIST SP 800-38D) under one key, with nonces of 96 bits and tags of 128.
///
/// The cipher is fetched and the key schedule made once; each message only sets its nonce, and nothing is allocated for it.
/// The caller keeps nonces apart: two messages under one nonce give away the key of the tags.
package final class AESGCM {
  package enum Purpose: Sendable { case sealing, opening }

  /// The nonce as it goes into the cipher, big-endian: the first eight bytes, then the last four.
  package struct Nonce: Equatable, Sendable {
    package var high: UInt64
    package var low: UInt32

    package init(high: UInt64, low: UInt32) {
      self.high = high
      self.low = low
    }
  }

  package static let tagBytes = 16
  private let context: OpaquePointer?

  /// - Parameter key: 16 or 32 bytes.
  package init(_ purpose: Purpose, key: [UInt8]) {
    precondition(key.count == 16 || key.count == 32, "an AES-GCM key has 16 or 32 bytes")
    let cipher = EVP_CIPHER_fetch(nil, key.count == 16 ? "AES-128-GCM" : "AES-256-GCM", nil)
    defer { EVP_CIPHER_free(cipher) }
    context = EVP_CIPHER_CTX_new()
    precondition(EVP_CipherInit_ex(context, cipher, nil, key, nil, purpose == .sealing ? 1 : 0) == 1, "OpenSSL provides AES-GCM")
  }

  deinit { EVP_CIPHER_CTX_free(context) }

  /// Encrypts `plaintext` to the start of `destination` and puts the tag behind it; `plaintext` may begin where `destination`
  /// does. `destination` has room for both.
  package func seal(
    _ plaintext: UnsafeRawBufferPointer, nonce: Nonce, authenticating header: UnsafeRawBufferPointer,
    into destination: UnsafeMutableRawBufferPointer
  ) {
    precondition(destination.count >= plaintext.count + Self.tagBytes, "sealed bytes fit their destination")
    let tag = UnsafeMutableRawBufferPointer(rebasing: destination[plaintext.count..<plaintext.count + Self.tagBytes])
    let done =
      start(nonce, header) && update(plaintext, destination.baseAddress) && finish(tag.baseAddress)
      && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, Int32(Self.tagBytes), tag.baseAddress) == 1
    precondition(done, "OpenSSL seals under a key it has accepted")
  }

  /// Decrypts `sealed`, which ends with its tag, to the start of `destination`, where `sealed` itself may begin. Answers whether
  /// the tag is right; if not, `destination` holds nothing of use.
  package func open(
    _ sealed: UnsafeRawBufferPointer, nonce: Nonce, authenticating header: UnsafeRawBufferPointer,
    into destination: UnsafeMutableRawBufferPointer
  ) -> Bool {
    let count = sealed.count - Self.tagBytes
    guard count >= 0, destination.count >= count else { return false }
    let tag = UnsafeMutableRawPointer(mutating: sealed.baseAddress?.advanced(by: count))
    var unused: UInt64 = 0
    return start(nonce, header) && update(UnsafeRawBufferPointer(rebasing: sealed[..<count]), destination.baseAddress)
      && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, Int32(Self.tagBytes), tag) == 1 && finish(&unused)
  }

  private func start(_ nonce: Nonce, _ header: UnsafeRawBufferPointer) -> Bool {
    withUnsafeBytes(of: (nonce.high.bigEndian, nonce.low.bigEndian)) {
      EVP_CipherInit_ex(context, nil, nil, nil, $0.bindMemory(to: UInt8.self).baseAddress, -1) == 1
    } && (header.isEmpty || update(header, nil))
  }

  /// Without a destination `bytes` are authenticated only.
  private func update(_ bytes: UnsafeRawBufferPointer, _ destination: UnsafeMutableRawPointer?) -> Bool {
    if bytes.isEmpty { return true }
    var written: Int32 = 0
    return EVP_CipherUpdate(
      context, destination?.assumingMemoryBound(to: UInt8.self), &written, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self),
      Int32(truncatingIfNeeded: bytes.count)) == 1
  }

  /// GCM writes nothing at the end, but OpenSSL wants an address.
  private func finish(_ unused: UnsafeMutableRawPointer?) -> Bool {
    var written: Int32 = 0
    return EVP_CipherFinal_ex(context, unused?.assumingMemoryBound(to: UInt8.self), &written) == 1
  }
}
