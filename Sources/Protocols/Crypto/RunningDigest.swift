internal import COpenSSL

/// A digest of bytes that come one after the other.
package final class RunningDigest {
  package let algorithm: Digest.Algorithm
  private let state: OpaquePointer?

  package init(_ algorithm: Digest.Algorithm) {
    self.algorithm = algorithm
    state = EVP_MD_CTX_new()
    precondition(EVP_DigestInit_ex(state, algorithm.evp, nil) == 1, "OpenSSL provides \(algorithm)")
  }

  deinit { EVP_MD_CTX_free(state) }

  package func update(_ bytes: UnsafeRawBufferPointer) { EVP_DigestUpdate(state, bytes.baseAddress, bytes.count) }

  /// The digest of all there was; nothing may follow.
  package func finish() -> [UInt8] {
    var output = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
    var size: UInt32 = 0
    EVP_DigestFinal_ex(state, &output, &size)
    output.removeLast(output.count - Int(size))
    return output
  }
}
